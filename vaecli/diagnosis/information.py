"""The information of z about x: bounds, the aggregate posterior, and a split of the rate."""

# N examples, each with one code z ~ q(z|x); Z latent; nats

from __future__ import annotations

import math

import torch
from torch import Tensor

from vaecli.evaluation.aggregate import (
    CHUNK,
    Mixture,
    aggregate,
    information_of,
    log_density_and_pull,
    mean_with_pull,
)
from vaecli.evaluation.estimate import Estimate, mean_of
from vaecli.evaluation.passes import Encoded, first_rows, sample_codes
from vaecli.models.posteriors.gaussian import HALF_LOG_2PI
from vaecli.models.priors.base import Prior
from vaecli.models.priors.standard_normal import StandardNormal

MINIBATCH = 50  # of He et al. 2019, for images
MARGINAL_WORK = 2**31  # densities of one-dimensional components: some seconds on two cores
# The two bounds of the sandwich may differ by so much before neither end, nor the middle, is an
# estimate; and an estimate this close to its ceiling is the ceiling.
WIDE_GAP = 0.5
NEAR_CEILING = 1.0


def information(encoded: Encoded, *, seed: int, most: int, prior: Prior | None = None) -> dict:
    """The group `information` of the diagnosis, over the first `most` examples.

    mutual_information: I_q(x; z) = E log q(z|x) - E log q(z), between two bounds in expectation
    (Poole et al. 2019, "On variational bounds of mutual information", InfoNCE with the density
    in closed form, and leave-one-out): own_included from below, at most log N, and leave_one_out
    from above. The value is the middle, or the lower bound if the estimate is saturated.

    Args:
        encoded: posteriors of the examples.
        seed: of the codes.
        most: N.
        prior: p(z), for aggregate_kl and rate_split; None is N(0, I). The rate is split for a prior
            of independent dimensions only.

    Returns:
        The group.
    """
    prior = prior or StandardNormal()
    part = first_rows(encoded, most)
    z = sample_codes(part, seed)  # (N, Z)
    n = len(z)
    mixture = aggregate(z, part.mu, part.logvar)
    split = part.split
    below = information_of(mixture, "included", "own component included, a lower bound", split)
    above = information_of(mixture, "left_out", "own component left out, an upper bound", split)
    ceiling = math.log(n)
    saturated = above.value - below.value > WIDE_GAP or ceiling - below.value < NEAR_CEILING
    middle = information_of(
        mixture, "both", f"middle of both bounds, q(z) over {n} examples", split
    )
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


def minibatch_information(encoded: Encoded, z: Tensor) -> Estimate:
    """The estimator of He et al. 2019 as in their code, over batches of 50: at most log 50.

    The entropy of q(z|x) in closed form, q(z) over the batch with the code's component in it; the
    examples after the last full batch are not used. For comparison with published figures only.
    """
    size = min(MINIBATCH, len(z))
    count = len(z) // size
    mu, logvar = (part[: count * size].double() for part in (encoded.mu, encoded.logvar))
    neg_entropy = -(0.5 + HALF_LOG_2PI + 0.5 * logvar).sum(-1)  # (N,)
    values = [
        (neg_entropy[rows] - aggregate(z[rows], mu[rows], logvar[rows]).included).mean()
        for rows in torch.arange(count * size).split(size)
    ]
    estimate = mean_of(torch.stack(values), f"He et al. 2019, batches of {size}", encoded.split)
    return estimate._replace(n=count * size)


def _aggregate_kl(mixture: Mixture, which: str, z: Tensor, split: str, prior: Prior) -> Estimate:
    log_q, pull = log_density_and_pull(mixture, which)
    name = f"q(z) over {len(z)} examples" + (", an upper bound" if which == "included" else "")
    log_prior = prior.log_prob(z.double()[None])[0].cpu()
    return mean_with_pull(log_q - log_prior, pull, name, split)


def _rate_split(encoded: Encoded, z: Tensor, mixture: Mixture, which: str) -> dict:
    """The rate as mutual information, total correlation and marginal KLs (Chen et al. 2018).

    All over the same codes, so that the parts add up to E log q(z|x) - log p(z); the residual is
    that sum less the rate in closed form: the Monte Carlo error of the one code per example.
    """
    n, dims = z.shape
    m = min(n, max(100, MARGINAL_WORK // (n * dims)))
    marginals = log_marginals(z[:m], encoded.mu, encoded.logvar, which)  # (M, Z)
    log_q = log_density_and_pull(mixture, which)[0][:m]
    log_prior_per_dim = -0.5 * z[:m].double().square() - HALF_LOG_2PI
    per_dim = (marginals - log_prior_per_dim).mean(0)
    spent = mixture.conditional[:m] - log_prior_per_dim.sum(1)
    rate = encoded.kl_per_dim[:m].double().sum(1)
    parts = {
        "mutual_information": mixture.conditional[:m] - log_q,
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
    """Evaluate the marginals of the aggregate posterior, one dimension at a time.

    Sums are in float32: the densities have one dimension, and their differences are taken before
    they are squared.

    Args:
        z: (M, Z), codes of the first M components.
        mu: (N, Z) means of the components.
        logvar: (N, Z) log variances.
        which: "both", the mean of the logs with and without the code's component, as in Mixture, or
            "included".

    Returns:
        The log of q(z_j), (M, Z).
    """
    m, n = len(z), len(mu)
    out = torch.empty(z.shape, dtype=torch.float64)
    for j in range(z.shape[1]):
        centre, scale = mu[:, j].float(), (-0.5 * logvar[:, j].float()).exp()  # (N,)
        for rows in torch.arange(m).split(max(1, CHUNK // n)):
            distance = (z[rows, j].float()[:, None] - centre).mul_(scale)  # (b, N)
            density = distance.square_().mul_(-0.5).exp_().mul_(scale)
            diagonal = torch.arange(len(rows)), rows
            of_component = density[diagonal].clone()
            density[diagonal] = 0
            others = density.sum(1)
            included = (others + of_component).double().log() - math.log(n)
            # A code far from all other components has density 0 without its component: saturated.
            left_out = torch.where(others > 0, others.double().log() - math.log(n - 1), included)
            middle = included if which == "included" else 0.5 * (included + left_out)
            out[rows, j] = middle - HALF_LOG_2PI
    return out
