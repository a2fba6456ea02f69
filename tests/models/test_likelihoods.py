"""Every likelihood is the density, or mass function, that its name says."""

# N examples, C channels, H height, W width; nats per example

import math

import pytest
import torch
from omegaconf import OmegaConf
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Normal
from torch.func import functional_call, vmap

from vaecli.core.errors import UsageError
from vaecli.data.sets.base import Kind
from vaecli.models.likelihoods.bernoulli import MIN_PROBABILITY, Bernoulli
from vaecli.models.likelihoods.discretized_logistic import (
    LEVELS,
    MAX_LOG_SCALE,
    MIN_LOG_SCALE,
    DiscretizedLogistic,
)
from vaecli.models.likelihoods.gaussian import Gaussian
from vaecli.models.likelihoods.gaussian_learned import MIN_LOG_SIGMA, GaussianLearned

ALL = [Bernoulli, Gaussian, GaussianLearned, DiscretizedLogistic]
GRID = torch.arange(LEVELS) / (LEVELS - 1)  # the levels of an 8-bit pixel

likelihoods = pytest.mark.parametrize("likelihood", ALL, ids=lambda l: l.__name__)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def moments(x):
    return x.mean(0), x.var(0, unbiased=False)


def nll_of_bias(likelihood, bias, x):
    """Mean negative log-likelihood of the decoder that ignores its code."""
    return -likelihood.log_prob(bias.expand(len(x), *bias.shape), x).mean()


def one_pixel(*values):
    """Outputs (1, len(values), 1, 1) of a decoder for a single pixel."""
    return torch.tensor(values, dtype=torch.float32).reshape(1, -1, 1, 1)


def pixels(values):
    """(N,) values as N images of one pixel."""
    return values.reshape(-1, 1, 1, 1)


# ---------------------------------------------------------------- all of them


@likelihoods
def test_shapes_and_dtypes_are_those_of_the_contract(likelihood):
    likelihood = likelihood()
    mean, variance = torch.rand(3, 4, 5), torch.rand(3, 4, 5)
    bias = likelihood.start(mean, variance)
    assert bias.shape == (likelihood.outputs * 3, 4, 5)
    out = bias.expand(7, *bias.shape).bfloat16()  # as a decoder under autocast returns it
    x = torch.rand(7, 3, 4, 5).round()
    for result, shape in [
        (likelihood.log_prob(out, x), (7,)),
        (likelihood.mean(out), x.shape),
        (likelihood.sample(out, torch.rand_like(x)), x.shape),
    ]:
        assert result.shape == shape
        assert result.dtype == torch.float32
        assert result.isfinite().all()


@likelihoods
def test_log_prob_sums_over_pixels_and_keeps_examples_apart(likelihood):
    likelihood = likelihood()
    out, x = torch.randn(4, 2 * likelihood.outputs, 3, 3), torch.rand(4, 2, 3, 3).round()
    per_pixel = sum(
        likelihood.log_prob(
            torch.stack([block[:, c, i, j] for block in out.chunk(likelihood.outputs, 1)], 1)[
                ..., None, None
            ],
            x[:, c, i, j, None, None, None],
        )
        for c in range(2)
        for i in range(3)
        for j in range(3)
    )
    # float32 sums of 18 terms in another order
    torch.testing.assert_close(likelihood.log_prob(out, x), per_pixel, rtol=1e-5, atol=1e-5)


@likelihoods
def test_noise_at_the_edges_of_its_range_gives_finite_samples(likelihood):
    likelihood = likelihood()
    out = torch.zeros(1, likelihood.outputs, 1, 2)
    drawn = likelihood.sample(out, torch.tensor([[[[0.0, 1.0]]]]))
    assert drawn.isfinite().all()


@likelihoods
def test_likelihood_survives_the_way_through_omegaconf(likelihood):
    made = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(likelihood), {}))
    assert type(made) is likelihood
    made.validate()
    assert made.kinds <= set(Kind)


@likelihoods
def test_stacked_log_prob_equals_each_run_alone(likelihood):
    likelihood = likelihood()
    out, x = torch.randn(2, 3, likelihood.outputs, 4, 4), torch.rand(3, 1, 4, 4).round()
    parameters = {name: torch.stack([p, p + 1]) for name, p in likelihood.named_parameters()}

    stacked = vmap(
        lambda p, out: _log_prob(likelihood, p, out, x), in_dims=(dict.fromkeys(parameters, 0), 0)
    )(parameters, out)
    for run in range(2):
        alone = _log_prob(likelihood, {n: p[run] for n, p in parameters.items()}, out[run], x)
        torch.testing.assert_close(stacked[run], alone)


class _Call(torch.nn.Module):
    def __init__(self, likelihood):
        super().__init__()
        self.likelihood = likelihood

    def forward(self, out, x):
        return self.likelihood.log_prob(out, x)


