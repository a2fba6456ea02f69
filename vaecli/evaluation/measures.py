"""The figures of one pass: rate, active dimensions, units and directions, distortion, ELBO."""

# N examples, Z latent; nats per example

from __future__ import annotations

import torch
from torch import Tensor

from vaecli.data.sets.base import Data
from vaecli.evaluation.passes import Encoded, look
from vaecli.models.priors.base import Prior
from vaecli.models.priors.standard_normal import StandardNormal
from vaecli.models.vae import VAE

VARIANCE_THRESHOLD = 0.01  # of an active unit, Var_x[mu_j] (Burda et al. 2016)


def figures(
    encoded: Encoded,
    *,
    threshold: float,
    prior: Prior | None = None,
) -> dict:
    """The figures that need q(z|x) and the prior alone, in float64.

    threshold: nats; a dimension is active if its mean KL is above it. prior: None is N(0, I).
    A unit is active if the population variance Var_x[mu_j] is above VARIANCE_THRESHOLD.
    """
    kl = encoded.kl_per_dim.double().mean(0)  # (Z,)
    spread = mean_variance(encoded)
    active = int((kl > threshold).sum())
    return {
        "active_dimensions": active,
        "total_dimensions": kl.numel(),
        "utilization": active / kl.numel(),
        "rate": kl.sum().item(),
        "kl_per_dim": kl.tolist(),
        "active_units": int((spread > VARIANCE_THRESHOLD).sum()),
        "active_directions": active_directions(encoded),
        "mu_variance": spread.mean().item(),
        "mean_offset_kl": _mean_offset_kl(encoded.mu, prior or StandardNormal()),
        "mean_logvar": encoded.logvar.double().mean().item(),
    }


def _mean_offset_kl(mu: Tensor, prior: Prior) -> float:
    """What the rate owes to the average mean: the KL is quadratic in mu, whatever logvar."""
    mean = mu.double().mean(0, keepdim=True)
    none = torch.zeros_like(mean)
    return (prior.kl_per_dim(mean, none) - prior.kl_per_dim(none, none)).sum().item()


def mean_variance(encoded: Encoded) -> Tensor:
    """Var_x[mu_j], the population variance of the posterior means: (Z,) float64."""
    return encoded.mu.double().var(0, correction=0)


def active_directions(encoded: Encoded) -> int:
    """Eigenvalues of Cov_x[mu] above VARIANCE_THRESHOLD: active units, whatever the axes.

    A rotation of z changes the active units and hardly the ELBO, so training aligns directions
    with axes late: until then few directions are spread over many dimensions.
    """
    mu = encoded.mu.double()
    mu = mu - mu.mean(0)
    return int((torch.linalg.eigvalsh(mu.T @ mu / len(mu)) > VARIANCE_THRESHOLD).sum())


def evaluate(
    vae: VAE, data: Data, split: str, *, seed: int, threshold: float, samples: int | None = None
) -> tuple[dict, Encoded, Tensor]:
    """Figures with distortion and ELBO; also the encoded split and each example's distortion."""
    encoded, per_example = look(vae, data, split, seed=seed, samples=samples)
    found = measured(encoded, per_example, threshold=threshold, prior=vae.prior)
    return found, encoded, per_example


def measured(
    encoded: Encoded,
    per_example: Tensor,
    *,
    threshold: float,
    prior: Prior,
) -> dict:
    """`figures`, with the mean of each example's distortion (N,), and the ELBO."""
    found = figures(encoded, threshold=threshold, prior=prior)
    found["distortion"] = per_example.double().mean().item()
    found["elbo"] = -found["distortion"] - found["rate"]
    return found
