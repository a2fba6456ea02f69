"""Schedules of beta: the curve of a run, computed before the first step."""

# T decoder updates in the run

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from vaecli.core.errors import UsageError, require


@dataclass(frozen=True)
class Schedule(ABC):
    """Beta as a function of the number of decoder updates; fields are the yaml's keys.

    `beta` is always the target, the value at which the run is judged.
    """

    beta: float = 1.0

    def validate(self, epochs: float) -> None:
        """Raise UsageError for keys outside their range, given the length of the run."""
        require(
            self.beta >= 0, "schedule.beta", self.beta, "must be >= 0", "use 0 to drop the KL term"
        )

    @abstractmethod
    def curve(self, steps: int, steps_per_epoch: int) -> Tensor:
        """Beta at every decoder update, (T,) float32."""


@dataclass(frozen=True)
class WarmUp(Schedule):
    """A schedule that goes from `start` to `beta` in a warm-up and stays there.

    The warm-up is a fraction of the run, unless a number of epochs or of steps is given. What
    differs between the shapes is `rise`, which maps [0, 1] onto itself.
    """

    start: float = 0.0
    warmup: float = 0.25
    warmup_epochs: float | None = None
    warmup_steps: int | None = None

    def validate(self, epochs: float) -> None:
        """Raise UsageError for a warm-up that is given twice or longer than the run."""
        super().validate(epochs)
        require(self.start >= 0, "schedule.start", self.start, "must be >= 0", "use 0")
        require(
            0 <= self.warmup <= 1,
            "schedule.warmup",
            self.warmup,
            "is a fraction of the run, from 0 to 1",
            "for epochs use schedule.warmup_epochs, for updates schedule.warmup_steps",
        )
        require(
            self.warmup_epochs is None or self.warmup_steps is None,
            "schedule.warmup_steps",
            self.warmup_steps,
            "cannot be given together with schedule.warmup_epochs",
            "give one of the two",
        )
        for key in ("warmup_epochs", "warmup_steps"):
            value = getattr(self, key)
            require(value is None or value >= 0, f"schedule.{key}", value, "must be >= 0", "use 0")
        if self.warmup_epochs is not None and self.warmup_epochs > epochs:
            raise _too_long("warmup_epochs", self.warmup_epochs, f"{epochs:g} epochs")

    def curve(self, steps: int, steps_per_epoch: int) -> Tensor:
        """Beta at every decoder update, (T,): start + (beta - start) rise(t / warm-up)."""
        length = self._length(steps, steps_per_epoch)
        share = torch.ones(steps)
        if length > 0:
            share = (torch.arange(steps) / length).clamp(max=1.0)
        return self.start + (self.beta - self.start) * self.rise(share)

    @abstractmethod
    def rise(self, share: Tensor) -> Tensor:
        """The shape: share of the warm-up done, in [0, 1] -> [0, 1], with 0 -> 0 and 1 -> 1."""

    def _length(self, steps: int, steps_per_epoch: int) -> float:
        if self.warmup_steps is not None:
            if self.warmup_steps > steps:
                raise _too_long("warmup_steps", self.warmup_steps, f"{steps} decoder updates")
            return self.warmup_steps
        if self.warmup_epochs is not None:
            length = self.warmup_epochs * steps_per_epoch
            if length > steps + 0.5:  # the run's length was rounded to whole updates
                raise _too_long("warmup_epochs", self.warmup_epochs, f"{steps} decoder updates")
            return length
        return self.warmup * steps


def _too_long(key: str, value: float, run: str) -> UsageError:
    return UsageError(
        f"schedule.{key}",
        value,
        f"the warm-up is longer than the run of {run}, so beta never reaches its target",
        f"lower schedule.{key} or raise trainer.epochs",
    )
