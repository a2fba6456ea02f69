"""Mutual information and the split of the rate against closed forms (oracles A5)."""

import math

import pytest
import torch
from oracle import SETTINGS, linear
from posteriors import encoded, gaussian

from vaecli.diagnosis.information import information, log_marginals
from vaecli.evaluation.aggregate import aggregate
from vaecli.evaluation.passes import encode


def within(estimate, truth, errors=3.0):
    """Three standard errors: one failure in 370 for a single draw, and the seeds are fixed."""
    assert abs(estimate.value - truth) <= errors * estimate.standard_error, (estimate, truth)


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_figure_agrees_with_the_linear_model_within_its_standard_error(setting):
    spectrum, k, beta, s2 = setting
    vae, data, truth = linear(spectrum, k, beta=beta, s2=s2)
    found = information(encode(vae, data, "test"), seed=0, most=10_000)
    assert not found["saturated"]
    if truth.rate == 0:  # a collapsed posterior is its own aggregate, to the last digit
        assert found["mutual_information"].value == pytest.approx(0, abs=1e-9)
        return
    within(found["mutual_information"], truth.rate)
    within(found["aggregate_kl"], 0.0)
    for key, expected in (
        ("mutual_information", truth.rate),
        ("total_correlation", 0.0),
        ("marginal_kl", 0.0),
        ("residual", 0.0),
    ):
        within(found["rate_split"][key], expected)


@pytest.mark.parametrize(
    ("r", "truth"), [(0.5, 0.111421), (1.0, 0.336831), (2.0, 0.632720), (3.0, 0.689298)]
)
def test_mutual_information_of_two_points_equals_its_closed_form(r, truth):
    # Means +-r, standard deviation 1. At r = 3 one code in 700 is ambiguous and makes all the
    # difference to log 2: 8,000 codes, so that a dozen of them occur.
    mu = torch.tensor([[r], [-r]]).repeat(4000, 1)
    within(information(encoded(mu, torch.zeros(8000, 1)), seed=0, most=9999)["own_included"], truth)


def test_mutual_information_of_eight_modes_equals_its_closed_form():
    mu = torch.linspace(-1.5, 1.5, 8)[:, None].repeat(250, 1)
    found = information(encoded(mu, torch.full((2000, 1), 2 * math.log(0.3))), seed=0, most=9999)
    within(found["mutual_information"], 1.161236)


def test_the_two_bounds_enclose_the_truth_and_their_middle_has_less_bias():
    # 40 draws: the mean bias of each end is ten times its error, that of the middle within two.
    truth = -0.5 * 4 * math.log(1 - 0.7)
    below, above = [], []
    for seed in range(40):
        found = information(gaussian(300, 4, 0.7, seed), seed=seed, most=9999)
        below.append(found["own_included"].value)
        above.append(found["leave_one_out"].value)
    below, above = torch.tensor(below) - truth, torch.tensor(above) - truth
    middle = 0.5 * (below + above)
    error = middle.std() / math.sqrt(40)
    assert below.mean() < -2 * error
    assert above.mean() > 2 * error
    assert abs(middle.mean()) < 2 * error


def test_standard_errors_cover_the_truth_as_often_as_they_should():
    # 100 draws of 200 examples: 95 % within two errors, give or take 2.2 %.
    truth = -0.5 * 2 * math.log(1 - 0.6)
    z_scores = []
    for seed in range(100):
        found = information(gaussian(200, 2, 0.6, seed), seed=seed, most=9999)["mutual_information"]
        z_scores.append((found.value - truth) / found.standard_error)
    z_scores = torch.tensor(z_scores)
    assert 0.89 <= (z_scores.abs() < 2).double().mean() <= 1.0
    assert 0.8 < z_scores.std() < 1.2


def test_mutual_information_cannot_exceed_log_n_and_says_that_it_is_saturated():
    mu = 30 * torch.arange(100.0)[:, None]  # far apart: every code says exactly which example
    found = information(encoded(mu, torch.zeros(100, 1)), seed=0, most=9999)
    # The density is expanded into squares of up to 3000^2, of which float64 keeps 1e-9.
    assert found["own_included"].value == pytest.approx(math.log(100), abs=1e-8)
    assert found["saturated"]
    assert found["mutual_information"] == found["own_included"]
    assert math.isfinite(found["leave_one_out"].value)
    for part in found["rate_split"].values():
        assert math.isfinite(part.value)


@pytest.mark.parametrize(("n", "k", "logvar"), [(100, 1, -15.0), (1000, 4, -10.0)])
def test_the_split_of_a_saturated_rate_holds_no_negative_divergence(n, k, logvar):
    g = torch.Generator().manual_seed(0)
    found = information(
        encoded(torch.randn(n, k, generator=g), torch.full((n, k), logvar)), seed=0, most=9999
    )
    assert found["saturated"]
    parts = found["rate_split"]
    marginal = parts["marginal_kl"]
    assert marginal.value > -3 * marginal.standard_error
    if k == 1:  # a single dimension depends on no other; sums of float32
        assert parts["total_correlation"].value == pytest.approx(0, abs=1e-4)


def test_the_minibatch_figure_is_that_of_batches_of_fifty():
    found = information(gaussian(2000, 5, 0.9, 0), seed=0, most=9999)
    assert found["minibatch_ceiling"] == pytest.approx(math.log(50))
    assert found["minibatch"].value == pytest.approx(3.68, abs=0.05)
    assert found["minibatch"].n == 2000


def test_the_parts_of_the_rate_add_up_to_it():
    g = torch.Generator().manual_seed(3)
    found_in = encoded(torch.randn(500, 6, generator=g) * 2, torch.randn(500, 6, generator=g))
    parts = {k: v.value for k, v in information(found_in, seed=0, most=9999)["rate_split"].items()}
    total = parts["mutual_information"] + parts["total_correlation"] + parts["marginal_kl"]
    rate = found_in.kl_per_dim.double().sum(1).mean().item()
    assert total - parts["residual"] == pytest.approx(rate, rel=1e-12)  # an identity


def test_densities_of_the_mixture_equal_those_of_torch_distributions():
    from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

    g = torch.Generator().manual_seed(1)
    mu, logvar, z = (torch.randn(40, 3, generator=g).double() for _ in range(3))

    def log_q(keep):
        weights = Categorical(torch.ones(len(mu[keep])).double())
        parts = Independent(Normal(mu[keep], (0.5 * logvar[keep]).exp()), 1)
        return MixtureSameFamily(weights, parts)

    found = aggregate(z, mu, logvar)
    everyone = torch.arange(40)
    torch.testing.assert_close(found.included, log_q(everyone).log_prob(z))
    others = torch.stack([log_q(everyone != n).log_prob(z[n]) for n in range(40)])
    torch.testing.assert_close(found.left_out, others)
    one = MixtureSameFamily(
        Categorical(torch.ones(40).double()), Normal(mu[:, 1], (0.5 * logvar[:, 1]).exp())
    )
    without = torch.stack(
        [
            MixtureSameFamily(
                Categorical(torch.ones(39).double()),
                Normal(mu[everyone != n, 1], (0.5 * logvar[everyone != n, 1]).exp()),
            ).log_prob(z[n, 1])
            for n in range(40)
        ]
    )
    expected = 0.5 * (one.log_prob(z[:, 1]) + without)
    # Sums of 40 densities in float32.
    torch.testing.assert_close(log_marginals(z, mu, logvar)[:, 1], expected, rtol=1e-5, atol=1e-5)