def _log_prob(likelihood, parameters, out, x):
    named = {f"likelihood.{name}": value for name, value in parameters.items()}
    return functional_call(_Call(likelihood), named, (out, x))


# ---------------------------------------------------------------- Bernoulli


def test_bernoulli_equals_torch_distributions():
    out, x = 3 * torch.randn(5, 2, 3, 4), torch.rand(5, 2, 3, 4).round()
    expected = TorchBernoulli(logits=out).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(Bernoulli().log_prob(out, x), expected)


def test_bernoulli_masses_of_zero_and_one_sum_to_one():
    out = torch.linspace(-20, 20, 41).reshape(-1, 1, 1, 1)
    masses = [Bernoulli().log_prob(out, torch.full_like(out, v)).exp() for v in (0.0, 1.0)]
    torch.testing.assert_close(sum(masses), torch.ones(41))


def test_bernoulli_is_exact_for_grey_levels_between():
    """The customary cross-entropy x log p + (1 - x) log(1 - p), here at p = sigmoid(0) = 1/2."""
    x = pixels(torch.tensor([0.0, 0.3, 1.0]))
    out = torch.zeros_like(x)
    torch.testing.assert_close(Bernoulli().log_prob(out, x), torch.full((3,), -math.log(2)))


def test_bernoulli_start_has_the_entropy_of_independent_pixels():
    x = (torch.rand(500, 1, 4, 4) < torch.linspace(0, 1, 16).reshape(1, 4, 4)).float()
    mean, variance = moments(x)  # the first pixel is never on, the last always
    assert mean.min() == 0
    assert mean.max() == 1
    entropy = -(torch.xlogy(mean, mean) + torch.xlogy(1 - mean, 1 - mean)).sum()
    nll = nll_of_bias(Bernoulli(), Bernoulli().start(mean, variance), x)
    # the floor costs at most -log(1 - floor) at each of 16 pixels; float32 the rest
    assert -1e-5 <= nll - entropy <= 16 * 1.01 * MIN_PROBABILITY + 1e-5


def test_bernoulli_floor_costs_less_than_a_tenth_of_a_nat_on_mnist():
    assert -784 * math.log1p(-MIN_PROBABILITY) < 0.1


def test_bernoulli_sample_is_one_as_often_as_the_mean_says():
    out = torch.tensor([-2.0, 0.0, 1.5]).reshape(1, 1, 1, 3).expand(20_000, -1, -1, -1)
    drawn = Bernoulli().sample(out, torch.rand(out.shape))
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    # 5 standard errors: 5 sqrt(1/4 / 20000) = 0.018
    torch.testing.assert_close(drawn.mean(0), Bernoulli().mean(out[0]), atol=0.018, rtol=0)


# ---------------------------------------------------------------- Gaussians


@pytest.mark.parametrize("sigma", [0.05, 1.0, 3.0])
def test_gaussian_equals_torch_distributions_with_its_constant(sigma):
    out, x = torch.randn(5, 2, 3, 4), torch.randn(5, 2, 3, 4)
    expected = Normal(out, sigma).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(Gaussian(sigma=sigma).log_prob(out, x), expected)
    learned = GaussianLearned(initial_sigma=sigma)
    torch.testing.assert_close(learned.log_prob(out, x).detach(), expected)


def test_gaussian_integrates_to_one():
    x = torch.linspace(-8, 8, 4001)
    density = Gaussian(sigma=0.7).log_prob(torch.full((4001, 1, 1, 1), 0.3), pixels(x)).exp()
    # the trapezoid rule is exact to far below float32 for a Gaussian on a grid this fine
    assert torch.trapezoid(density, x).item() == pytest.approx(1, abs=1e-5)


def test_gaussian_start_is_the_stationary_bias():
    x = torch.rand(200, 2, 3, 3)
    likelihood = Gaussian(sigma=0.5)
    bias = likelihood.start(*moments(x)).requires_grad_()
    (gradient,) = torch.autograd.grad(nll_of_bias(likelihood, bias, x), bias)
    assert gradient.abs().max() < 1e-5  # zero up to float32 rounding of a mean over 200


@pytest.mark.parametrize("kind", [Gaussian, GaussianLearned])
def test_gaussian_samples_have_its_moments(kind):
    likelihood = Gaussian(sigma=0.5) if kind is Gaussian else GaussianLearned(initial_sigma=0.5)
    drawn = likelihood.sample(torch.full((40_000, 1, 1, 1), 2.0), torch.rand(40_000, 1, 1, 1))
    # 5 standard errors: 0.5 / 200 * 5 = 0.0125 for the mean, less for the standard deviation
    assert drawn.mean().item() == pytest.approx(2, abs=0.0125)
    assert drawn.std().item() == pytest.approx(0.5, abs=0.0125)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.inf, math.nan])
