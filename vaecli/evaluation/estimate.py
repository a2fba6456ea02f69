"""A measured figure together with what it takes to believe it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from torch import Tensor


class Estimate(NamedTuple):
    """One figure with its standard error (None where it is exact given the sample)."""

    value: float
    standard_error: float | None
    estimator: str
    split: str
    n: int


def mean_of(values: Tensor, estimator: str, split: str) -> Estimate:
    """The mean of per-example values (N,) and its standard error, in float64."""
    values = values.double()
    n = values.numel()
    error = values.std(correction=1).item() / math.sqrt(n) if n > 1 else None
    return Estimate(values.mean().item(), error, estimator, split, n)


def plain(value: Any) -> Any:
    """`value` with every Estimate in it, however deep, as a dict: what diagnosis.json holds."""
    if isinstance(value, Estimate):
        return value._asdict()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value
