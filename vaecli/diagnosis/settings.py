"""The keys of configs/diagnosis: what is diagnosed, and on what."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from vaecli.errors import require


class Part(Enum):
    """A split of the data."""

    train = "train"
    val = "val"
    test = "test"


class Weights(Enum):
    """Which checkpoint is diagnosed."""

    last = "last"
    best = "best"


@dataclass(frozen=True)
class DiagnosisConfig:
    """See the comments in configs/diagnosis/default.yaml."""

    split: Part = Part.test
    checkpoint: Weights = Weights.last
    threshold: float = 0.01
    samples: int | None = None
    plots: bool = True
    tsne_points: int = 1000

    def validate(self) -> None:
        """Raise UsageError for keys outside their range."""
        require(
            self.threshold > 0,
            "diagnosis.threshold",
            self.threshold,
            "must be above 0 nats",
            "the usual threshold is 0.01",
        )
        require(
            self.samples is None or self.samples >= 10,
            "diagnosis.samples",
            self.samples,
            "must be at least 10",
            "null uses the whole split",
        )
        require(
            self.tsne_points == 0 or self.tsne_points >= 50,
            "diagnosis.tsne_points",
            self.tsne_points,
            "must be 0 (no t-SNE) or at least 50",
            "the default is 1000",
        )
