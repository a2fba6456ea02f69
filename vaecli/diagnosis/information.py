"""What z knows of x: mutual information, the aggregate posterior, and where the rate goes."""

# N examples, each with one code z ~ q(z|x); Z latent; nats

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from vaecli.diagnosis.estimate import Estimate, mean_of
from vaecli.diagnosis.rate import Encoded, first_rows, sample_codes
from vaecli.models.posterior import HALF_LOG_2PI, LatentSequence, StandardNormal

CHUNK = 2**21  # elements of the largest intermediate tensor: what fits a CPU's cache is fastest
MINIBATCH = 50  # of He et al. 2019, for images
MARGINAL_WORK = 2**31  # densities of one-dimensional components: some seconds on two cores
# The two bounds of the sandwich may differ by so much before neither end, nor the middle, is an
# estimate; and an estimate this close to its ceiling is the ceiling.
WIDE_GAP = 0.5
NEAR_CEILING = 1.0


class Mixture(NamedTuple):
    """The aggregate posterior q(z) = 1/N sum_n q(z|x_n), at one code of each of its components.

    log q(z) with a code's own component is biased up, without it down, by the same amount to first
    order in 1/N: if r is the mean of (q(z|x)/q(z))^2 over x, by (r - 1)/2N either way. So the mean
    of the two has no bias of that order. (Own derivation; a test holds it against closed forms.)
    """

    own: Tensor  # (N,) log q(z_n|x_n)
    included: Tensor  # (N,) log q(z_n) with the own component
    left_out: Tensor  # (N,) log q(z_n) without it, 1/(N-1)
    pull_included: Tensor  # (N,) what a component adds to all others' densities; 1 on average
    pull_left_out: Tensor  # (N,)


def information(
    encoded: Encoded, *, seed: int, most: int, prior: StandardNormal | LatentSequence | None = None
) -> dict:
    """The group `information` of the diagnosis, over the first `most` examples.

    mutual_information: I_q(x; z) = E log q(z|x) - E log q(z), between two bounds in expectation
    (Poole et al. 2019, "On variational bounds of mutual information", InfoNCE with known density
    and leave-one-out): own_included from below, at most log N, and leave_one_out from above. The
    value is the middle, or the lower bound where the estimate is saturated.
    prior: p(z), of which aggregate_kl and rate_split speak; None is N(0, I). The rate is split for
    a prior of independent dimensions only.
    """
    prior = prior or StandardNormal()
    part = first_rows(encoded, most)
    z = sample_codes(part, seed)  # (N, Z)
    n = len(z)
    mixture = aggregate(z, part.mu, part.logvar)
    split = part.split
    below = _information(mixture, "included", "own component included, a lower bound", split)
    above = _information(mixture, "left_out", "own component left out, an upper bound", split)
    ceiling = math.log(n)
    saturated = above.value - below.value > WIDE_GAP or ceiling - below.value < NEAR_CEILING
    middle = _information(mixture, "both", f"middle of both bounds, q(z) over {n} examples", split)
    which = "included" if saturated else "both"
    return {
        "mutual_information": below if saturated else middle,
        "own_included": below,
        "leave_one_out": above,
        "ceiling": ceiling,
        "saturated": saturated,
        "minibatch": minibatch_information(part, z),
        "minibatch_ceiling": math.log(min(MINIBATCH, n)),
        "aggregate_kl": _aggregate_kl(mixture, which, z, split, prior),
        **(_rate_split(part, z, mixture, which) if prior.factorised else {}),
    }


def mutual_information(encoded: Encoded, *, seed: int = 0, most: int = 2000) -> Estimate:
    """I_q(x; z) with each code's own component in the mixture: a lower bound, at most log N.

    The estimator of He et al. 2019 (their eq. 5) with the aggregate over up to `most` examples
    instead of a minibatch: cheap enough to watch during training.
    """
    part = first_rows(encoded, most)
    if len(part.mu) < 2:
        return Estimate(0.0, None, "a single example tells nothing", part.split, len(part.mu))
    z = sample_codes(part, seed)
    mixture = aggregate(z, part.mu, part.logvar)
    name = f"own component included, a lower bound; q(z) over {len(z)} examples"
    return _information(mixture, "included", name, part.split)


