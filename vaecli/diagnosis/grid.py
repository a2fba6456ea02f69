"""Exact posteriors of a model with one or two latents, on a grid."""

# N examples, G points of the grid, Z latents (1 or 2); nats

from __future__ import annotations

import math

import torch
from torch import Tensor

from vaecli.evaluation.passes import Encoded
from vaecli.models.vae import VAE

REACH = 6.0  # in each latent; a standard normal is beyond it once in 500 million
POINTS = {1: 601, 2: 97}  # along each axis


def grid(latents: int, *, reach: float = REACH) -> tuple[Tensor, float]:
    """The points (G, Z), float64, and the size of a cell.

    Raises ValueError for more than two latents.
    """
    if latents not in POINTS:
        raise ValueError(f"a grid over {latents} latents has too many points")
    along = torch.linspace(-reach, reach, POINTS[latents], dtype=torch.float64)
    points = torch.cartesian_prod(*[along] * latents).view(-1, latents)
    return points, (along[1] - along[0]).item() ** latents


@torch.no_grad()
def true_posterior_means(vae: VAE, x: Tensor) -> Tensor:
    """E[z|x] under the true posterior p(z|x) of the model, for x (N, ...): (N, Z) float64."""
    z, _ = grid(vae.latent_dim)
    z = z.float().to(x.device)
    rows = []
    for part in x.split(1):
        log_px = [vae.log_px(part, codes[:, None])[:, 0] for codes in z.split(500)]  # (G,)
        log_joint = torch.cat(log_px) + vae.prior.log_prob(z[:, None])[:, 0]
        rows.append(log_joint.double().softmax(0) @ z.double())
    return torch.stack(rows).cpu()


def information_on_grid(encoded: Encoded) -> float:
    """I_q(x; z) of the N examples: mean KL(q(z|x_n) || q(z)) by summing over the grid, nats.

    Raises ValueError if the grid is too coarse or too small for these posteriors.
    """
    mu, sigma = encoded.mu.double(), (0.5 * encoded.logvar.double()).exp()
    reach = max(REACH, (mu.abs() + 6 * sigma).max().item())
    z, cell = grid(mu.shape[1], reach=reach)
    apart = (z[None] - mu[:, None]) / sigma[:, None]  # (N, G, Z)
    log_q = -(0.5 * apart.square() + sigma[:, None].log() + 0.5 * math.log(2 * math.pi)).sum(-1)
    mass = log_q.exp() * cell  # (N, G)
    if (mass.sum(1) - 1).abs().max() > 0.01:
        raise ValueError("the posteriors are narrower than the grid's cells")
    log_mean = log_q.logsumexp(0) - math.log(len(mu))
    # Where no example has mass both logarithms are -inf, or nearly, and nothing is added.
    return torch.where(mass > 0, mass * (log_q - log_mean), 0.0).sum(1).mean().item()
