"""Cyclical annealing of beta."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vaecli.core.errors import require
from vaecli.objectives.schedules.base import Schedule


@dataclass(frozen=True)
class Cyclical(Schedule):
    """Cyclical annealing (Fu et al. 2019, eq. 6): `cycles` linear rises, each then held.

    The run is cut into M = `cycles` equal periods; in each, beta goes from `start` to `beta` over
    the first R = `ratio` of the period and stays there for the rest.
    """

    start: float = 0.0
    cycles: int = 4
    ratio: float = 0.5

    def validate(self, epochs: float) -> None:
        """Raise UsageError for keys outside their range."""
        super().validate(epochs)
        require(self.start >= 0, "schedule.start", self.start, "must be >= 0", "use 0")
        require(
            self.cycles >= 1, "schedule.cycles", self.cycles, "must be at least 1", "Fu et al.: 4"
        )
        require(
            0 < self.ratio <= 1,
            "schedule.ratio",
            self.ratio,
            "is the part of a cycle that rises: above 0, at most 1",
            "Fu et al. use 0.5",
        )

    def curve(self, steps: int, steps_per_epoch: int) -> Tensor:
        """Beta at every decoder update, (T,)."""
        period = steps / self.cycles
        share = (torch.arange(steps) % period) / (self.ratio * period)
        return self.start + (self.beta - self.start) * share.clamp(max=1.0)
