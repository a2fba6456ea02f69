"""The statistics of training steps: they stay on the device and are read rarely."""

# W updates since the last look

from __future__ import annotations

import math
import time
from typing import Any

import torch
from torch import Tensor

STATISTICS = ("loss", "distortion", "rate")


class Diverged(Exception):
    """A non-finite loss; names the update and the term."""

    def __init__(self, step: int, term: str, value: float):
        super().__init__(f"{term} became {value} at decoder update {step}")


class Meter:
    """Collects STATISTICS of every update and the time that training takes.

    Reading is the only host synchronisation of the training loop.
    """

    def __init__(self, batch_size: int):
        self.batch_size = batch_size
        self.seconds = 0.0  # of training, without evaluations
        self._window: list[Tensor] = []  # (3,) each
        self._totals = [0.0] * len(STATISTICS)  # since the last evaluation
        self._updates = 0
        self._seconds_before = 0.0

    def __len__(self) -> int:
        return len(self._window)

    def start(self) -> None:
        """Let the clock run (again)."""
        self._clock = time.perf_counter()

    def add(self, statistics: Tensor) -> None:
        """Take in STATISTICS (3,) of one update; they stay on the device."""
        self._window.append(statistics)

    def read(self, step: int) -> dict[str, float]:
        """Means of the window that ends at decoder update `step`; empties it.

        Raises Diverged at the first value that is not finite.
        """
        rows = torch.stack(self._window).tolist()
        self._window = []
        now = time.perf_counter()
        elapsed, self._clock = now - self._clock, now
        return self.take(rows, elapsed, step)

    def take(self, rows: list[list[float]], elapsed: float, step: int) -> dict[str, float]:
        """Add a window to the totals.

        Args:
            rows: STATISTICS of W updates.
            elapsed: seconds that they took.
            step: decoder updates at the end of the window.

        Returns:
            Means over the window, and images per second.

        Raises:
            Diverged: at the first value that is not finite.
        """
        self.seconds += elapsed
        for i, row in enumerate(rows):
            for name, value in zip(STATISTICS, row, strict=True):
                if not math.isfinite(value):
                    # Encoder-only updates share the step of the decoder update that follows.
                    raise Diverged(max(0, step - len(rows) + 1 + i), name, value)
                self._totals[STATISTICS.index(name)] += value
        self._updates += len(rows)
        means = {
            name: sum(column) / len(rows)
            for name, column in zip(STATISTICS, zip(*rows, strict=True), strict=True)
        }
        return means | {"images_per_second": len(rows) * self.batch_size / max(elapsed, 1e-9)}

    def training_means(self) -> dict[str, float | None]:
        """Means over all updates since the last call; None where there were none."""
        count, totals = self._updates, self._totals
        keys = [f"train_{name}" for name in STATISTICS]
        if not count:
            return dict.fromkeys((*keys, "train_elbo", "images_per_second"))
        seconds = self.seconds - self._seconds_before
        self._seconds_before = self.seconds
        self._totals, self._updates = [0.0] * len(STATISTICS), 0
        return {
            **{key: total / count for key, total in zip(keys, totals, strict=True)},
            "train_elbo": -(totals[1] + totals[2]) / count,
            "images_per_second": count * self.batch_size / max(seconds, 1e-9),
        }

    def state_dict(self) -> dict[str, Any]:
        """The totals, in plain types. The window must be empty."""
        return {
            "seconds": self.seconds,
            "totals": list(self._totals),
            "updates": self._updates,
            "seconds_before": self._seconds_before,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned. Raises ValueError if it is none."""
        loss, distortion, rate = map(float, state["totals"])
        self._totals, self._updates = [loss, distortion, rate], int(state["updates"])
        self.seconds, self._seconds_before = float(state["seconds"]), float(state["seconds_before"])
