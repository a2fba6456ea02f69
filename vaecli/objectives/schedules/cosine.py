"""Warm-up of beta along half a cosine."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from vaecli.objectives.schedules.base import WarmUp


@dataclass(frozen=True)
class Cosine(WarmUp):
    """KL annealing with a flat start and a flat end: 1/2 - 1/2 cos(pi v) (Fu et al. 2019)."""

    def rise(self, share: Tensor) -> Tensor:
        """V -> (1 - cos(pi v)) / 2."""
        return 0.5 - 0.5 * (math.pi * share).cos()
