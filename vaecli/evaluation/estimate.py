"""A measured figure with its standard error and its origin."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from torch import Tensor


class Estimate(NamedTuple):
    """One figure with its standard error (None where the sample leaves no error)."""

    value: float
    standard_error: float | None
    estimator: str
    split: str
    n: int


def mean_of(values: Tensor, estimator: str, split: str) -> Estimate:
    """The mean of independent values and its standard error, in float64.

    Args:
        values: (N,), one an example.
        estimator: name of the estimate.
        split: name of the split.

    Returns:
        The estimate; without an error for a single value.
    """
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
