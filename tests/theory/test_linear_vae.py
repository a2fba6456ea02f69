"""The linear VAE's closed form against printed numbers, numerical optima and brute force."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch.distributions import MultivariateNormal

from vaecli.data.sets.base import Data, Kind, Split
from vaecli.diagnosis.diagnose import diagnose
from vaecli.diagnosis.settings import DiagnosisConfig, Part
from vaecli.models.likelihoods.discretized_logistic import DiscretizedLogistic
from vaecli.models.likelihoods.gaussian import Gaussian
from vaecli.models.likelihoods.gaussian_learned import GaussianLearned
from vaecli.models.linear import Linear
from vaecli.models.mlp import MLP
from vaecli.models.vae import VAE
from vaecli.theory.comparison import compare, linear_gaussian, moments, principal
from vaecli.theory.linear_vae import log_px, optimum, posterior

SPECTRUM = torch.tensor([9.0, 4.0, 2.0, 1.0, 0.5, 0.25], dtype=torch.float64)
EXACT = 1e-12  # float64, sums of a few terms of order 10


# ---------------------------------------------------------------------- the optimum


@pytest.mark.parametrize(
    ("beta", "sigma2", "expected_sigma2", "objective", "kl"),
    [
        (1, 1.0, 1.0, 10.026964, (1.0986, 0.6931, 0.3466, 0)),
        (1, None, 0.375, 9.671135, (1.5890, 1.1836, 0.8370, 0.4904)),
        (2, None, 1.875, 11.339464, (0.4377, 0.0323, 0, 0)),
        (5, 1.0, 1.0, 13.358098, (0.2939, 0, 0, 0)),
        (5, None, 2.791667, 11.593548, (0, 0, 0, 0)),
    ],
)
def test_printed_numbers_of_an_independent_derivation(beta, sigma2, expected_sigma2, objective, kl):
    found = optimum(SPECTRUM, 4, beta=beta, sigma2=sigma2)
    assert found.objective == pytest.approx(objective, abs=5e-7)  # six printed decimals
    assert found.sigma2 == pytest.approx(expected_sigma2, abs=5e-7)
    assert found.kl_per_dim.tolist() == pytest.approx(kl, abs=5.1e-5)  # four
    assert found.mu_variance.tolist() == pytest.approx(
        [1 - math.exp(-2 * k) for k in kl], abs=1.1e-4
    )  # 1 - theta/l = 1 - exp(-2 KL), whose slope is at most 2
    assert found.active == sum(k > 0 for k in kl)
    assert found.theta == beta * found.sigma2


SETTINGS = [(beta, s2) for beta in (0.5, 1.0, 2.0, 3.0, 5.0, 10.0) for s2 in (0.3, 1.0, None)]


def analytic_objective(parameters, *, beta, sigma2, lam, k):
    """E[-log p(x|z)] + beta KL in float64, W, V and log D free, and log s2 if sigma2 is None.

    Data along the axes; E over x, z in closed form. No use of the solution.
    """
    d = len(lam)
    W, V = parameters[: d * k].view(d, k), parameters[d * k : 2 * d * k].view(k, d)
    log_noise = parameters[2 * d * k : 2 * d * k + k]
    s2 = parameters[-1].exp() if sigma2 is None else torch.tensor(sigma2, dtype=torch.float64)
    left = torch.eye(d, dtype=torch.float64) - W @ V
    error = (left.square() * lam).sum() + (W.square() * log_noise.exp()).sum()
    mean_square = (V.square() * lam).sum(1)
    kl = 0.5 * (mean_square + log_noise.exp() - 1 - log_noise).sum()
    return 0.5 * d * (2 * math.pi * s2).log() + error / (2 * s2) + beta * kl


@pytest.mark.parametrize(("beta", "sigma2"), SETTINGS)
def test_no_numerical_optimisation_finds_a_lower_objective(beta, sigma2):
    k, random = 4, np.random.default_rng(0)
    expected = optimum(SPECTRUM, k, beta=beta, sigma2=sigma2).objective

    def value_and_gradient(point):
        parameters = torch.tensor(point, requires_grad=True)
        value = analytic_objective(parameters, beta=beta, sigma2=sigma2, lam=SPECTRUM, k=k)
        value.backward()
        return value.item(), parameters.grad.numpy()

    size = 2 * 6 * k + k + (sigma2 is None)
    found = [
        minimize(
            value_and_gradient,
            random.normal(size=size) * 0.3,
            jac=True,
            method="BFGS",
            options={"gtol": 1e-7, "maxiter": 2000},
        ).fun
        for _ in range(4)
    ]
    assert min(found) >= expected - 1e-9  # rounding of a sum of order 10
    assert min(found) == pytest.approx(expected, abs=1e-6)  # gtol 1e-7, flat at a threshold


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("beta", [0.1, 0.5, 1.0, 1.3, 2.0, 3.2, 10.0])
def test_learned_sigma_is_where_the_derivative_by_sigma_vanishes(beta, k):
    found = optimum(SPECTRUM, k, beta=beta, sigma2=None)
    s2 = found.sigma2
    balance = (SPECTRUM[:k] / s2).clamp(max=beta).sum() + SPECTRUM[k:].sum() / s2
    assert balance.item() == pytest.approx(6, abs=EXACT)
    assert found.squared_error == pytest.approx(6 * s2, abs=EXACT)
    fixed = optimum(SPECTRUM, k, beta=beta, sigma2=s2)
    assert fixed.objective == pytest.approx(found.objective, abs=EXACT)
    for factor in (0.9, 1.1):
        beside = optimum(SPECTRUM, k, beta=beta, sigma2=s2 * factor)
        assert beside.objective > found.objective


def test_learned_sigma_at_beta_one_is_the_mean_of_the_discarded_eigenvalues():
    for k in range(6):  # Tipping & Bishop 1999, eq. 8
        found = optimum(SPECTRUM, k, beta=1, sigma2=None).sigma2
        assert found == pytest.approx(SPECTRUM[k:].mean().item(), abs=EXACT)


@pytest.mark.parametrize("beta", [0.5, 1.0])
@pytest.mark.parametrize("k", [6, 8])
def test_a_learned_sigma_with_a_latent_for_every_direction_is_refused(beta, k):
    with pytest.raises(ValueError, match="no unique optimum"):
        optimum(SPECTRUM, k, beta=beta, sigma2=None)


def test_pixels_that_never_vary_count_as_no_direction():
    padded = torch.cat([SPECTRUM, torch.tensor([1e-17, 0.0], dtype=torch.float64)])
    with pytest.raises(ValueError, match="all 6 directions"):
        optimum(padded, 6, beta=1.3, sigma2=None)  # 1.3 * 6 < 8 pixels
    assert optimum(padded, 6, beta=1.4, sigma2=None).sigma2 > 0


def test_beta_above_one_saves_a_latent_for_every_direction():
    found = optimum(SPECTRUM, 8, beta=2, sigma2=None)
    assert found.sigma2 == optimum(SPECTRUM, 4, beta=2, sigma2=None).sigma2  # 2 are active in both
    assert found.kl_per_dim.shape == (8,)


def test_without_a_kl_term_there_is_no_optimum():
    with pytest.raises(ValueError, match="beta=0"):
        optimum(SPECTRUM, 4, beta=0, sigma2=1.0)


def test_collapse_is_complete_from_beta_equal_to_the_largest_eigenvalue_over_sigma2():
    assert optimum(SPECTRUM, 4, beta=18, sigma2=0.5).active == 0  # 9 / 0.5
    assert optimum(SPECTRUM, 4, beta=17.9, sigma2=0.5).active == 1
    critical = 6 * 9 / SPECTRUM.sum().item()  # D l_1 / tr S with a learned sigma
    assert optimum(SPECTRUM, 4, beta=critical + 1e-9, sigma2=None).active == 0
    assert optimum(SPECTRUM, 4, beta=critical - 1e-9, sigma2=None).active == 1


def test_the_bound_is_tight_at_beta_one_and_only_there():
    # At beta 1 q is the exact posterior of the optimal model; its ELBO is its log-likelihood.
    for sigma2 in (0.3, 1.0, None):
        tight = optimum(SPECTRUM, 4, beta=1, sigma2=sigma2)
        assert tight.elbo == pytest.approx(-tight.neg_log_px, abs=EXACT)
        for beta in (0.5, 3.0):
            loose = optimum(SPECTRUM, 4, beta=beta, sigma2=sigma2)
            assert loose.elbo < -loose.neg_log_px - 1e-3


# ---------------------------------------------------------------------- exact densities


@pytest.mark.parametrize(("d", "k"), [(5, 2), (5, 5), (3, 6), (1, 1)])
def test_log_px_is_the_density_of_the_marginal_normal(d, k):
    g = torch.Generator().manual_seed(d + k)
    weight, bias, x = (torch.randn(*s, generator=g).double() for s in ((d, k), (d,), (20, d)))
    covariance = weight @ weight.T + 0.3 * torch.eye(d, dtype=torch.float64)
    expected = MultivariateNormal(bias, covariance).log_prob(x)
    torch.testing.assert_close(log_px(x, weight, bias, 0.3), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("d", "k"), [(5, 2), (3, 6)])
def test_posterior_obeys_bayes_rule(d, k):
    g = torch.Generator().manual_seed(d + k)
    weight, bias, x = (torch.randn(*s, generator=g).double() for s in ((d, k), (d,), (20, d)))
    mean, covariance = posterior(x, weight, bias, 0.3)
    z = torch.randn(20, k, generator=g).double()  # any z: log p(z|x) = log p(x|z) p(z) / p(x)
    eye = torch.eye(d).double(), torch.eye(k).double()
    joint = MultivariateNormal(z @ weight.T + bias, 0.3 * eye[0]).log_prob(x)
    joint += MultivariateNormal(torch.zeros(k).double(), eye[1]).log_prob(z)
    torch.testing.assert_close(
        MultivariateNormal(mean, covariance).log_prob(z),
        joint - log_px(x, weight, bias, 0.3),
        rtol=0,
        atol=1e-9,  # quadratic forms of some hundreds, inverted in float64
    )


# ---------------------------------------------------------------------- another split


def lopsided(n_train=3000, n_test=40):
    """Correlated, skewed data around a mean, whose test split has other moments."""
    g = torch.Generator().manual_seed(0)
    mixing = torch.randn(6, 6, generator=g)
    raw = torch.randn(n_train + n_test, 6, generator=g)
    x = (raw + 0.3 * raw.square()) @ mixing + 2.0
    train, test = x[:n_train, None, None], 1.2 * x[n_train:, None, None] + 0.1
    return Data("lopsided", (1, 1, 6), Kind.REAL, Split(train), Split(test), Split(test))


def test_principal_directions_are_those_of_the_population_covariance():
    data = lopsided()
    x = data.train.x.flatten(1).double().numpy()
    found = principal(data)
    np.testing.assert_allclose(found.mean, x.mean(0), atol=EXACT)
    rebuilt = found.directions * found.eigenvalues @ found.directions.T
    np.testing.assert_allclose(rebuilt, np.cov(x.T, ddof=0), atol=1e-10)  # entries up to 50
    assert found.eigenvalues.diff().max() < 0


def test_the_training_split_has_the_moments_that_the_closed_form_assumes():
    data = lopsided()
    found = moments(data, "train", 4)
    lam = principal(data).eigenvalues
    torch.testing.assert_close(found.mean, torch.zeros(4).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(found.covariance, lam[:4].diag(), rtol=0, atol=1e-11)
    assert found.total == pytest.approx(lam.sum().item(), abs=1e-10)


@pytest.mark.parametrize(("beta", "sigma2"), [(1, 1.0), (0.7, 0.4), (2.5, None), (1, None)])
def test_on_its_own_moments_the_training_split_has_the_written_out_optimum(beta, sigma2):
    data = lopsided()
    lam = principal(data).eigenvalues
    found = optimum(lam, 4, beta=beta, sigma2=sigma2, moments=moments(data, "train", 4))
    theta, s2 = found.theta, found.sigma2
    above = lam[:4].clamp(min=theta)
    squared_error = (lam[:4].clamp(max=theta).sum() + lam[4:].sum()).item()
    kl = 0.5 * (above / theta).log()
    atol = 1e-10  # the moments, of order 50, are summed over 3000 examples
    torch.testing.assert_close(found.kl_per_dim, kl, rtol=0, atol=atol)
    torch.testing.assert_close(found.mu_variance, 1 - theta / above, rtol=0, atol=atol)
    assert found.mutual_information == pytest.approx(kl.sum().item(), abs=atol)
    assert found.squared_error == pytest.approx(squared_error, abs=atol)
    assert found.objective == pytest.approx(
        3 * math.log(2 * math.pi * s2) + squared_error / (2 * s2) + beta * kl.sum().item(), abs=atol
    )


@pytest.mark.parametrize(("beta", "sigma2", "k"), [(1, 1.0, 4), (0.7, 0.4, 6), (2.5, None, 5)])
def test_figures_of_another_split_equal_brute_force_with_the_optimal_weights(beta, sigma2, k):
    data = lopsided()
    mean, lam, U = principal(data)
    found = optimum(lam, k, beta=beta, sigma2=sigma2, moments=moments(data, "test", k))
    theta, s2 = found.theta, found.sigma2
    # The model itself: W, and the best Gaussian posterior under the noise theta = beta s2.
    W = U[:, :k] * (lam[:k] - theta).clamp(min=0).sqrt()
    x = data.test.x.flatten(1).double()
    mu, covariance = posterior(x, W, mean, theta)
    noise = covariance.diagonal()
    torch.testing.assert_close(covariance, noise.diag(), rtol=0, atol=EXACT)  # columns orthogonal
    kl = 0.5 * (mu.square() + noise - 1 - noise.log())
    error = (x - mean - mu @ W.T).square().sum(1) + (W.square() @ noise).sum()
    distortion = 3 * math.log(2 * math.pi * s2) + error.mean().item() / (2 * s2)
    aggregate = torch.from_numpy(np.cov(mu.T.numpy(), ddof=0)) + covariance
    atol = 1e-10  # 40 examples of |x|^2 about 100
    torch.testing.assert_close(found.kl_per_dim, kl.mean(0), rtol=0, atol=atol)
    torch.testing.assert_close(found.mu_variance, mu.var(0, correction=0), rtol=0, atol=atol)
    assert found.squared_error == pytest.approx(error.mean().item(), abs=atol)
    assert found.distortion == pytest.approx(distortion, abs=atol)
    assert found.rate == pytest.approx(kl.sum(1).mean().item(), abs=atol)
    assert found.elbo == pytest.approx(-(found.distortion + found.rate), abs=atol)
    assert found.objective == pytest.approx(found.distortion + beta * found.rate, abs=atol)
    assert found.neg_log_px == pytest.approx(-log_px(x, W, mean, s2).mean().item(), abs=atol)
    # Entropy of the Gaussian with q(z)'s covariance less that of q(z|x).
    zero = torch.zeros(k).double()
    information = MultivariateNormal(zero, aggregate).entropy()
    information -= MultivariateNormal(zero, covariance).entropy()
    assert found.mutual_information == pytest.approx(information.item(), abs=atol)


# ---------------------------------------------------------------------- a model beside its theory


def solved(data, k, *, beta, likelihood):
    """A linear VAE with the optimal weights written into it."""
    mean, lam, U = principal(data)
    vae = VAE(
        encoder=Linear(k).encoder(data.shape, 2 * k),
        decoder=Linear(k).decoder(data.shape, 1, Linear.capacities["medium"]),
        likelihood=likelihood,
        output_bias=mean.view(data.shape).float(),
        latent_dim=k,
    )
    learned = isinstance(likelihood, GaussianLearned)
    best = optimum(lam, k, beta=beta, sigma2=None if learned else likelihood.sigma**2)
    if learned:
        likelihood.start(mean, torch.full((6,), best.sigma2))
    gain = (lam[:k] - best.theta).clamp(min=0).sqrt()
    V = (U[:, :k] * gain / lam[:k].clamp(min=best.theta)).T
    with torch.no_grad():
        vae.decoder.weight.weight.copy_(U[:, :k] * gain)
        vae.encoder[1].weight.copy_(torch.cat([V, torch.zeros_like(V)]))
        logvar = (best.theta / lam[:k].clamp(min=best.theta)).log()
        vae.encoder[1].bias.copy_(torch.cat([-V @ mean, logvar]))
    return vae


FIGURES = ["active_dimensions", "rate", "distortion", "elbo", "objective"]
SETTINGS_OF_A_DIAGNOSIS = {"ablation": 0, "refine_steps": 0, "baseline_steps": 0}


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_the_optimal_weights_agree_with_theory_in_every_row(beta, learned, split):
    data = lopsided(n_test=1000)
    likelihood = GaussianLearned() if learned else Gaussian(sigma=0.8)
    vae = solved(data, 4, beta=beta, likelihood=likelihood)
    config = DiagnosisConfig(split=Part(split), samples=800, **SETTINGS_OF_A_DIAGNOSIS)
    diagnosis, _ = diagnose(vae, data, config, seed=0)
    rows = compare(vae, data, split=split, beta=beta, diagnosis=diagnosis)
    assert [row["figure"] for row in rows][:5] == FIGURES
    named = {row["figure"]: row for row in rows}
    assert {f"{name}[{i}]" for name in ("kl_per_dim", "mu_variance") for i in range(4)} <= set(
        named
    )
    assert ("sigma2" in named) is learned
    # z and the importance samples are drawn; everything else is exact up to float32.
    drawn = {"distortion", "elbo", "objective", "mutual_information", "log_px_importance_weighted"}
    for name, row in named.items():
        if name not in drawn:
            assert row["measured"] == pytest.approx(row["theory"], rel=1e-5, abs=1e-5)
    assert named["distortion"]["standard_error"] > 0
    for name in ("distortion", "elbo"):
        row = named[name]
        assert abs(row["measured"] - row["theory"]) < 3 * row["standard_error"]
    bound = named["log_px_importance_weighted"]
    exact = named["log_px_exact"]["measured"]
    # At beta 1, q is the exact posterior: each of the K = 100 weights is p(x) itself.
    if beta == 1:
        assert bound["measured"] == pytest.approx(exact, abs=1e-4)  # float32 log p(x|z)
    else:
        assert -0.5 < bound["measured"] - exact < 0.01


def test_a_sum_stands_for_more_than_ten_dimensions_and_dicts_do_for_estimates():
    g = torch.Generator().manual_seed(1)
    x = torch.randn(500, 1, 1, 14, generator=g) * torch.linspace(3, 0.5, 14)
    data = Data("wide", (1, 1, 14), Kind.REAL, *[Split(x)] * 3)
    vae = VAE(
        encoder=Linear(12).encoder(data.shape, 24),
        decoder=Linear(12).decoder(data.shape, 1, Linear.capacities["medium"]),
        likelihood=Gaussian(),
        output_bias=torch.zeros(1, 1, 14),
        latent_dim=12,
    )
    diagnosis = {
        "examples": 500,
        "threshold": 0.01,
        "active_dimensions": 7,
        "kl_per_dim": [0.25] * 12,
        "rate": 3.0,
        "mu_variance_per_dim": [0.5] * 12,
        "likelihood": {"importance_weighted": {"value": -9.0, "standard_error": 0.1}},
    }
    rows = {
        row["figure"]: row
        for row in compare(vae, data, split="test", beta=1.0, diagnosis=diagnosis)
    }
    assert set(rows) == {
        "active_dimensions",
        "rate",
        "kl_per_dim_sum",
        "mu_variance_sum",
        "log_px_importance_weighted",
        "log_px_exact",
    }
    assert rows["kl_per_dim_sum"]["measured"] == 3
    assert rows["mu_variance_sum"]["measured"] == 6
    bound = rows["log_px_importance_weighted"]
    assert (bound["measured"], bound["standard_error"]) == (-9.0, 0.1)


def test_theory_is_silent_where_it_does_not_apply():
    data = lopsided()
    vae = solved(data, 4, beta=1, likelihood=Gaussian())
    given = {"split": "test", "diagnosis": {"examples": 40}}
    assert compare(vae, data, beta=0.0, **given) is None
    vae.prior = torch.nn.Identity()
    assert compare(vae, data, beta=1.0, **given) is None
    full = solved(data, 6, beta=1.3, likelihood=GaussianLearned())
    assert linear_gaussian(full) is not None
    assert compare(full, data, beta=1.0, **given) is None  # every direction has its latent
    other = {"output_bias": torch.zeros(1, 1, 6), "latent_dim": 4}
    mlp = MLP(4)
    nonlinear = VAE(
        encoder=mlp.encoder(data.shape, 8),
        decoder=mlp.decoder(data.shape, 1, MLP.capacities["small"]),
        likelihood=Gaussian(),
        **other,
    )
    assert linear_gaussian(nonlinear) is None
    assert (
        linear_gaussian(
            VAE(
                encoder=Linear(4).encoder(data.shape, 8),
                decoder=Linear(4).decoder(data.shape, 2, Linear.capacities["medium"]),
                likelihood=DiscretizedLogistic(),
                output_bias=torch.zeros(2, 1, 6),
                latent_dim=4,
            )
        )
        is None
    )
