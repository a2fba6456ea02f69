"""The importance-weighted bound against the exact log p(x) of linear-Gaussian models."""

import math

import pytest
import torch
from oracle import SETTINGS, linear

from vaecli.data.sets.base import Data, Kind, Split
from vaecli.diagnosis.likelihood import bytes_per_code, importance_weighted
from vaecli.evaluation.passes import Encoded, encode
from vaecli.models.likelihoods.bernoulli import Bernoulli
from vaecli.models.mlp import MLP
from vaecli.models.pixelcnn import PixelCNN
from vaecli.models.vae import VAE


def bound(vae, data, found, samples, **more):
    return importance_weighted(vae, data, found, samples=samples, seed=0, **more)[0]


def scaled(found, factor):
    """The posterior with `factor` times its variance, its KL with it."""
    logvar = found.logvar + math.log(factor)
    kl = 0.5 * (found.mu.square() + logvar.exp() - 1 - logvar)
    return Encoded(found.mu, logvar, kl, None, found.split)


@pytest.mark.parametrize("samples", [1, 7, 100])
def test_with_the_exact_posterior_every_k_gives_log_p_without_variance(samples):
    vae, data, _ = linear((9.0, 4.0, 2.0, 0.5), 3, n=200)
    found = bound(vae, data, encode(vae, data, "test"), samples)
    # log p(x) of the very examples: N(0, diag(l_1, l_2, l_3, 1)).
    x = data.test.x.flatten(1).double()
    variance = torch.tensor([9.0, 4.0, 2.0, 1.0], dtype=torch.float64)
    exact = -0.5 * (x.square() / variance + (2 * math.pi * variance).log()).sum(1)
    # Float32 densities of size 10: relative 1e-6 each, and equal for all samples.
    assert found["importance_weighted"].value == pytest.approx(exact.mean().item(), abs=2e-5)
    assert found["effective_sample_size"].value == pytest.approx(samples, rel=1e-5)
    assert found["importance_samples"] == samples


@pytest.mark.parametrize("setting", [s for s in SETTINGS if s[2] == 1.0])
def test_at_the_optimum_of_beta_one_the_bound_is_the_exact_likelihood(setting):
    spectrum, k, beta, s2 = setting
    vae, data, truth = linear(spectrum, k, beta=beta, s2=s2)
    found = bound(vae, data, encode(vae, data, "test"), 5)["importance_weighted"]
    assert abs(found.value - truth.log_px) < 3 * found.standard_error


@pytest.mark.parametrize(
    ("factor", "samples", "gap"),
    [(0.5, 1, 0.096574), (2.0, 1, 0.153426), (0.5, 5, 0.0385), (2.0, 50, 0.0016)],
)  # oracle A5: one dimension, variance = factor x the posterior's
def test_a_posterior_of_the_wrong_width_costs_what_the_oracle_says(factor, samples, gap):
    vae, data, _ = linear((9.0, 0.5), 1, n=20_000)
    right = encode(vae, data, "test")
    exact = bound(vae, data, right, 1)["importance_weighted"].value
    found = bound(vae, data, scaled(right, factor), samples)
    # The same x in both: what is left is the noise of the weights, at most 0.5 nats an example.
    assert exact - found["importance_weighted"].value == pytest.approx(gap, abs=3 * 0.5 / 141)
    assert found["effective_sample_size"].value <= samples


def test_more_samples_never_lower_the_bound_beyond_noise_and_raise_it_over_the_elbo():
    vae, data, _ = linear((9.0, 4.0, 0.5), 2, n=2000)
    wrong = scaled(encode(vae, data, "test"), 3.0)
    found = [bound(vae, data, wrong, k) for k in (1, 10, 100)]
    values = [f["importance_weighted"].value for f in found]
    assert values == sorted(values)
    assert found[2]["gain_over_elbo"].value > 0.5  # exact: 2 * 0.5 (3 - 1 - log 3) = 0.90


def test_the_memory_budget_changes_nothing_but_the_memory():
    vae, data, _ = linear((9.0, 4.0, 2.0, 0.5), 3, n=150)
    right = scaled(encode(vae, data, "test"), 2.0)
    large = bound(vae, data, right, 33)
    one = bytes_per_code(vae, data.test.x[:1], torch.zeros(1, 1, 3))
    assert one >= 4 * (4 + 4)  # the decoder's output and x at least
    small = bound(vae, data, right, 33, budget=300 * one)  # three of 33 samples at a time
    least = bound(vae, data, right, 33, budget=1)  # one example and one sample at a time
    for other in (small, least):
        for key in ("importance_weighted", "effective_sample_size", "gain_over_elbo"):
            assert other[key].value == pytest.approx(large[key].value, rel=1e-5)


def model(family, likelihood, latent_dim=2, shape=(1, 4, 4)):
    torch.manual_seed(0)
    return VAE(
        encoder=family.encoder(shape, 2 * latent_dim),
        decoder=family.decoder(shape, likelihood.outputs, family.capacities["small"]),
        likelihood=likelihood,
        output_bias=torch.zeros(shape),
        latent_dim=latent_dim,
        autoregressive=family.autoregressive,
    ).eval()


@pytest.mark.parametrize("family", [MLP, PixelCNN])
def test_the_bound_approaches_quadrature_for_nonlinear_and_autoregressive_decoders(family):
    vae = model(family(latent_dim=2), Bernoulli())
    g = torch.Generator().manual_seed(1)
    x = torch.bernoulli(torch.full((6, 1, 4, 4), 0.5), generator=g)
    data = Data("four", (1, 4, 4), Kind.BINARY, *(Split((x * 255).to(torch.uint8)),) * 3)
    grid = torch.linspace(-6, 6, 121)
    z = torch.cartesian_prod(grid, grid)  # (121^2, 2)
    with torch.no_grad():
        log_px = vae.log_px(x, z[:, None].expand(-1, len(x), -1)).double()  # (121^2, 6)
    log_prior = -0.5 * z.double().square().sum(1) - math.log(2 * math.pi)
    cell = 2 * math.log(0.1)
    exact = (log_px + log_prior[:, None] + cell).logsumexp(0).mean().item()
    found = bound(vae, data, encode(vae, data, "test"), 2000)["importance_weighted"]
    # An untrained decoder is flat in z, so 2,000 samples leave a hundredth of a nat.
    assert found.value == pytest.approx(exact, abs=0.02)
