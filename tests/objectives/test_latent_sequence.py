"""delta-VAE's own form: a prior over a sequence of codes that no independent posterior reaches."""

# n steps, Z latent

import math
import re

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch.distributions import MultivariateNormal

from vaecli.config.compose import CONFIGS
from vaecli.config.schema import read
from vaecli.core.errors import UsageError
from vaecli.evaluation.measures import figures
from vaecli.evaluation.passes import Encoded
from vaecli.models.priors.latent_sequence import LatentSequence, committed_rate
from vaecli.objectives.strategies.committed_rate import coefficient
from vaecli.runs.build import build

STEPS, SIZE, A = 5, 2, 0.8
Z = STEPS * SIZE


def covariance(steps=STEPS, size=SIZE, a=A):
    """Of the whole sequence: a^|s - t| between codes s and t, in each dimension."""
    place = torch.arange(steps)
    apart = a ** (place[:, None] - place).abs().double()
    return torch.kron(apart, torch.eye(size, dtype=torch.float64))


def prior(steps=STEPS, a=A):
    return LatentSequence(steps, a).double()


def test_log_prob_is_that_of_the_joint_gaussian():
    z = torch.randn(3, 7, Z, dtype=torch.float64)
    exact = MultivariateNormal(torch.zeros(Z, dtype=torch.float64), covariance()).log_prob(z)
    torch.testing.assert_close(prior().log_prob(z), exact)


def test_draws_have_the_joint_covariance():
    drawn = prior().draws(torch.randn(200_000, Z, dtype=torch.float64))
    torch.testing.assert_close(drawn.T.cov(), covariance(), atol=0.015, rtol=0)


def test_kl_sums_to_that_of_the_joint_gaussians_and_no_part_is_negative():
    mu, logvar = torch.randn(7, Z, dtype=torch.float64), torch.randn(7, Z, dtype=torch.float64)
    kl = prior().kl_per_dim(mu, logvar)
    joint = MultivariateNormal(torch.zeros(Z, dtype=torch.float64), covariance())
    for row in range(7):
        q = MultivariateNormal(mu[row], torch.diag(logvar[row].exp()))
        exact = torch.distributions.kl_divergence(q, joint)
        torch.testing.assert_close(kl[row].sum(), exact)
    assert kl.min() >= 0


def test_with_a_of_zero_it_is_the_standard_normal():
    mu, logvar = torch.randn(4, Z), torch.randn(4, Z)
    kl = LatentSequence(STEPS, 0.0).kl_per_dim(mu, logvar)
    torch.testing.assert_close(kl, 0.5 * (mu.square() + logvar.exp() - 1 - logvar))


