"""The spectrum that decides at which beta a data set collapses."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vaecli.data.files.images import Binarise
from vaecli.data.mnist import Mnist
from vaecli.data.sets.base import Data, Kind, Split
from vaecli.data.sets.statistics import pixel_statistics
from vaecli.models.likelihoods.bernoulli import Bernoulli
from vaecli.models.likelihoods.discretized_logistic import DiscretizedLogistic
from vaecli.models.likelihoods.gaussian import Gaussian
from vaecli.models.likelihoods.gaussian_learned import GaussianLearned
from vaecli.theory import thresholds
from vaecli.theory.thresholds import Spectrum, spectrum


def data_of(x, *, kind=Kind.BINARY, dynamic=False):
    split = Split(x)
    return Data("made", tuple(x.shape[1:]), kind, split, split, split, dynamic=dynamic)


def bits(n=400, pixels=6, seed=0):
    """Correlated binary pixels, (n, 1, 1, pixels) uint8; the last never varies."""
    g = torch.Generator().manual_seed(seed)
    cause = torch.randn(n, 2, generator=g) @ torch.randn(2, pixels, generator=g)
    x = cause + 0.7 * torch.randn(n, pixels, generator=g) > 0.3
    x[:, -1] = False
    return (x[:, None, None] * 255).to(torch.uint8)


def grey(n=300, pixels=6, seed=1):
    g = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 1, 1, pixels), generator=g).to(torch.uint8)


def test_of_binary_pixels_it_is_the_spectrum_of_their_correlation():
    x = bits()
    with np.errstate(invalid="ignore"):
        correlation = np.corrcoef(x[:, 0, 0, :-1].numpy().T)
    expected = np.append(np.linalg.eigvalsh(correlation)[::-1], 0.0)  # the pixel that never varies
    found = spectrum(data_of(x), Bernoulli())
    np.testing.assert_allclose(found.eigenvalues, expected, atol=2e-6)
    assert found.complete
    assert found.critical_beta == found.eigenvalues[0]


def test_of_dynamic_pixels_it_is_the_mean_over_binarisations():
    data = data_of(grey(), dynamic=True)
    draws = 300
    g = torch.Generator().manual_seed(2)
    m, _ = pixel_statistics(data)
    scale = (m * (1 - m)).sqrt().flatten()
    covariance = torch.zeros(6, 6)
    for _ in range(draws):
        x = (data.batch(data.train, torch.arange(300), g) - m).flatten(1) / scale
        covariance += x.T @ x / 300 / draws
    expected = torch.linalg.eigvalsh(covariance).flip(0).double()
    found = spectrum(data, Bernoulli()).eigenvalues
    # Entries of 90,000 draws have a standard error of 0.0033; eigenvalues move by a few of it.
    torch.testing.assert_close(found, expected, atol=0.015, rtol=0)


@pytest.mark.parametrize("sigma", [1.0, 0.5])
def test_of_gaussian_pixels_it_is_the_covariance_over_sigma_squared(sigma):
    g = torch.Generator().manual_seed(3)
    x = torch.randn(500, 1, 1, 5, generator=g) @ torch.randn(5, 5, generator=g)
    data = data_of(x, kind=Kind.REAL)
    flat = x.flatten(1).double()
    covariance = (flat - flat.mean(0)).T @ (flat - flat.mean(0)) / 500
    expected = torch.linalg.eigvalsh(covariance).flip(0)
    found = spectrum(data, Gaussian(sigma)).eigenvalues
    torch.testing.assert_close(found, expected / sigma**2, rtol=1e-5, atol=1e-6)
    learned = spectrum(data, GaussianLearned()).eigenvalues  # in units of the mean variance
    torch.testing.assert_close(learned, expected * 5 / covariance.trace(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("likelihood", [Bernoulli(), Gaussian(0.7)])
def test_the_score_is_the_gradient_whitened_by_the_fisher_information(likelihood):
    kind = Kind.BINARY if isinstance(likelihood, Bernoulli) else Kind.REAL
    x = bits()[..., :-1]
    data = data_of(x if kind is Kind.BINARY else torch.randn(400, 1, 1, 5), kind=kind)
    mean, variance = pixel_statistics(data)
    x = data.batch(data.train, torch.arange(400))
    out = likelihood.start(mean, variance).expand(400, *data.shape).clone().requires_grad_()
    gradient = torch.autograd.grad(likelihood.log_prob(out, x).sum(), out)[0].flatten(1)
    # The Fisher information as the mean squared gradient under the model's own distribution.
    information = mean * (1 - mean) if kind is Kind.BINARY else torch.full_like(mean, 1 / 0.49)
    whitened = likelihood.whitened_score(x, mean, variance)
    torch.testing.assert_close(
        whitened, gradient / information.flatten().sqrt(), atol=1e-4, rtol=1e-4
    )


def test_a_likelihood_without_a_score_has_no_spectrum():
    assert spectrum(data_of(grey(), kind=Kind.GREY), DiscretizedLogistic()) is None


def test_iterating_over_the_data_finds_the_same_eigenvalues(monkeypatch):
    g = torch.Generator().manual_seed(5)
    n, d = 500, 120
    scale = torch.logspace(1, -2, d)
    x = torch.randn(n, 1, 1, d, generator=g) * scale
    grey_levels = grey(pixels=100)
    kinds = (  # a spectrum is kept: another copy of the data has another one
        (lambda: data_of(x.clone(), kind=Kind.REAL), Gaussian(), 10, 1e-5),
        # And where binarising adds to the diagonal.
        (lambda: data_of(grey_levels.clone(), dynamic=True), Bernoulli(), 5, 1e-4),
    )
    for make, likelihood, count, precision in kinds:
        whole = spectrum(make(), likelihood)
        assert whole.complete
        with monkeypatch.context() as patched:  # as if there were many more pixels
            patched.setattr(thresholds, "DENSE", 50)
            patched.setattr(thresholds, "LEADING", count)
            found = spectrum(make(), likelihood)
        assert not found.complete
        assert 0 < len(found.eigenvalues) <= count
        torch.testing.assert_close(
            found.eigenvalues, whole.eigenvalues[: len(found.eigenvalues)], rtol=precision, atol=0
        )


def test_a_partial_spectrum_says_when_its_count_is_a_lower_bound():
    found = Spectrum(torch.tensor([5.0, 3.0, 2.0]), 100)
    assert found.unstable(4.0) == (1, True)
    assert found.unstable(2.5) == (2, True)
    assert found.unstable(1.0) == (3, False)


# ---------------------------------------------------------------------- does collapse obey it?


def rate_after_training(x, beta, *, start=0.05, steps=3000):
    """KL of a linear Bernoulli VAE with one latent, trained exactly: all data, z by quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    nodes = torch.tensor(nodes)
    weights = torch.tensor(weights / weights.sum())
    d = x.shape[1]
    encoder = torch.full((d,), start, dtype=torch.float64, requires_grad=True)
    offset = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    logvar = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    decoder = torch.full((d,), start, dtype=torch.float64, requires_grad=True)
    bias = torch.logit(x.mean(0)).clone().requires_grad_()
    parameters = [encoder, offset, logvar, decoder, bias]
    optimizer = torch.optim.Adam(parameters, lr=0.02)
    for _ in range(steps):
        mu = (x - x.mean(0)) @ encoder + offset  # (N,)
        z = mu[:, None] + (0.5 * logvar).exp() * nodes  # (N, K)
        logits = z[..., None] * decoder + bias  # (N, K, D)
        log_px = x[:, None] * logits - torch.nn.functional.softplus(logits)
        distortion = -(log_px.sum(-1) @ weights).mean()
        rate = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).mean()
        optimizer.zero_grad()
        (distortion + beta * rate).backward()
        optimizer.step()
    return rate.item()


