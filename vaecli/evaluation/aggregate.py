"""The aggregate posterior q(z) of a split, and the mutual information of x and z under it."""

# N examples, each with one code z ~ q(z|x); Z latent; nats

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from vaecli.evaluation.estimate import Estimate, mean_of
from vaecli.evaluation.passes import Encoded, first_rows, sample_codes
from vaecli.models.posteriors.gaussian import HALF_LOG_2PI

CHUNK = 2**21  # elements of the largest intermediate tensor: it should fit a CPU's cache


class Mixture(NamedTuple):
    """The aggregate posterior q(z) = 1/N sum_n q(z|x_n), at one code of each of its components.

    log q(z) is biased up if the mixture includes the component of the code, and down without it, by
    the same amount to first order in 1/N: by (r - 1)/2N, where r is the mean of (q(z|x)/q(z))^2
    over x. So the mean of the two has no bias of that order. (Derived here; a test compares it with
    closed forms.)
    """

    conditional: Tensor  # (N,) log q(z_n|x_n)
    included: Tensor  # (N,) log q(z_n), component n in the mixture
    left_out: Tensor  # (N,) log q(z_n) without component n, 1/(N-1)
    pull_included: Tensor  # (N,) sum over codes of a component's share; 1 on average
    pull_left_out: Tensor  # (N,)


def mutual_information(encoded: Encoded, *, seed: int = 0, most: int = 2000) -> Estimate:
    """I_q(x; z), each code's component in the mixture: a lower bound, at most log N.

    The estimator of He et al. 2019 (their eq. 5) with the aggregate over up to `most` examples
    instead of a minibatch: cheap enough to watch during training.

    Args:
        encoded: posteriors of N examples.
        seed: of the codes.
        most: use the first so many examples.

    Returns:
        Nats.
    """
    part = first_rows(encoded, most)
    if len(part.mu) < 2:
        return Estimate(0.0, None, "a single example tells nothing", part.split, len(part.mu))
    z = sample_codes(part, seed)
    mixture = aggregate(z, part.mu, part.logvar)
    name = f"own component included, a lower bound; q(z) over {len(z)} examples"
    return information_of(mixture, "included", name, part.split)


def aggregate(z: Tensor, mu: Tensor, logvar: Tensor) -> Mixture:
    """Evaluate the aggregate posterior at one code of each of its components, in float64.

    Args:
        z: (N, Z), row n drawn from component n; N at least 2.
        mu: (N, Z) means of the components.
        logvar: (N, Z) log variances.

    Returns:
        log q(z) with and without each code's component.
    """
    # With p = 1/variance, the exponent of component m at code z is, expanded in powers of z,
    #   -1/2 sum_j (z_j - mu_j)^2 p_j  =  constant_m + z . (mu p)_m - 1/2 z^2 . p_m,
    # so the N x N exponents are two matrix products. Blocks of rows bound the memory.
    z, mu, logvar = z.double(), mu.double(), logvar.double()
    n = len(z)
    precision = (-logvar).exp()  # (N, Z)
    constant = -0.5 * ((mu.square() * precision).sum(-1) + logvar.sum(-1))  # (N,)
    constant -= mu.shape[1] * HALF_LOG_2PI
    linear, quadratic = (mu * precision).T, -0.5 * precision.T  # (Z, N) each
    conditional = log_density(z, mu, logvar)  # (N,)
    others = torch.empty_like(conditional)
    pull_included, pull_left_out = torch.zeros_like(conditional), torch.zeros_like(conditional)
    for rows in torch.arange(n).split(max(1, CHUNK // n)):
        block = z[rows]  # (m, Z)
        exponent = torch.addmm(constant, block, linear).addmm_(block.square(), quadratic)  # (m, N)
        exponent[torch.arange(len(rows)), rows] = -math.inf  # the code's component is added below
        top = exponent.amax(1)
        density = exponent.sub_(top[:, None]).exp_()  # over exp(top)
        total = density.sum(1)
        others[rows] = top + total.log()
        everyone = torch.logaddexp(others[rows], conditional[rows])
        pull_included += (top - everyone).exp() @ density
        pull_included[rows] += (conditional[rows] - everyone).exp()
        pull_left_out += total.reciprocal() @ density
    return Mixture(
        conditional,
        torch.logaddexp(others, conditional) - math.log(n),
        others - math.log(n - 1),
        pull_included,
        pull_left_out,
    )


def log_density(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """Log density of a diagonal Gaussian.

    Args:
        z: (N, Z).
        mu: (N, Z).
        logvar: (N, Z).

    Returns:
        Log N(z; mu, exp(logvar)), summed over dimensions, (N,) float64.
    """
    z, mu, logvar = z.double(), mu.double(), logvar.double()
    return -(0.5 * (z - mu).square() / logvar.exp() + 0.5 * logvar + HALF_LOG_2PI).sum(-1)


def information_of(mixture: Mixture, which: str, estimator: str, split: str) -> Estimate:
    """I_q(x; z) by one of the mixture's densities.

    Args:
        mixture: of N components.
        which: "included", "left_out" or "both".
        estimator: name of the estimate.
        split: name of the split.

    Returns:
        Nats.
    """
    log_q, pull = log_density_and_pull(mixture, which)
    return mean_with_pull(mixture.conditional - log_q, -pull, estimator, split)


def log_density_and_pull(mixture: Mixture, which: str) -> tuple[Tensor, Tensor]:
    """Log q(z_n) and the pull of each component, (N,) each; "both" is the mean of the two."""
    if which == "included":
        return mixture.included, mixture.pull_included
    if which == "left_out":
        return mixture.left_out, mixture.pull_left_out
    return (
        0.5 * (mixture.included + mixture.left_out),
        0.5 * (mixture.pull_included + mixture.pull_left_out),
    )


def mean_with_pull(values: Tensor, pull: Tensor, estimator: str, split: str) -> Estimate:
    """The mean of `values` with the standard error of the infinitesimal jackknife.

    An example counts twice: by its value, and by `pull`, as a component of the mixture that all
    values are computed with. Taking the values as independent would miss the second.

    Args:
        values: (N,).
        pull: (N,).
        estimator: name of the estimate.
        split: name of the split.

    Returns:
        The estimate.
    """
    error = mean_of(values + pull, estimator, split).standard_error
    return mean_of(values, estimator, split)._replace(standard_error=error)
