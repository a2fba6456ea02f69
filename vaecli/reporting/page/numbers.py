"""Numbers and names as the pages show them."""

from __future__ import annotations

import math


def number(value: object) -> str:
    """A value for the reader: four significant digits, "not measured" for None, else its text."""
    if value is None:
        return "not measured"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if not math.isfinite(value):
            return "not a number" if math.isnan(value) else ("∞" if value > 0 else "-∞")
        return f"{value:.4g}" if abs(value) < 1e5 else f"{value:,.0f}"
    return str(value)


def short_number(value: object) -> str:
    """A number that fits into a tile: below 0.01 it is rounded to a thousandth."""
    small = isinstance(value, float) and abs(value) < 0.01
    return f"{value:z.3f}" if small else number(value)


def with_error(value: object, error: object) -> str:
    """A value with its standard error, both to the error's second digit: "14.27 ± 0.31"."""
    if not isinstance(error, float) or not isinstance(value, float):
        return number(value) if error is None else f"{number(value)} ± {number(error)}"
    if not math.isfinite(value) or not math.isfinite(error) or not 1e-6 < error < 1e5:
        return f"{number(value)} ± {number(error)}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def title_of(key: str) -> str:
    """A key as words: "mutual_information" -> "Mutual information"."""
    spaced = key.replace("_", " ").strip()
    return spaced[:1].upper() + spaced[1:]


def or_lowest(value: float | None) -> float:
    """A number to sort by: None and NaN come below everything."""
    return value if value is not None and not math.isnan(value) else -math.inf
