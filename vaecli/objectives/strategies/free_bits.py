"""Free bits: a part of the rate that costs nothing."""

# B batch, Z latent

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from torch import Tensor

from vaecli.core.errors import require
from vaecli.models.vae import Terms
from vaecli.objectives.strategies.base import State, Strategy, distortion


class Per(Enum):
    """The unit that each free allowance belongs to. A batch total is `strategy=delta_vae`."""

    dimension = "dimension"
    sample_dimension = "sample_dimension"
    sample = "sample"


@dataclass(frozen=True)
class FreeBits(Strategy):
    """Free bits with the floor `free_nats` = lambda, in three published reductions.

    ==================  ===========================================  ============================
    free_bits_per       term in place of the KL                      source
    ==================  ===========================================  ============================
    dimension           sum_j max(lambda, mean_n KL_nj)              Kingma et al. 2016, eq. 15;
                                                                     their code: 0.25 nats
    sample_dimension    mean_n sum_j max(lambda, KL_nj)              Li et al. 2019 ("fb 2")
    sample              mean_n max(lambda, KL_n), KL_n summed        Li et al. 2019 ("fb 1")
    ==================  ===========================================  ============================

    The first two give lambda to each dimension, so the total floor is lambda times latent_dim; the
    third is the total itself. A mask (KL > lambda) * KL, as Li et al. write it, has the gradient of
    the maximum; the value reported here is the maximum.

    Example::

        vae-train schedule.beta=4 strategy=free_bits strategy.free_nats=0.5

    References:
        Kingma et al. 2016, "Improving Variational Inference with Inverse Autoregressive Flow", eq.
        15.
        Li et al. 2019, "A Surprisingly Effective Fix for Deep Latent Variable Modeling of Text",
        "fb 1" and "fb 2".
    """

    slots: ClassVar[frozenset[str]] = frozenset({"loss"})

    free_nats: float = 0.25
    free_bits_per: Per = Per.dimension

    def validate(self) -> None:
        """Raise UsageError for a negative floor."""
        require(
            self.free_nats >= 0,
            "strategy.free_nats",
            self.free_nats,
            "must be >= 0 nats",
            "Kingma et al. use 0.25 per dimension; 0 is the plain ELBO",
        )

    def loss(self, terms: Terms, beta: Tensor, state: State) -> tuple[Tensor, State]:
        """Compute -E log p(x|z) + beta times the floored rate.

        Args:
            terms: log p(x|z) (K, B) and KL (B, Z) of a batch.
            beta: (), the present weight of the KL.
            state: passed through.

        Returns:
            The loss, () in nats per example, and the state.
        """
        kl = terms.kl_per_dim  # (B, Z)
        if self.free_bits_per is Per.dimension:
            rate = kl.mean(0).clamp(min=self.free_nats).sum()
        elif self.free_bits_per is Per.sample_dimension:
            rate = kl.clamp(min=self.free_nats).sum(-1).mean()
        else:
            rate = kl.sum(-1).clamp(min=self.free_nats).mean()
        return distortion(terms) + beta * rate, state
