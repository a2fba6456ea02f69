"""Use of z, inference lag, pruning, baseline, collapse curve and probes against known answers."""

import math

import pytest
import torch
from oracle import SETTINGS, linear
from scipy.stats import chi2

from vaecli.data.sets.base import Data, Kind, Split
from vaecli.data.sets.statistics import pixel_statistics
from vaecli.diagnosis.baseline import baseline
from vaecli.diagnosis.collapse_curve import collapse_curve
from vaecli.diagnosis.inference import refine
from vaecli.diagnosis.latent_use import ablation, derangement, replaced, shuffled
from vaecli.diagnosis.probes import probes
from vaecli.diagnosis.pruning import prune, pruning
from vaecli.evaluation.passes import Encoded, distortion, encode, sample_codes
from vaecli.models.base import Capacity
from vaecli.models.likelihoods.bernoulli import Bernoulli
from vaecli.models.likelihoods.discretized_logistic import DiscretizedLogistic
from vaecli.models.likelihoods.gaussian_learned import GaussianLearned
from vaecli.models.mlp import MLP
from vaecli.models.pixelcnn import PixelCNN
from vaecli.models.priors.standard_normal import StandardNormal
from vaecli.models.vae import VAE


def measured(made, split="test"):
    vae, data, truth = made
    found = encode(vae, data, split)
    return vae, data, truth, found, distortion(vae, data, split, sample_codes(found, 0))


def within(estimate, truth, errors=3.0):
    assert abs(estimate.value - truth) <= errors * estimate.standard_error, (estimate, truth)


# ---------------------------------------------------------------------- use of z


@pytest.mark.parametrize("setting", SETTINGS)
def test_interventions_on_z_cost_what_the_linear_model_says(setting):
    # x_j - w_j z_j with z_j ~ N(0, 1) independent of x: l_j + w_j^2; with the right code theta;
    # with z = 0: l_j. w_j^2 = l_j - theta.
    spectrum, k, beta, s2 = setting
    vae, data, truth, found, right = measured(linear(spectrum, k, beta=beta, s2=s2))
    lam, theta = torch.tensor(spectrum[:k]), beta * s2
    active = lam > theta
    foreign = torch.where(active, 2 * (lam - theta), torch.zeros(k)) / (2 * s2)
    without = torch.where(active, lam - theta, torch.zeros(k)) / (2 * s2)
    if truth.rate == 0:
        for estimate in (
            shuffled(vae, data, found, right, seed=0),
            *replaced(vae, data, found, right, seed=0).values(),
        ):
            assert estimate.value == pytest.approx(0, abs=1e-6)
        return
    within(shuffled(vae, data, found, right, seed=0), foreign.sum().item())
    others = replaced(vae, data, found, right, seed=0)
    within(others["prior"], foreign.sum().item())
    within(others["zeroed"], without.sum().item())
    each = ablation(vae, data, found, right, most=2000, seed=0)
    assert each["ablation"]["n"] == 2000
    # Standard deviation of a product of normals: rise_j varies by about itself from x to x.
    error = 2 * foreign / math.sqrt(2000) + 1e-6
    assert ((torch.tensor(each["rise_per_dim"]) - foreign).abs() < 4 * error).all()


def test_dimensions_are_ranked_by_use_not_by_number():
    vae, data, _, found, right = measured(linear((2.0, 9.0, 4.0, 0.5), 3))
    assert ablation(vae, data, found, right, most=2000, seed=0)["ranking"] == [1, 2, 0]


@pytest.mark.parametrize("n", [2, 3, 100])
def test_a_derangement_moves_every_example_and_loses_none(n):
    order = derangement(n, seed=5)
    assert (order != torch.arange(n)).all()
    assert order.sort().values.equal(torch.arange(n))


# ---------------------------------------------------------------------- inference lag


