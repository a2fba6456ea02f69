"""The progress of a run, and its collapse on the way."""

# nats per example

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

COLLAPSED_AFTER = 3  # evaluations in a row with no active dimension


@dataclass
class Progress:
    """The progress of a run in plain numbers, all of them in the checkpoint."""

    step: int = 0  # decoder updates; schedules, epochs and logs count these
    encoder_updates: int = 0
    best: float = math.inf  # lowest validation distortion + schedule.beta x rate so far
    inactive_evaluations: int = 0  # in a row
    collapsed_at_step: int | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for numbers that no run can reach: they may come from a file."""
        counts = (self.step, self.encoder_updates, self.inactive_evaluations)
        counts += () if self.collapsed_at_step is None else (self.collapsed_at_step,)
        if type(self.best) is not float or any(type(n) is not int or n < 0 for n in counts):
            raise ValueError("progress that no run can have made")

    def watch(self, row: dict[str, Any]) -> str | None:
        """Count evaluations without an active dimension; a warning once there are enough."""
        dead = row["active_dimensions"] == 0 and row["beta"] > 0 and self.step > 0
        self.inactive_evaluations = self.inactive_evaluations + 1 if dead else 0
        if self.inactive_evaluations != COLLAPSED_AFTER or self.collapsed_at_step is not None:
            return None
        self.collapsed_at_step = self.step
        return (
            f"posterior collapse: no active dimension in {COLLAPSED_AFTER} evaluations, "
            f"at step {self.step} with beta {row['beta']:.3g}"
        )


def collapse_step(rows: list[dict[str, Any]]) -> int | None:
    """The step at which a run with these evaluations noticed its collapse; None without one.

    rows: of metrics.jsonl; a row that lacks a figure is no sign of collapse.
    """
    progress = Progress()
    for row in rows:
        progress.step = row.get("step") or 0
        active, beta = row.get("active_dimensions"), row.get("beta") or 0.0
        progress.watch({"active_dimensions": active, "beta": beta})
    return progress.collapsed_at_step
