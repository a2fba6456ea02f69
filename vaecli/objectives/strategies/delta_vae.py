"""The hinge max(delta, KL) on the total rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from vaecli.core.errors import require
from vaecli.models.vae import Terms
from vaecli.objectives.strategies.base import State, Strategy, distortion


@dataclass(frozen=True)
class DeltaVAE(Strategy):
    """-E log p(x|z) + beta max(delta, mean_n KL_n): free bits on the batch's total rate.

    Tutorials call this hinge "delta-VAE"; in the literature it is the batch-total variant of free
    bits (Pelsmaeker & Aziz 2020; "fb 3" of Li et al. 2019). The delta-VAE of Razavi et al. 2019,
    whose families cannot reach zero KL at all, is `strategy=committed_rate`.
    """

    slots: ClassVar[frozenset[str]] = frozenset({"loss"})

    delta: float = 8.0

    def validate(self) -> None:
        """The floor is not negative."""
        require(
            self.delta >= 0,
            "strategy.delta",
            self.delta,
            "must be >= 0 nats",
            "Li et al. 2019 use 8 nats with 32 latents; 0 is the plain ELBO",
        )

    def loss(self, terms: Terms, beta: Tensor, state: State) -> tuple[Tensor, State]:
        """-E log p(x|z) + beta times the floored total rate."""
        rate = terms.kl_per_dim.sum(-1).mean().clamp(min=self.delta)
        return distortion(terms) + beta * rate, state