def test_an_encoder_at_its_optimum_has_nothing_to_gain():
    vae, data, _, found, _ = measured(linear((9.0, 4.0, 2.0, 0.5), 3))
    group, refined = refine(vae, data, found, most=64, steps=50, seed=0)
    # The steps' own noise leaves it a hundredth below zero; a warning begins at 0.5 nats.
    assert group["gain"].value == pytest.approx(0, abs=0.03)
    assert refined.mu.shape == (64, 3)


def test_next_to_a_collapsed_encoder_gradient_steps_find_the_true_posterior():
    vae, data, _ = linear((9.0, 4.0, 2.0, 0.5), 3)
    best = encode(vae, data, "test")
    with torch.no_grad():
        for parameter in vae.encoder.parameters():
            parameter.zero_()
    found = encode(vae, data, "test")
    before = {n: p.clone() for n, p in vae.named_parameters()}
    group, refined = refine(vae, data, found, most=64, steps=300, seed=0)
    # For a diagonal Gaussian decoder the exact posterior is the optimum of these steps.
    # The steps are noisy, most in logvar (standard deviation 0.06 here, 192 of them).
    torch.testing.assert_close(refined.mu, best.mu[:64], atol=0.08, rtol=0)
    torch.testing.assert_close(refined.logvar, best.logvar[:64], atol=0.25, rtol=0)
    # The exact gain of each example: KL of the collapsed posterior N(0, 1) from the true one.
    var = best.logvar[:64].exp()
    exact = 0.5 * ((1 + best.mu[:64].square()) / var - 1 + best.logvar[:64]).sum(1).mean().item()
    assert group["gain"].value == pytest.approx(exact, rel=0.05)  # 32 draws before and after
    for name, parameter in vae.named_parameters():
        assert parameter.equal(before[name])
        assert parameter.grad is None


def test_a_decoder_that_passes_no_gradient_is_not_refined():
    vae, data, _ = linear((9.0, 4.0, 2.0, 0.5), 3)
    whole = vae.log_px
    vae.log_px = lambda x, z: whole(x, z).detach()
    assert refine(vae, data, encode(vae, data, "test"), most=8, steps=2, seed=0) is None


# ---------------------------------------------------------------------- pruning


def test_pruning_dead_units_changes_nothing_and_costs_no_kl():
    vae, data, truth, found, right = measured(linear((9.0, 4.0, 2.0, 0.5, 0.5, 0.5), 6))
    group = pruning(vae, data, found, right + found.kl_per_dim.sum(1), seed=0)
    assert group["dead_units"] == 3
    assert group["change"].value == pytest.approx(0, abs=1e-6)
    assert prune(found).kl_per_dim[:, 3:].abs().max() == 0


def test_pruning_a_unit_that_never_moves_changes_kl_and_distortion_by_what_theory_says():
    vae, data, _ = linear((9.0, 4.0, 2.0, 0.5), 4)
    with torch.no_grad():  # dimension 3 sits at z = 2, and the decoder counts on it
        vae.encoder[1].bias[3] = 2.0
        vae.decoder.weight.weight[3, 3] = 1.0
        vae.output_bias[0, 0, 3] = -2.0
    found = encode(vae, data, "test")
    right = distortion(vae, data, "test", sample_codes(found, 0))
    group = pruning(vae, data, found, right + found.kl_per_dim.sum(1), seed=0)
    assert group["dead_units"] == 1
    # Moving it to the prior: +2 nats of KL saved, half of 2^2 = 2 lost in squares: the change is
    # (2 - 2) in the mean; its spread over examples is not, since z and x are off by 2 in turn.
    within(group["change"], 0.0)
    assert group["change"].standard_error > 0.01


# ---------------------------------------------------------------------- baseline


def test_without_a_code_independent_pixels_reach_their_own_entropy():
    vae, data, _, found, right = measured(linear((9.0, 4.0, 2.0, 0.5), 3, n=4000))
    neg_elbo = right + found.kl_per_dim.sum(1)
    group, _ = baseline(vae, data, "test", neg_elbo, steps=0, seed=0)
    exact = 0.5 * 4 * math.log(2 * math.pi) + 0.5 * 15.5  # N(x; 0, 1), E||x||^2 = 15.5
    within(group["no_code"], exact)
    within(group["gain"], exact - neg_elbo.mean().item())


