"""delta-VAE proper: a posterior family that cannot reach the prior."""

# B batch, Z latent, n steps of a latent sequence

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from vaecli.core.errors import require
from vaecli.models.base import Family
from vaecli.models.priors.latent_sequence import LatentSequence, committed_rate
from vaecli.models.vae import VAE
from vaecli.objectives.strategies.base import Strategy

LEAST_VARIANCE = 1e-6  # of a step of the latent sequence; float32 tells no smaller one apart


@dataclass(frozen=True)
class CommittedRate(Strategy):
    """The rate is at least `delta_per_dim` nats per dimension, by construction.

    Razavi et al. 2019 ("delta-VAE"), in two forms. Either spends a rate, not necessarily on x:
    judge it by the rise under shuffling and by mutual information, never by its KL.

    latent_steps None: the form for a prior of independent N(0, 1) dimensions that Zhu et al. 2020
    compare with (their eq. 4): sigma lies strictly between the two roots of
    log sigma^2 - sigma^2 + 2 delta + 1 = 0, and mu = sqrt(2 delta + 1 + log sigma^2 - sigma^2 +
    relu(m)), so that KL_j = delta + relu(m_j) / 2. A constant mu meets it with nothing in z.

    latent_steps n: the form of the paper. z is a sequence of n codes of latent_dim / n dimensions.
    The prior is autoregressive (`LatentSequence`), the posterior independent over the sequence. The
    prior's coefficient is the one at which no such posterior has a rate below `delta_per_dim`, on
    average over dimensions. A feature that changes slowly along the sequence is cheap. The decoder
    reads the full sequence at every position; that of the paper reads as many codes as it has
    written positions.

    Example::

        vae-train strategy=committed_rate strategy.delta_per_dim=0.15
        vae-train model.latent_dim=16 strategy=committed_rate strategy.latent_steps=8

    References:
        Razavi et al. 2019, "Preventing Posterior Collapse with delta-VAEs", section 2.2 and
        eq. 4.
        Zhu et al. 2020, "A Batch Normalized Inference Network Keeps the KL Vanishing Away", eq. 4.
    """

    slots: ClassVar[frozenset[str]] = frozenset({"posterior", "prior"})

    delta_per_dim: float = 0.15
    latent_steps: int | None = None

    def validate(self) -> None:
        """Raise UsageError for a rate at which float32 cannot separate the two roots."""
        require(
            1e-4 <= self.delta_per_dim <= 10,
            "strategy.delta_per_dim",
            self.delta_per_dim,
            "must lie between 0.0001 and 10 nats per dimension",
            "Zhu et al. 2020 use 0.15",
        )
        require(
            self.latent_steps is None or self.latent_steps >= 2,
            "strategy.latent_steps",
            self.latent_steps,
            "must be at least 2, or null for independent dimensions",
            "try strategy.latent_steps=8",
        )
        if self.latent_steps is not None:
            most = committed_rate(self.latent_steps, math.sqrt(1 - LEAST_VARIANCE))
            require(
                self.delta_per_dim <= most,
                "strategy.delta_per_dim",
                self.delta_per_dim,
                f"is more than a sequence of {self.latent_steps} codes commits: at "
                f"{most:.3g} its codes are all but equal",
                f"choose at most {math.floor(100 * most) / 100:g}, or fewer codes",
            )

    def validate_model(self, model: Family, name: str) -> None:
        """Raise UsageError unless the latents divide into steps."""
        require(
            self.latent_steps is None or model.latent_dim % self.latent_steps == 0,
            "strategy.latent_steps",
            self.latent_steps,
            f"must divide model.latent_dim={model.latent_dim}",
            f"try strategy.latent_steps={model.latent_dim if model.latent_dim > 1 else 'null'}",
        )

    def install(self, vae: VAE) -> None:
        """Replace the posterior family, or the prior."""
        if self.latent_steps is None:
            vae.posterior = CommittedPosterior(self.delta_per_dim)
        else:
            a = coefficient(self.latent_steps, self.delta_per_dim)
            vae.prior = LatentSequence(self.latent_steps, a)


def coefficient(steps: int, delta: float) -> float:
    """The a of a `LatentSequence` whose committed rate per dimension is delta, by bisection."""
    low, high = 0.0, 1.0  # the rate grows from 0 without bound
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle < 1 and committed_rate(steps, middle) < delta:
            low = middle
        else:
            high = middle
    return low


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
