"""The figures against closed forms."""

import math

import pytest
import torch

from vaecli.data.sets.base import Data, Kind, Split
from vaecli.diagnosis.diagnose import conclude
from vaecli.diagnosis.information import information
from vaecli.diagnosis.status import Status
from vaecli.diagnosis.verdict import next_commands, unfinished, verdict
from vaecli.evaluation.measures import figures
from vaecli.evaluation.passes import Encoded, examples
from vaecli.models.priors.standard_normal import StandardNormal
from vaecli.objectives.strategies.committed_rate import CommittedPosterior


def encoded(mu, logvar):
    return Encoded(mu, logvar, StandardNormal().kl_per_dim(mu, logvar), None, "test")


def test_kl_equals_torch_distributions():
    from torch.distributions import Normal, kl_divergence

    g = torch.Generator().manual_seed(0)
    mu, logvar = torch.randn(50, 7, generator=g), torch.randn(50, 7, generator=g)
    expected = kl_divergence(Normal(mu, (0.5 * logvar).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(StandardNormal().kl_per_dim(mu, logvar), expected)


@pytest.mark.parametrize("deviation", [1e-2, 1e-3, 1e-4])
def test_kl_keeps_its_digits_next_to_the_prior(deviation):
    # KL ~ logvar^2 / 4. exp(v) - 1 - v in float32 has lost every digit at 1e-4.
    logvar = torch.tensor([[deviation]])
    exact = 0.5 * (math.expm1(deviation) - deviation)
    found = StandardNormal().kl_per_dim(torch.zeros(1, 1), logvar).item()
    assert found == pytest.approx(exact, rel=1e-3 * (1e-2 / deviation) ** 1)  # last bit of v itself


def test_figures_of_a_posterior_written_down_by_hand():
    # Dimension 0 moves with x, 1 has KL but a constant mean, 2 is the prior.
    mu = torch.tensor([[1.0, 2.0, 0.0], [-1.0, 2.0, 0.0]])
    logvar = torch.zeros(2, 3)
    found = figures(encoded(mu, logvar), threshold=0.01)
    assert found["kl_per_dim"] == [0.5, 2.0, 0.0]
    assert found["active_dimensions"] == 2
    assert found["active_units"] == 1
    assert found["rate"] == 2.5
    assert found["mu_variance"] == pytest.approx(1 / 3)
    assert found["mean_logvar"] == 0


def test_a_rotation_changes_active_units_and_not_active_directions():
    g = torch.Generator().manual_seed(0)
    mu = torch.zeros(500, 6)
    mu[:, :2] = torch.randn(500, 2, generator=g)
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=g))[0]
    straight = figures(encoded(mu, torch.zeros(500, 6)), threshold=0.01)
    turned = figures(encoded(mu @ rotation, torch.zeros(500, 6)), threshold=0.01)
    assert straight["active_units"] == straight["active_directions"] == 2
    assert turned["active_units"] == 6
    assert turned["active_directions"] == 2


@pytest.mark.parametrize(("gamma", "bound"), [(0.5, 4.0), (0.6, 5.76), (0.7, 7.84)])
def test_normalised_means_hold_the_rate_up_by_half_gamma_squared_a_dimension(gamma, bound):
    # Oracle A5, batch normalisation of the means (Zhu et al. 2020), d = 32.
    g = torch.Generator().manual_seed(0)
    mu = torch.randn(500, 32, generator=g)
    mu = gamma * (mu - mu.mean(0)) / mu.std(0, correction=0)
    at_bound = figures(encoded(mu, torch.zeros(500, 32)), threshold=0.01)
    assert at_bound["rate"] == pytest.approx(bound, rel=1e-6)
    assert at_bound["active_units"] == 32  # by construction, whatever the decoder does
    above = figures(encoded(mu, torch.randn(500, 32, generator=g)), threshold=0.01)
    assert above["rate"] > bound


@pytest.mark.parametrize("delta", [0.15, 0.5])
def test_a_committed_posterior_holds_the_rate_up_with_nothing_in_the_code(delta):
    # delta-VAE's family with a prior of independent N(0, 1): any constant statistics will do.
    posterior = CommittedPosterior(delta)
    mu, logvar = posterior(torch.tensor([[-1.0, -2.0, 0.3, -0.7]]).repeat(300, 1))  # m, then s
    found = encoded(mu, logvar)
    # The family adds 1e-6 to mu^2, against a root of zero.
    assert figures(found, threshold=0.01)["rate"] == pytest.approx(2 * delta, rel=1e-4)
    inside = information(found, seed=0, most=300)
    assert inside["leave_one_out"].value == pytest.approx(0, abs=1e-9)
    assert not inside["saturated"]


@pytest.mark.parametrize(
    ("active", "total", "expected"),
    [
        (0, 10, "FULL COLLAPSE"),
        (1, 20, "SEVERE COLLAPSE"),
        (2, 20, "PARTIAL COLLAPSE"),
        (9, 20, "PARTIAL COLLAPSE"),
        (10, 20, "HEALTHY"),
        (1, 1, "HEALTHY"),
    ],
)
def test_status_follows_the_share_of_active_dimensions(active, total, expected):
    assert Status.of(active, total) == expected