@pytest.mark.parametrize(("steps", "a"), [(2, 0.5), (5, 0.8), (16, 0.95)])
def test_no_independent_posterior_has_a_smaller_rate_than_committed(steps, a):
    logvar = torch.zeros(1, steps, dtype=torch.float64, requires_grad=True)
    mu = torch.ones(1, steps, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([mu, logvar], max_iter=500, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = prior(steps, a).kl_per_dim(mu, logvar).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert closure().item() == pytest.approx(steps * committed_rate(steps, a), rel=1e-6)


@pytest.mark.parametrize("delta", [1e-3, 0.15, 1.0])
def test_the_coefficient_commits_the_rate_asked_for(delta):
    assert committed_rate(8, coefficient(8, delta)) == pytest.approx(delta, rel=1e-6)


@pytest.mark.parametrize(("steps", "delta"), [(2, 3.4), (8, 1.1), (16, 0.7), (64, 0.4)])
def test_a_prior_as_float32_holds_it_commits_the_rate_asked_for(steps, delta):
    built = LatentSequence(steps, coefficient(steps, delta))
    a = built.a.double()
    best = built.var.expand(steps).clone()  # of each code: the reciprocal of its precision
    best[1:-1] /= 1 + a.square()
    kl = built.kl_per_dim(torch.zeros(1, steps), best.log()[None])
    assert kl.mean().item() == pytest.approx(delta, rel=1e-3)
    assert built.log_prob(torch.zeros(1, 1, steps)).isfinite().all()


@pytest.mark.parametrize(("steps", "delta"), [(2, 5.0), (4, 3.0), (8, 2.0), (16, 1.0), (64, 0.5)])
def test_a_rate_that_only_equal_codes_commit_is_refused(steps, delta):
    rest = ("model.latent_dim=64", f"strategy.latent_steps={steps}")
    with pytest.raises(UsageError) as refused:
        configured(*rest, f"strategy.delta_per_dim={delta}")
    advice = re.search(r"choose at most ([\d.]+),", str(refused.value))[1]
    configured(*rest, f"strategy.delta_per_dim={advice}")  # which helps


def test_the_average_mean_costs_what_the_prior_says():
    mu = torch.randn(500, Z) + torch.linspace(-1, 2, Z)
    logvar = torch.randn(500, Z)
    encoded = Encoded(mu, logvar, prior().kl_per_dim(mu, logvar), None, "test")
    found = figures(encoded, threshold=0.01, prior=prior())
    mean = mu.double().mean(0)
    exact = 0.5 * mean @ torch.linalg.inv(covariance()) @ mean
    assert found["mean_offset_kl"] == pytest.approx(exact.item(), rel=1e-5)
    # What is left of the rate when every mean is moved back.
    moved = prior().kl_per_dim(mu - mu.mean(0), logvar).sum(1).mean().item()
    assert found["rate"] - found["mean_offset_kl"] == pytest.approx(moved, rel=1e-4)


def configured(*overrides):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return read(compose("config", ["data=digits", "strategy=committed_rate", *overrides]))


def test_the_strategy_puts_the_prior_in_and_leaves_the_posterior():
    config = configured("model.latent_dim=12", "strategy.latent_steps=4")
    vae = build(config, config.data.load()).vae
    assert isinstance(vae.prior, LatentSequence)
    mu, logvar = vae.encode(torch.rand(50, 1, 8, 8))
    assert vae.prior.kl_per_dim(mu, logvar).sum(1).min() >= 12 * 0.15 - 1e-4
    assert math.isclose(committed_rate(4, vae.prior.a.item()), 0.15, rel_tol=1e-4)


@pytest.mark.parametrize("steps", [1, 5])
def test_steps_that_do_not_divide_the_latents_are_refused(steps):
    with pytest.raises(UsageError, match=r"strategy\.latent_steps"):
        configured("model.latent_dim=12", f"strategy.latent_steps={steps}")


def test_one_latent_has_no_sequence_and_the_remedy_is_no_refusal():
    with pytest.raises(UsageError, match=r"latent_steps=null"):
        configured("model.latent_dim=1", "strategy.latent_steps=2")
    configured("model.latent_dim=1", "strategy.latent_steps=null")


def test_a_run_is_diagnosed_under_its_own_prior(train):
    ran = train(
        "data=digits",
        "strategy=committed_rate",
        "model.latent_dim=8",
        "strategy.latent_steps=4",
        "trainer.epochs=2",
        "diagnosis.importance_samples=200",
    )
    assert ran.code == 0
    found = ran.json("diagnosis.json")
    assert found["rate"] >= 8 * 0.15
    assert "pruning" not in found
    assert "rate_split" not in found["information"]
    # Every part of the report agrees on the prior: rate = MI + KL(q(z) || p(z)), up to noise.
    info = found["information"]
    parts = info["mutual_information"]["value"] + info["aggregate_kl"]["value"]
    error = sum(info[key]["standard_error"] for key in ("mutual_information", "aggregate_kl"))
    assert found["rate"] == pytest.approx(parts, abs=4 * error + 0.1)
    bound = found["likelihood"]["importance_weighted"]
    assert bound["value"] > found["elbo"] - 4 * bound["standard_error"]
