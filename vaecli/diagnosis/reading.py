"""Access to the figures of a diagnosis, whatever groups it has."""

from __future__ import annotations

import math
from typing import Any

from vaecli.diagnosis.figures import DEFAULT_THRESHOLD


def value(diagnosis: dict, *path: str) -> float | None:
    """The number at `path` of a diagnosis, of an Estimate its value; None if there is none.

    None too for a number that is not finite: whoever draws or compares needs no other case.
    """
    item = leaf(diagnosis, *path)
    if isinstance(item, dict):
        item = item.get("value")
    return float(item) if isinstance(item, int | float) and math.isfinite(item) else None


def leaf(diagnosis: dict, *path: str) -> Any:
    """The item at `path` of a diagnosis; None where the path ends early."""
    item: Any = diagnosis
    for key in path:
        if not isinstance(item, dict):
            return None
        item = item.get(key)
    return item


def error(diagnosis: dict, *path: str) -> float | None:
    """The standard error of the Estimate at `path`; None where there is none."""
    return value(diagnosis, *path, "standard_error")


def per_dim(diagnosis: dict, *path: str) -> list[float]:
    """The list at `path`, one number a dimension, NaN for None; [] if there is none."""
    numbers = leaf(diagnosis, *path)
    if not isinstance(numbers, list):
        return []
    return [math.nan if v is None else float(v) for v in numbers]


def information_bounds(diagnosis: dict) -> tuple[float | None, float | None]:
    """Lower and upper bound of the mutual information, nats; None where it was not measured."""
    below = value(diagnosis, "information", "own_included")
    if below is None:
        below = value(diagnosis, "information", "mutual_information")
    bounds = [value(diagnosis, "information", "leave_one_out"), value(diagnosis, "rate")]
    above = [bound for bound in bounds if bound is not None]  # no code holds more than it costs
    return below, min(above) if bounds[0] is not None else None


def threshold(diagnosis: dict) -> float:
    """The KL in nats above which a dimension is active; the default if the diagnosis has none."""
    return float(diagnosis.get("threshold") or DEFAULT_THRESHOLD)
