"""Warm-up of beta along a logistic curve."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vaecli.objectives.schedules.base import WarmUp


@dataclass(frozen=True)
class Sigmoid(WarmUp):
    """KL annealing with the logistic curve of Bowman et al. 2016, 1 / (1 + exp(6 - 12 v)).

    Fu et al. 2019 use the same slope. The curve is stretched so that it starts and ends exactly at
    its ends: the logistic function itself would stop at 0.9975 of the target.
    """

    def rise(self, share: Tensor) -> Tensor:
        """V -> (s(v) - s(0)) / (s(1) - s(0)) with s(v) = 1 / (1 + exp(6 - 12 v))."""
        ends = share.new_tensor([0.0, 1.0]).mul(12).sub(6).sigmoid()
        return ((12 * share - 6).sigmoid() - ends[0]) / (ends[1] - ends[0])