@pytest.mark.parametrize(
    ("share", "collapsed"),
    [
        pytest.param(0.85, False, marks=pytest.mark.slow),
        (0.95, False),
        (1.05, True),
        pytest.param(1.2, True, marks=pytest.mark.slow),
    ],
)
def test_a_bernoulli_vae_collapses_at_the_predicted_beta(share, collapsed):
    x = bits(n=120, pixels=5)[..., :-1]
    critical = spectrum(data_of(x), Bernoulli()).critical_beta
    rate = rate_after_training((x.flatten(1) / 255).double(), share * critical)
    if collapsed:
        assert rate < 1e-3
    else:
        assert rate > 0.01


# ---------------------------------------------------------------------- MNIST

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data"
NUMBERS = [  # of all 60,000 training images, computed independently of vaecli
    ("dynamic", Bernoulli(), 32.44, {1: 164, 4: 25, 10: 7, 20: 3}),
    ("threshold", Bernoulli(), 33.52, {1: 154, 4: 27, 10: 8, 20: 3}),
    ("none", Bernoulli(), 32.23, {1: 109, 4: 24, 10: 7}),
    ("none", Gaussian(), 5.117, {1: 12, 2: 6, 4: 1}),
    ("none", GaussianLearned(), 76.1, {}),
]


@pytest.mark.skipif(not (FOLDER / "MNIST").is_dir(), reason="the real MNIST is not here")
@pytest.mark.parametrize(
    ("binarise", "likelihood", "critical", "counts"),
    [NUMBERS[0], *(pytest.param(*numbers, marks=pytest.mark.slow) for numbers in NUMBERS[1:])],
)
def test_mnist_has_the_thresholds_that_were_computed_elsewhere(
    binarise, likelihood, critical, counts
):
    data = Mnist(root=str(FOLDER), binarise=Binarise[binarise], val_fraction=0.0).load()
    found = spectrum(data, likelihood)
    assert found.critical_beta == pytest.approx(critical, rel=7e-4)  # printed digits
    assert {beta: found.unstable(beta)[0] for beta in counts} == counts