def diagnosis(rate, rise, *, active=10, units=10, total=10):
    found = {
        "active_dimensions": active,
        "total_dimensions": total,
        "utilization": active / total,
        "rate": rate,
        "kl_per_dim": [rate / total] * total,
        "active_units": units,
        "mu_variance": 0.5,
        "mean_logvar": -1.0,
        "mean_offset_kl": 0.0,
    }
    made = conclude(found, threshold=0.01, split="test", examples=100)
    return {**made, "latent_use": {"shuffled": {"value": rise}}}


def commands(found, overrides, beta=1.0, in_use=()):
    return [c for c, _ in next_commands(found, overrides, beta=beta, in_use=set(in_use))]


def test_next_commands_change_one_thing_and_drop_the_keys_that_would_no_longer_exist():
    overrides = ["model=cnn", "strategy=delta_vae", "strategy.delta=3", "schedule.beta=10"]
    found = commands(diagnosis(0.0, 0.0, active=0, units=0), overrides, beta=10.0)
    assert found[0] == "vae-train model=cnn strategy=delta_vae strategy.delta=3 schedule.beta=1"
    assert "vae-train model=cnn schedule.beta=10 strategy=free_bits" in found


def test_next_commands_never_repeat_the_run_and_are_quoted_for_the_shell():
    assert commands(
        diagnosis(9.0, 20.0), ["decoder=large"], beta=20.0, in_use={"decoder=large"}
    ) == ["vae-train decoder=large schedule.beta=200"]
    found = commands(diagnosis(9.0, 20.0), ["data.path=a b", "strategy=[free_bits,encoder_steps]"])
    assert found[0].startswith("vae-train 'data.path=a b' 'strategy=[free_bits,encoder_steps]' ")


def test_the_verdict_of_a_small_code_that_is_read_does_not_blame_the_decoder():
    small = diagnosis(0.44, 0.67, active=3) | {
        "information": {"own_included": {"value": 0.25, "standard_error": 0.1}}
    }
    assert "z holds little, and the decoder reads it" in " ".join(verdict(small))
    assert "hardly uses z" in " ".join(verdict(diagnosis(9.0, 0.67)))


def evaluations(*losses):
    return [{"step": 100 * n, "loss": loss} for n, loss in enumerate(losses)]


def test_a_run_that_ended_while_it_got_better_is_called_young_where_it_looks_ill():
    collapsed, healthy = diagnosis(0.0, 0.0, active=0), diagnosis(9.0, 20.0)
    young = evaluations(150, 140, 130, 120, 110)
    assert "10.00 came after update 300 of 400" in unfinished(collapsed, young)
    assert unfinished(healthy, young) is None
    behind = healthy | {"baseline": {"gain": {"value": -20.0}}}
    assert unfinished(behind, young) is not None
    assert unfinished(collapsed, evaluations(150, 110, 104, 103, 102)) is None
    assert unfinished(collapsed, evaluations(18.05, 18.0)) is None  # flat: at its constants
    assert unfinished(collapsed, evaluations(150, 120)) is not None
    for lacking in (
        [],
        evaluations(150),
        [{"step": 0}, {"step": 9, "loss": "x"}],
        [{"step": 8, "loss": 9.0}, {"step": 9, "loss": 1.0}],
    ):
        assert unfinished(collapsed, lacking) is None


def test_the_verdict_of_a_collapsed_run_does_not_claim_that_z_is_used():
    for rise in (0.02, 0.07):
        words = " ".join(verdict(diagnosis(0.01, rise, active=0, units=0)))
        assert "hardly uses z" in words


def test_beyond_the_critical_beta_the_first_thing_to_try_is_a_beta_below_it():
    collapsed = diagnosis(0.0, 0.0, active=0, units=0)
    assert commands(collapsed, [], beta=40.0)[0] == "vae-train schedule.beta=1"
    predicted = {**collapsed, "prediction": {"critical_beta": 32.4}}
    assert commands(predicted, [], beta=40.0)[0] == "vae-train schedule.beta=8.1"
    assert commands(predicted, [], beta=20.0)[0] == "vae-train schedule.beta=1"


def test_a_training_image_has_the_same_pixels_whichever_batch_it_is_in():
    g = torch.Generator().manual_seed(0)
    grey = Split(torch.randint(0, 256, (1200, 1, 3, 3), generator=g).to(torch.uint8))
    data = Data("grey", (1, 3, 3), Kind.BINARY, grey, grey, grey, dynamic=True)
    whole = examples(data, "train", torch.arange(1200))
    assert whole.unique().tolist() == [0.0, 1.0]
    for index in (torch.arange(490, 510), torch.tensor([1100, 3, 700, 3])):
        assert examples(data, "train", index).equal(whole[index])
    # Its grey level is the probability of a one: 10,800 pixels.
    assert (whole.mean() - grey.x.float().mean() / 255).abs() < 4 * 0.5 / 10800**0.5
