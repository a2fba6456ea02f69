"""delta-VAE proper: a posterior family that cannot reach the prior."""

# B batch, Z latent

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from vaecli.errors import require
from vaecli.models.vae import VAE
from vaecli.objectives.strategies.base import Strategy


@dataclass(frozen=True)
class CommittedRate(Strategy):
    """Every dimension's KL to N(0, 1) is at least `delta_per_dim`, by construction.

    Razavi et al. 2019 ("delta-VAE"), in the form for a prior of independent N(0, 1) dimensions that
    Zhu et al. 2020 compare with (their eq. 4): sigma lies strictly between the two roots of
    log sigma^2 - sigma^2 + 2 delta + 1 = 0, and mu = sqrt(2 delta + 1 + log sigma^2 - sigma^2 +
    relu(m)), so that KL_j = delta + relu(m_j) / 2.

    A constant mu meets the rate with nothing in z: judge it by the rise under shuffling and by
    mutual information, never by its KL. (The paper's own remedy is an autoregressive prior over a
    sequence of latents.)
    """

    slots: ClassVar[frozenset[str]] = frozenset({"posterior"})

    delta_per_dim: float = 0.15

    def validate(self) -> None:
        """The committed rate is positive and small enough for the roots to be told apart."""
        require(
            1e-4 <= self.delta_per_dim <= 10,
            "strategy.delta_per_dim",
            self.delta_per_dim,
            "must lie between 0.0001 and 10 nats per dimension",
            "Zhu et al. 2020 use 0.15",
        )

    def install(self, vae: VAE) -> None:
        """Replace the posterior family."""
        vae.posterior = CommittedPosterior(self.delta_per_dim)


class CommittedPosterior(nn.Module):
    """N(mu, sigma^2) with KL to N(0, 1) of at least `delta` nats."""

    delta: Tensor
    sigma_low: Tensor
    sigma_high: Tensor

    def __init__(self, delta: float):
        super().__init__()
        low, high = (math.sqrt(root) for root in variance_bounds(delta))
        # Buffers, since stacked runs may differ in them; not saved, since they follow from the
        # config.
        for name, value in (("delta", delta), ("sigma_low", low), ("sigma_high", high)):
            self.register_buffer(name, torch.tensor(value), persistent=False)

    def forward(self, stats: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's output (B, 2Z) -> mu, logvar (B, Z) each."""
        m, s = stats.chunk(2, dim=-1)
        # At the roots themselves mu = 0 and its square root has no gradient; the published code
        # keeps 1 + exp(-s) within [1, 50] for the same reason.
        inside = torch.sigmoid(s).clamp(0.02, 0.98)
        sigma = self.sigma_low + (self.sigma_high - self.sigma_low) * inside
        var = sigma.square()
        excess = 2 * self.delta + 1 + var.log() - var  # >= 0 between the roots
        return (excess + torch.relu(m) + 1e-6).sqrt(), var.log()


def variance_bounds(delta: float) -> tuple[float, float]:
    """The two roots of log v - v + 2 delta + 1 = 0, by bisection: v below 1 and v above 1."""

    def excess(v: float) -> float:
        return math.log(v) - v + 2 * delta + 1

    def bisect(outside: float, inside: float) -> float:
        for _ in range(200):
            middle = 0.5 * (outside + inside)
            outside, inside = (middle, inside) if excess(middle) < 0 else (outside, middle)
        return inside

    return bisect(math.exp(-2 * delta - 2), 1.0), bisect(4 * delta + 10, 1.0)
