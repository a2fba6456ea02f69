"""The keys of configs/trainer: how a run is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from vaecli.core.errors import require


class Optimizer(Enum):
    """The optimiser of both halves of the model."""

    adam = "adam"
    adamw = "adamw"


class LrSchedule(Enum):
    """The curve of the learning rate over the run."""

    constant = "constant"
    cosine = "cosine"
    linear = "linear"


class Amp(Enum):
    """Arithmetic of the networks; densities and KL are float32 in all of them."""

    auto = "auto"
    bf16 = "bf16"
    fp16 = "fp16"
    off = "off"


class Compile(Enum):
    """The use of torch.compile for the forward and backward pass."""

    auto = "auto"
    on = "on"
    off = "off"


@dataclass(frozen=True)
class TrainerConfig:
    """See the comments in configs/trainer/default.yaml."""

    epochs: float
    lr: float
    max_steps: int | None = None
    max_seconds: float | None = None
    batch_size: int = 128
    optimizer: Optimizer = Optimizer.adam
    lr_schedule: LrSchedule = LrSchedule.constant
    weight_decay: float = 0.0
    clip: float | None = None
    amp: Amp = Amp.auto
    compile: Compile = Compile.auto
    evaluate_every: float = 1.0
    checkpoint_every: float = 1.0

    def validate(self) -> None:
        """Raise UsageError for keys outside their range."""
        for key, remedy in (
            ("epochs", "try trainer.epochs=10"),
            ("lr", "try trainer.lr=1e-3"),
            ("evaluate_every", "1 evaluates after every epoch"),
            ("checkpoint_every", "1 writes one after every epoch"),
        ):
            value = getattr(self, key)
            above = 0 < value < math.inf
            require(above, f"trainer.{key}", value, "must be a number above 0", remedy)
        for key, remedy in (
            ("max_steps", "null: no limit"),
            ("max_seconds", "null: no limit"),
            ("clip", "null: no clipping"),
        ):
            value = getattr(self, key)
            require(value is None or value > 0, f"trainer.{key}", value, "must be above 0", remedy)
        require(
            self.batch_size >= 2,
            "trainer.batch_size",
            self.batch_size,
            "must be at least 2",
            "try trainer.batch_size=128",
        )
        require(
            self.weight_decay >= 0,
            "trainer.weight_decay",
            self.weight_decay,
            "must be >= 0",
            "use 0 for none",
        )

    def total_steps(self, steps_per_epoch: int) -> int:
        """Decoder updates in the whole run."""
        steps = max(1, round(self.epochs * steps_per_epoch))
        return steps if self.max_steps is None else min(steps, self.max_steps)
