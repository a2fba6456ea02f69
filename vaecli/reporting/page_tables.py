"""Tables of the report: how a figure is printed, and the rows that explain it. Escapes all text."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator

from vaecli.reporting.page_words import LEAVES


def number(value: object) -> str:
    """A value for the reader: four significant digits, "not measured" for None, else its text."""
    if value is None:
        return "not measured"
    if isinstance(value, float):
        if not math.isfinite(value):
            return "not a number" if math.isnan(value) else ("∞" if value > 0 else "-∞")
        return f"{value:.4g}" if abs(value) < 1e5 else f"{value:,.0f}"
    return str(value)


def escaped(value: object) -> str:
    """Escaped for HTML, inside quotes too."""
    return html.escape(str(value), quote=True)


def words(key: str) -> str:
    """A key as words: "mutual_information" -> "Mutual information"."""
    spaced = key.replace("_", " ").strip()
    return spaced[:1].upper() + spaced[1:]


def leaves(group: dict, prefix: str = "") -> Iterator[str]:
    """Table rows of a group of numbers and Estimates; groups within it are named by their path."""
    for key, leaf in group.items():
        name, meaning = f"{prefix}{words(str(key))}", LEAVES.get(str(key), "")
        if isinstance(leaf, dict) and "value" in leaf:
            value, error = leaf["value"], leaf.get("standard_error")
            source = [
                str(leaf["estimator"]) if leaf.get("estimator") else "",
                f"{leaf['split']} split" if leaf.get("split") else "",
                f"n = {leaf['n']}" if leaf.get("n") is not None else "",
            ]
            yield figure_row(name, value, meaning, error, ", ".join(s for s in source if s))
        elif isinstance(leaf, dict):
            yield from leaves(leaf, f"{name}: ")
        elif isinstance(leaf, list) and any(isinstance(item, dict) for item in leaf):
            yield from leaves({str(place): item for place, item in enumerate(leaf)}, f"{name}: ")
        else:
            yield figure_row(name, leaf, meaning)


def figure_row(
    name: str, value: object, meaning: str, error: object = None, measured: str = ""
) -> str:
    """One figure: its value with the standard error, what it means, how it was measured."""
    shown = ", ".join(number(v) for v in value) if isinstance(value, list) else number(value)
    if error is not None:
        shown += f" ± {number(error)}"
    wrap = "" if isinstance(value, list) else ' class="number"'
    how = f'<div class="meaning">{escaped(measured)}</div>' if measured else ""
    return (
        f'<tr><td class="name">{escaped(name)}</td><td{wrap}>{escaped(shown)}</td>'
        f"<td>{escaped(meaning)}{how}</td></tr>"
    )


def figure_table(head: tuple[str, ...], rows: list[str]) -> str:
    """A card with a table of `figure_row`s; on a narrow screen each row becomes a paragraph."""
    cells = "".join(f"<th>{escaped(cell)}</th>" for cell in head)
    return (
        f'<div class="card scroll"><table class="figures"><thead><tr>{cells}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def or_lowest(value: float | None) -> float:
    """A number that sorts: None and NaN come below everything."""
    return value if value is not None and not math.isnan(value) else -math.inf