def constant_model(likelihood, data):
    torch.manual_seed(0)
    family = MLP(latent_dim=2)
    return VAE(
        encoder=family.encoder(data.shape, 4),
        decoder=family.decoder(data.shape, likelihood.outputs, family.capacities["small"]),
        likelihood=likelihood,
        output_bias=likelihood.start(*pixel_statistics(data)),
        latent_dim=2,
    )


def test_a_learned_sigma_does_not_spoil_the_baseline():
    g = torch.Generator().manual_seed(0)
    split = Split(2.0 * torch.randn(3000, 1, 1, 4, generator=g))
    data = Data("wide", (1, 1, 4), Kind.REAL, split, split, split)
    vae = constant_model(GaussianLearned(initial_sigma=0.3), data)
    group, _ = baseline(vae, data, "test", torch.zeros(3000), steps=0, seed=0)
    variance = split.x.double().var(0, correction=0).mean().item()
    exact = 4 * 0.5 * (math.log(2 * math.pi * variance) + 1)
    assert group["no_code"].value == pytest.approx(exact, abs=1e-3)
    assert vae.likelihood.log_sigma.exp().item() == pytest.approx(0.3)


def test_constants_that_moments_do_not_fit_are_fitted():
    # Two grey levels, far apart: a logistic with their moments is poor, others are better.
    g = torch.Generator().manual_seed(0)
    x = torch.where(torch.rand(2000, 1, 2, 2, generator=g) < 0.9, 0, 200).to(torch.uint8)
    data = Data("levels", (1, 2, 2), Kind.GREY, *(Split(x),) * 3)
    vae = constant_model(DiscretizedLogistic(), data)
    group, _ = baseline(vae, data, "test", torch.zeros(2000), steps=0, seed=0)
    images = data.batch(data.test, torch.arange(2000))
    out = vae.output_bias.detach().expand(2000, *vae.output_bias.shape)
    moments = -vae.likelihood.log_prob(out, images).mean().item()
    grid = [
        -vae.likelihood.log_prob(
            torch.cat([torch.full((1, 2, 2), m), torch.full((1, 2, 2), s)]).expand_as(out), images
        )
        .mean()
        .item()
        for m in torch.linspace(-0.5, 0.5, 41).tolist()
        for s in torch.linspace(-8, 2, 41).tolist()
    ]
    assert group["no_code"].value < moments - 1
    assert group["no_code"].value < min(grid) + 0.1


def rows_of_stripes(n, seed):
    """4x4 images whose rows copy the first: 4 random bits, 4 log 2 nats."""
    g = torch.Generator().manual_seed(seed)
    first = torch.bernoulli(torch.full((n, 1, 1, 4), 0.5), generator=g)
    return Split((first.expand(n, 1, 4, 4) * 255).to(torch.uint8))


def striped():
    torch.manual_seed(0)
    shape, family = (1, 4, 4), PixelCNN(latent_dim=2)
    vae = VAE(
        encoder=family.encoder(shape, 4),
        decoder=family.decoder(shape, 1, Capacity(width=32, depth=1, receptive_field=5)),
        likelihood=Bernoulli(),
        output_bias=torch.zeros(shape),
        latent_dim=2,
        autoregressive=True,
    )
    return vae, Data("stripes", shape, Kind.BINARY, *(rows_of_stripes(500, s) for s in range(3)))


