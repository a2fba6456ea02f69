"""The figures of a comparison as text, for every format."""

from __future__ import annotations

from typing import Any

from vaecli.diagnosis.figures import Figure, compared
from vaecli.reporting.comparison.groups import Comparison, Setting, Spread
from vaecli.reporting.comparison.runs import RunRecord
from vaecli.reporting.comparison.swept import format_value

UNIT = (
    "Figures are in nats per example: summed over pixels or tokens, and over latent dimensions, "
    "averaged over examples."
)


def present_columns(comparison: Comparison) -> list[Figure]:
    """The columns that some finished run has a figure for."""
    return [c for c in compared() if any(run.figure(c.key) is not None for run in comparison.done)]


def shared_figure(comparison: Comparison, key: str) -> float | None:
    """The figure that all finished runs agree in; None if they do not, or one lacks it."""
    figures = {run.figure(key) for run in comparison.done}
    return figures.pop() if len(figures) == 1 else None


def format_values(values: dict[str, Any]) -> list[str]:
    """The values of the swept keys; a dash for one that a run lacks."""
    return ["–" if value is None else format_value(value) for value in values.values()]


def format_figure(
    value: float | None, column: Figure, *, missing: str = "", digits: int | None = None
) -> str:
    """A figure of one run with its column's digits, or others."""
    digits = column.digits if digits is None else digits
    return missing if value is None else f"{value:z.{digits}f}"


def format_spread(
    spread: Spread | None, column: Figure, *, of: int = 1, missing: str = "", sign: str = " ± "
) -> str:
    """Mean and standard deviation; "(n of m)" if fewer than the `of` finished runs have it.

    A count that all runs agree in stands alone.
    """
    if spread is None:
        return missing
    digits = column.digits
    if digits == 0 and spread.deviation:  # a count has no digits, the mean of several has
        digits = 1
    words = f"{spread.mean:z.{digits}f}"
    if spread.deviation is not None and (spread.deviation > 0 or column.digits > 0):
        words += f"{sign}{spread.deviation:z.{digits}f}"
    return words if spread.n >= of else f"{words} ({spread.n} of {of})"


def format_statuses(setting: Setting, *, brief: bool = False) -> str:
    """The statuses of a setting: "HEALTHY 2, PARTIAL COLLAPSE 1", or the one of its only run."""
    names = [(s.removesuffix(" COLLAPSE") if brief else s, n) for s, n in setting.statuses]
    if len(setting.runs) == 1:
        return setting.statuses[0][0]
    return ", ".join(f"{name} {count}" for name, count in names)


def format_ending(run: RunRecord) -> str:
    """The end of a run that did not finish, and its reason."""
    return f"{run.state}: {run.reason}" if run.reason else run.state
