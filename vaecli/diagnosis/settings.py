"""The keys of configs/diagnosis: what is diagnosed, and on what."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from vaecli.core.errors import require
from vaecli.diagnosis.figures import DEFAULT_THRESHOLD


class Part(Enum):
    """A split of the data."""

    train = "train"
    val = "val"
    test = "test"


class Weights(Enum):
    """The checkpoint to diagnose."""

    last = "last"
    best = "best"


@dataclass(frozen=True)
class DiagnosisConfig:
    """See the comments in configs/diagnosis/default.yaml."""

    split: Part = Part.test
    checkpoint: Weights = Weights.last
    threshold: float = DEFAULT_THRESHOLD
    samples: int | None = None
    aggregate: int = 10000
    importance_samples: int = 100
    ablation: int = 1000
    refine_steps: int = 50
    baseline_steps: int = 200
    autoregressive_examples: int = 200
    probes: bool = True
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
        # Above them a diagnosis has no end in sight; a run's settings may come from someone else.
        for key, least, most, example in (
            ("aggregate", 2, math.inf, "10000"),
            ("importance_samples", 0, 100_000, "100, or 0 to leave the likelihood out"),
            ("ablation", 0, math.inf, "1000, or 0 to leave it out"),
            ("refine_steps", 0, 10_000, "50, or 0 to leave it out"),
            ("baseline_steps", 0, 100_000, "200, or 0 to leave it out"),
            ("autoregressive_examples", 10, math.inf, "200"),
        ):
            value = getattr(self, key)
            rule = f"must be at least {least}"
            if most < math.inf:
                rule = f"must be from {least} to {most:,}"
            within = least <= value <= most
            require(within, f"diagnosis.{key}", value, rule, f"the default is {example}")
        require(
            self.tsne_points == 0 or 50 <= self.tsne_points <= 20_000,
            "diagnosis.tsne_points",
            self.tsne_points,
            "must be 0 (no t-SNE), or from 50 to 20,000",
            "the default is 1000",
        )