def test_gaussian_sigma_that_is_not_positive_and_finite_is_refused(sigma):
    with pytest.raises(UsageError, match=r"likelihood\.sigma="):
        Gaussian(sigma=sigma).validate()


@pytest.mark.parametrize("kind", [Gaussian, GaussianLearned])
def test_gaussians_are_not_offered_for_binary_data(kind):
    assert Kind.BINARY not in kind.kinds


# ---------------------------------------------------------------- learned sigma


def test_learned_sigma_starts_where_its_gradient_vanishes():
    """sigma^2 = mean variance about the pixel means is the optimum of the code-free decoder."""
    x = torch.rand(300, 1, 4, 4) * torch.linspace(0.1, 2, 16).reshape(1, 4, 4)
    mean, variance = moments(x)
    likelihood = GaussianLearned()
    bias = likelihood.start(mean, variance).requires_grad_()
    assert likelihood.log_sigma.exp().item() == pytest.approx(variance.mean().sqrt().item())
    nll_of_bias(likelihood, bias, x).backward()
    # zero up to float32: the terms that cancel are of order 16
    assert likelihood.raw_log_sigma.grad.abs() < 1e-4
    assert bias.grad.abs().max() < 1e-4


def test_initial_sigma_if_given_is_exact_and_kept_by_start():
    likelihood = GaussianLearned(initial_sigma=0.3)
    likelihood.start(torch.zeros(1, 2, 2), torch.ones(1, 2, 2))
    assert likelihood.log_sigma.exp().item() == pytest.approx(0.3)


def test_learned_sigma_stays_above_its_floor_and_keeps_a_gradient_there():
    likelihood = GaussianLearned()
    likelihood.start(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2))  # constant data
    assert MIN_LOG_SIGMA < likelihood.log_sigma < MIN_LOG_SIGMA + 1.1
    torch.nn.init.constant_(likelihood.raw_log_sigma, MIN_LOG_SIGMA - 5)
    assert likelihood.log_sigma > MIN_LOG_SIGMA
    # an error of one level asks for a larger sigma
    likelihood.log_prob(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 1 / 255)).backward()
    assert likelihood.raw_log_sigma.grad > 0


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.exp(MIN_LOG_SIGMA), math.inf, math.nan])
def test_initial_sigma_at_or_below_the_floor_is_refused(sigma):
    with pytest.raises(UsageError, match=r"likelihood\.initial_sigma="):
        GaussianLearned(initial_sigma=sigma).validate()


# ---------------------------------------------------------------- discretised logistic

LOGISTICS = [
    (mean, log_scale)
    for mean in (-0.4, 0.0, 0.5, 0.73, 1.0, 1.6)
    for log_scale in (MIN_LOG_SCALE, -5.0, -3.0, 0.0, MAX_LOG_SCALE)
]


@pytest.mark.parametrize(("mean", "log_scale"), LOGISTICS)
def test_the_256_masses_are_differences_of_the_cdf_and_sum_to_one(mean, log_scale):
    out = one_pixel(mean, log_scale).expand(LEVELS, -1, -1, -1)
    log_mass = DiscretizedLogistic().log_prob(out, pixels(GRID)).double()
    # means and scales are float32 inside; each of 256 masses may be off by a relative 1e-5
    assert log_mass.exp().sum().item() == pytest.approx(1, abs=1e-4)

    edges = (torch.arange(LEVELS - 1).double() + 0.5) / (LEVELS - 1)
    standard = (edges - torch.tensor(mean).double()) / torch.tensor(log_scale).double().exp()
    cdf = torch.cat([torch.zeros(1), standard.sigmoid(), torch.ones(1)])
    direct = cdf.diff()
    kept = direct > 1e-9  # where the plain difference in float64 has not cancelled
    # float32: the argument of a sigmoid reaches 2000 at the smallest scale, and then log mass too
    torch.testing.assert_close(log_mass[kept], direct[kept].log(), rtol=1e-4, atol=1e-3)


def test_masses_and_gradients_stay_finite_far_from_the_data():
    out = torch.stack(
        [
            torch.tensor([mean, log_scale])
            for mean in (-100.0, 0.5, 100.0)
            for log_scale in (-100.0, MIN_LOG_SCALE, 0.0, 100.0)
        ]
    )[..., None, None].requires_grad_()
    for value in (0.0, 1 / 255, 0.5, 1.0):
        log_mass = DiscretizedLogistic().log_prob(out, torch.full((len(out), 1, 1, 1), value))
        assert log_mass.isfinite().all()
        assert (log_mass <= 0).all()
        (gradient,) = torch.autograd.grad(log_mass.sum(), out)
        assert gradient.isfinite().all()


