"""Linear warm-up of beta."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vaecli.objectives.schedules.base import WarmUp


@dataclass(frozen=True)
class Linear(WarmUp):
    """KL annealing in a straight line (Bowman et al. 2016; Sonderby et al. 2016)."""

    def rise(self, share: Tensor) -> Tensor:
        """The identity."""
        return share