def test_an_autoregressive_decoder_without_a_code_is_trained_and_the_model_left_alone():
    vae, data = striped()
    before = {n: p.clone() for n, p in vae.named_parameters()}
    neg_elbo = torch.full((500,), 4 * math.log(2) + 1.0)
    group, _ = baseline(vae, data, "test", neg_elbo, steps=600, seed=0)
    assert baseline(vae, data, "test", neg_elbo, steps=0, seed=0) is None
    # The entropy is 2.77 nats, an untrained decoder is at 16 log 2 = 11.1.
    assert 4 * math.log(2) - 0.1 < group["no_code"].value < 4 * math.log(2) + 0.6
    assert group["gain"].value == pytest.approx(group["no_code"].value - neg_elbo[0].item())
    for name, parameter in vae.named_parameters():
        assert parameter.equal(before[name])
        assert parameter.grad is None


def test_the_decoder_without_a_code_learns_under_autocast_too():
    """Within one autocast the copies of weights are kept: they must not be those of the start."""
    found = {}
    for enabled in (False, True):
        vae, data = striped()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            group, _ = baseline(vae, data, "test", torch.zeros(500), steps=150, seed=0)
        found[enabled] = group["no_code"].value
    assert found[False] < 8  # an untrained decoder: 11.1
    assert found[True] == pytest.approx(found[False], rel=0.02)


# ---------------------------------------------------------------------- collapse curve


def test_the_collapse_curve_equals_its_closed_form():
    # KL_j(x) = (A g^2 - A - log(1 - A)) / 2 with g ~ N(0, 1): epsilon at 99 % by chi-squared.
    _, _, truth, found, _ = measured(linear((9.0, 4.0, 2.0, 1.5, 0.5), 5, n=20_000))
    curve = collapse_curve(found, threshold=0.01)
    signal = truth.mu_variance
    expected = 0.5 * (signal * chi2.ppf(0.99, 1) - signal) + truth.kl
    # The 99 % quantile of 20,000 draws of chi-squared: standard error 0.23 of 6.63, halved by 1/2.
    error = 0.5 * signal * 0.23 + 1e-7
    assert ((torch.tensor(curve["epsilon_per_dim"]) - expected).abs() < 3 * error).all()
    assert curve["collapsed_at_threshold"] == 0.2  # the fifth
    fractions = curve["collapsed_fraction"]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    largest = math.log10(expected.max())
    assert all(
        f == 1 or math.log10(e) < largest + 0.02
        for e, f in zip(curve["epsilon"], fractions, strict=True)
    )


def test_a_dimension_used_for_two_inputs_in_a_hundred_is_not_collapsed():
    kl = torch.zeros(1000, 2)
    kl[:20, 0] = 1.0  # 2 %
    kl[:5, 1] = 1.0  # 0.5 %
    found = collapse_curve(Encoded(kl, kl, kl, None, "test"), threshold=0.01)
    assert found["epsilon_per_dim"] == [1.0, 0.0]
    assert found["collapsed_at_threshold"] == 0.5


# ---------------------------------------------------------------------- probes


def labelled(distance, logvar):
    """Two classes whose means lie `distance` apart."""
    y = torch.arange(600) % 2
    mu = (distance * y.float())[:, None].repeat(1, 2)
    logvar = torch.full((600, 2), float(logvar))
    return Encoded(mu, logvar, StandardNormal().kl_per_dim(mu, logvar), y, "test")


def test_probes_read_the_class_where_it_is_and_guess_where_it_is_not():
    found = probes(labelled(10.0, 0.0), seed=0)
    assert found["knn"].value == found["linear_probe"].value == 1.0
    for name in ("knn", "linear_probe"):
        assert 0.3 < found[f"{name}_shuffled_labels"].value < 0.7
        assert found[name].n == 300


def test_a_class_written_below_the_posteriors_noise_is_not_in_the_code():
    # The means alone separate the classes perfectly; at a thousandth of the noise.
    found = probes(labelled(1e-3, 0.0), seed=0)
    assert abs(found["linear_probe"].value - 0.5) < 4 * found["linear_probe"].standard_error


def test_without_labels_or_with_one_class_there_are_no_probes():
    found = labelled(1.0, 0.0)
    assert probes(found._replace(y=None), seed=0) == {}
    assert probes(found._replace(y=torch.zeros(600)), seed=0) == {}