def test_logistic_start_fits_logistic_pixels():
    """Moments and likelihood agree for logistic data well inside the range."""
    noise = torch.rand(50_000, 1, 1, 1)
    x = DiscretizedLogistic().sample(one_pixel(0.5, -3.5).expand(50_000, -1, -1, -1), noise)
    start = DiscretizedLogistic().start(*moments(x))
    # mean 0.5 +- 5 * 0.055 / 224; log scale +- 5 standard errors of a logistic's, 0.9 / 224
    torch.testing.assert_close(start.flatten(), torch.tensor([0.5, -3.5]), atol=0.02, rtol=0)
    best = nll_of_bias(DiscretizedLogistic(), one_pixel(0.5, -3.5)[0], x)
    assert nll_of_bias(DiscretizedLogistic(), start, x) == pytest.approx(best.item(), abs=1e-3)


def test_logistic_start_is_no_worse_than_uniform_levels_for_grey_data():
    """Uniform grey levels are not logistic; the moments are still a sensible start."""
    x = torch.randint(LEVELS, (4000, 1, 2, 2)) / (LEVELS - 1)
    nll = nll_of_bias(DiscretizedLogistic(), DiscretizedLogistic().start(*moments(x)), x)
    assert nll < 4 * (math.log(LEVELS) + 0.25)


def test_logistic_start_of_constant_pixels_is_finite_and_puts_most_mass_on_them():
    for value in (0.0, 100 / 255, 1.0):
        x = torch.full((3, 1, 1, 1), value)
        start = DiscretizedLogistic().start(*moments(x))
        assert nll_of_bias(DiscretizedLogistic(), start, x) < 0.5


@pytest.mark.parametrize("log_scale", [-6.0, -3.0, -1.0, 1.0])
def test_logistic_mean_and_samples_agree_with_the_masses(log_scale):
    out = one_pixel(0.7, log_scale)
    mass = DiscretizedLogistic().log_prob(out.expand(LEVELS, -1, -1, -1), pixels(GRID)).exp()
    expected = (mass * GRID).sum().item()
    # the closed form leaves out the rounding, at most half a level
    assert DiscretizedLogistic().mean(out).item() == pytest.approx(expected, abs=0.5 / 255)

    noise = (torch.arange(100_000) + 0.5) / 100_000  # a quantile grid in place of chance
    drawn = DiscretizedLogistic().sample(out.expand(100_000, -1, -1, -1), pixels(noise))
    levels = (drawn.flatten() * (LEVELS - 1)).round().long()
    torch.testing.assert_close(drawn.flatten(), GRID[levels])
    share = levels.bincount(minlength=LEVELS) / 100_000
    # a quantile grid of 1e-5 misplaces at most one draw at either edge of a bin
    torch.testing.assert_close(share, mass, atol=2.5e-5, rtol=0)


# ---------------------------------------------------------------- the score at collapse


@pytest.mark.parametrize(
    "likelihood",
    [Bernoulli(), Gaussian(sigma=0.7), GaussianLearned()],
    ids=lambda l: type(l).__name__,
)
def test_whitened_score_is_the_gradient_over_the_root_of_minus_the_second_derivative(likelihood):
    """At the best constant output; the second derivative is the same for every x."""
    grey = torch.rand(50, 2, 3, 3) * torch.linspace(0.3, 1, 9).reshape(3, 3)
    mean, variance = moments(grey)
    start = likelihood.start(mean, variance)
    out = start.expand(50, *start.shape).clone().requires_grad_()
    (score,) = torch.autograd.grad(
        likelihood.log_prob(out, grey).sum(), out, create_graph=True
    )  # pixels and examples are independent: one backward pass gives every derivative
    (second,) = torch.autograd.grad(score.sum(), out)
    torch.testing.assert_close(second, second[:1].expand_as(second))
    found = likelihood.whitened_score(grey, mean, variance)
    # float32 sums; sigma of the learned one goes through log and softplus
    torch.testing.assert_close(
        found, (score / (-second).sqrt()).detach().flatten(1), rtol=1e-4, atol=1e-5
    )
    # so that the bias alone cannot improve: start is the best constant
    torch.testing.assert_close(found.mean(0), torch.zeros(18), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "likelihood", [Bernoulli(), Gaussian(), GaussianLearned()], ids=lambda l: type(l).__name__
)
def test_whitened_score_of_a_pixel_that_never_varies_is_zero(likelihood):
    x = torch.rand(20, 1, 2, 2).round()
    x[..., 0, 0], x[..., 1, 1] = 0, 1
    found = likelihood.whitened_score(x, *moments(x))
    assert found.isfinite().all()
    assert (found[:, [0, 3]] == 0).all()
    assert (found[:, 1:3] != 0).all()
