"""The figures of one pass: rate, active dimensions, units and directions, distortion, ELBO."""

# N examples, Z latent; nats per example

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vaecli.evaluation.passes import Encoded
from vaecli.models.priors.base import Prior
from vaecli.models.priors.standard_normal import StandardNormal

VARIANCE_THRESHOLD = 0.01  # of an active unit, Var_x[mu_j] (Burda et al. 2016)


def active_units(encoded: Encoded, prior: Prior) -> int:
    """Dimensions whose population variance Var_x[mu_j] is above VARIANCE_THRESHOLD."""
    return int((mean_variance(encoded) > VARIANCE_THRESHOLD).sum())


def active_directions(encoded: Encoded, prior: Prior) -> int:
    """Eigenvalues of Cov_x[mu] above VARIANCE_THRESHOLD: active units, whatever the axes.

    A rotation of z changes the active units and hardly the ELBO, so training aligns directions
    with axes late: until then few directions are spread over many dimensions.
    """
    mu = encoded.mu.double()
    mu = mu - mu.mean(0)
    return int((torch.linalg.eigvalsh(mu.T @ mu / len(mu)) > VARIANCE_THRESHOLD).sum())


def mu_variance(encoded: Encoded, prior: Prior) -> float:
    """The mean over dimensions of Var_x[mu_j]."""
    return mean_variance(encoded).mean().item()


def mean_offset_kl(encoded: Encoded, prior: Prior) -> float:
    """The part of the rate that the average mean adds; the KL is quadratic in mu."""
    mean = encoded.mu.double().mean(0, keepdim=True)
    none = torch.zeros_like(mean)
    return (prior.kl_per_dim(mean, none) - prior.kl_per_dim(none, none)).sum().item()


def mean_logvar(encoded: Encoded, prior: Prior) -> float:
    """The mean of log sigma_j(x)^2 over examples and dimensions."""
    return encoded.logvar.double().mean().item()


# Each becomes a figure of every evaluation and diagnosis, under the function's name. Its entry in
# diagnosis/figures.py says what every page calls it.
MEASURES: list[Callable[[Encoded, Prior], float]] = [
    active_units,
    active_directions,
    mu_variance,
    mean_offset_kl,
    mean_logvar,
]


def figures(encoded: Encoded, *, threshold: float, prior: Prior | None = None) -> dict:
    """The figures that need q(z|x) and the prior alone, in float64.

    Args:
        encoded: the posterior of N examples.
        threshold: nats; a dimension is active if its mean KL is above it.
        prior: p(z); None is N(0, I).
    """
    kl = encoded.kl_per_dim.double().mean(0)  # (Z,)
    active = int((kl > threshold).sum())
    prior = prior or StandardNormal()
    return {
        "active_dimensions": active,
        "total_dimensions": kl.numel(),
        "utilization": active / kl.numel(),
        "rate": kl.sum().item(),
        "kl_per_dim": kl.tolist(),
        **{measure.__name__: measure(encoded, prior) for measure in MEASURES},
    }


def measured(encoded: Encoded, per_example: Tensor, *, threshold: float, prior: Prior) -> dict:
    """`figures`, with the mean of each example's distortion (N,), and the ELBO."""
    return with_distortion(figures(encoded, threshold=threshold, prior=prior), per_example)


def with_distortion(figures: dict, per_example: Tensor) -> dict:
    """`figures` with the mean of each example's distortion (N,), and the ELBO."""
    distortion = per_example.double().mean().item()
    return figures | {"distortion": distortion, "elbo": -distortion - figures["rate"]}


def mean_variance(encoded: Encoded) -> Tensor:
    """Var_x[mu_j], the population variance of the posterior means: (Z,) float64."""
    return encoded.mu.double().var(0, correction=0)
