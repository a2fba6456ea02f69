"""Beta held at its target from the first step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vaecli.objectives.schedules.base import Schedule


@dataclass(frozen=True)
class Constant(Schedule):
    """beta(t) = beta. With beta = 1 this is the VAE; otherwise the beta-VAE (Higgins 2017)."""

    def curve(self, steps: int, steps_per_epoch: int) -> Tensor:
        """Beta at every decoder update, (T,)."""
        return torch.full((steps,), float(self.beta))