def aggregate(z: Tensor, mu: Tensor, logvar: Tensor) -> Mixture:
    """The log of q(z) at z (N, Z), row n drawn from component n of mu, logvar (N, Z), in float64.

    The quadratic form is expanded into matrix products, so memory is bounded and the N x N
    densities take one pass. Needs at least two examples.
    """
    z, mu, logvar = z.double(), mu.double(), logvar.double()
    n = len(z)
    precision = (-logvar).exp()  # (N, Z)
    constant = -0.5 * ((mu.square() * precision).sum(-1) + logvar.sum(-1))  # (N,)
    constant -= mu.shape[1] * HALF_LOG_2PI
    linear, quadratic = (mu * precision).T, -0.5 * precision.T  # (Z, N) each
    own = log_density(z, mu, logvar)  # (N,)
    others = torch.empty_like(own)
    pull_included, pull_left_out = torch.zeros_like(own), torch.zeros_like(own)
    for rows in torch.arange(n).split(max(1, CHUNK // n)):
        block = z[rows]  # (m, Z)
        exponent = torch.addmm(constant, block, linear).addmm_(block.square(), quadratic)  # (m, N)
        exponent[torch.arange(len(rows)), rows] = -math.inf
        top = exponent.amax(1)
        density = exponent.sub_(top[:, None]).exp_()  # over exp(top)
        total = density.sum(1)
        others[rows] = top + total.log()
        everyone = torch.logaddexp(others[rows], own[rows])
        pull_included += (top - everyone).exp() @ density
        pull_included[rows] += (own[rows] - everyone).exp()
        pull_left_out += total.reciprocal() @ density
    return Mixture(
        own,
        torch.logaddexp(others, own) - math.log(n),
        others - math.log(n - 1),
        pull_included,
        pull_left_out,
    )


def log_density(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """Log N(z; mu, exp(logvar)), summed over dimensions: three (N, Z) -> (N,) float64."""
    z, mu, logvar = z.double(), mu.double(), logvar.double()
    return -(0.5 * (z - mu).square() / logvar.exp() + 0.5 * logvar + HALF_LOG_2PI).sum(-1)


def minibatch_information(encoded: Encoded, z: Tensor) -> Estimate:
    """The estimator of He et al. 2019 as in their code, over batches of 50: at most log 50.

    The entropy of q(z|x) in closed form, q(z) over the batch, the own component included; what is
    left over after whole batches is not used. For comparison with published figures only.
    """
    size = min(MINIBATCH, len(z))
    count = len(z) // size
    mu, logvar = (part[: count * size].double() for part in (encoded.mu, encoded.logvar))
    neg_entropy = -(0.5 + HALF_LOG_2PI + 0.5 * logvar).sum(-1)  # (N,)
    values = [
        (neg_entropy[rows] - aggregate(z[rows], mu[rows], logvar[rows]).included).mean()
        for rows in torch.arange(count * size).split(size)
    ]
    found = mean_of(torch.stack(values), f"He et al. 2019, batches of {size}", encoded.split)
    return found._replace(n=count * size)


def _information(mixture: Mixture, which: str, estimator: str, split: str) -> Estimate:
    log_q, pull = _density(mixture, which)
    return _with_pull(mixture.own - log_q, -pull, estimator, split)


def _aggregate_kl(
    mixture: Mixture, which: str, z: Tensor, split: str, prior: StandardNormal | LatentSequence
) -> Estimate:
    log_q, pull = _density(mixture, which)
    name = f"q(z) over {len(z)} examples" + (", an upper bound" if which == "included" else "")
    log_prior = prior.log_prob(z.double()[None])[0].cpu()
    return _with_pull(log_q - log_prior, pull, name, split)


def _density(mixture: Mixture, which: str) -> tuple[Tensor, Tensor]:
    if which == "included":
        return mixture.included, mixture.pull_included
    if which == "left_out":
        return mixture.left_out, mixture.pull_left_out
    return (
        0.5 * (mixture.included + mixture.left_out),
        0.5 * (mixture.pull_included + mixture.pull_left_out),
    )


def _with_pull(values: Tensor, pull: Tensor, estimator: str, split: str) -> Estimate:
    """The mean of `values` with the standard error of the infinitesimal jackknife.

    An example counts twice: by its own value, and as a component of the mixture that all others
    are measured with (`pull`). Taking the values as independent would miss the second.
    """
    error = mean_of(values + pull, estimator, split).standard_error
    return mean_of(values, estimator, split)._replace(standard_error=error)


def _rate_split(encoded: Encoded, z: Tensor, mixture: Mixture, which: str) -> dict:
    """The rate as mutual information, total correlation and marginal KLs (Chen et al. 2018).

    All over the same codes, so that the parts add up to E log q(z|x) - log p(z); the residual is
    that sum less the rate in closed form: the Monte Carlo error of the one code per example.
    """
    n, dims = z.shape
    m = min(n, max(100, MARGINAL_WORK // (n * dims)))
    marginals = log_marginals(z[:m], encoded.mu, encoded.logvar, which)  # (M, Z)
    log_q = _density(mixture, which)[0][:m]
    log_prior_per_dim = -0.5 * z[:m].double().square() - HALF_LOG_2PI
    per_dim = (marginals - log_prior_per_dim).mean(0)
    spent = mixture.own[:m] - log_prior_per_dim.sum(1)
    rate = encoded.kl_per_dim[:m].double().sum(1)
    parts = {
        "mutual_information": mixture.own[:m] - log_q,
        "total_correlation": log_q - marginals.sum(1),
        "marginal_kl": (marginals - log_prior_per_dim).sum(1),
        "residual": spent - rate,
    }
    name = f"one code per example, q(z) over {n} examples"
    return {
        "rate_split": {key: mean_of(v, name, encoded.split) for key, v in parts.items()},
        "marginal_kl_per_dim": per_dim.tolist(),
    }


def log_marginals(z: Tensor, mu: Tensor, logvar: Tensor, which: str = "both") -> Tensor:
    """The log of q(z_j) at the codes z (M, Z) of the first M of N components: (M, Z).

    which: "both", the mean of the logs with and without the own component, as in Mixture, or
    "included". Sums in float32: the densities are of one dimension, and their differences are taken
    before they are squared.
    """
    m, n = len(z), len(mu)
    out = torch.empty(z.shape, dtype=torch.float64)
    for j in range(z.shape[1]):
        centre, scale = mu[:, j].float(), (-0.5 * logvar[:, j].float()).exp()  # (N,)
        for rows in torch.arange(m).split(max(1, CHUNK // n)):
            distance = (z[rows, j].float()[:, None] - centre).mul_(scale)  # (b, N)
            density = distance.square_().mul_(-0.5).exp_().mul_(scale)
            diagonal = torch.arange(len(rows)), rows
            own = density[diagonal].clone()
            density[diagonal] = 0
            others = density.sum(1)
            included = (others + own).double().log() - math.log(n)
            # A code no other component comes near has no density without its own; it is saturated.
            left_out = torch.where(others > 0, others.double().log() - math.log(n - 1), included)
            middle = included if which == "included" else 0.5 * (included + left_out)
            out[rows, j] = middle - HALF_LOG_2PI
    return out
