"""Tables of the report: how a figure is printed, and the rows that explain it. Escapes all text."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator

from vaecli.reporting.page.meanings import LEAVES

# Leaves that are shown elsewhere on the page: in a picture, a sentence, another table.
_NO_ROW = {
    "collapse_curve.epsilon",
    "collapse_curve.collapsed_fraction",
    "latent_use.ablation",
    "latent_use.ranking",
    "prediction.direction_betas",
    "prediction.sentence",
    "sequences.rise_by_position",
    "sequences.sequences_at_position",
    "theory.linear_vae",
}


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


def with_error(value: object, error: object) -> str:
    """A value with its standard error, both to the error's second digit: "14.27 ± 0.31"."""
    if not isinstance(error, float) or not isinstance(value, float):
        return number(value) if error is None else f"{number(value)} ± {number(error)}"
    if not math.isfinite(value) or not math.isfinite(error) or not 1e-6 < error < 1e5:
        return f"{number(value)} ± {number(error)}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def escaped(value: object) -> str:
    """Escaped for HTML, inside quotes too."""
    return html.escape(str(value), quote=True)


def words(key: str) -> str:
    """A key as words: "mutual_information" -> "Mutual information"."""
    spaced = key.replace("_", " ").strip()
    return spaced[:1].upper() + spaced[1:]


def leaves(group: dict, path: str, *, prefix: str = "", dimensions: int = 0) -> Iterator[str]:
    """Table rows of a group of numbers and Estimates; groups within it are named by their path.

    path: the group's own, as in LEAVES. dimensions: Z; lists of that length called `..._per_dim`
    are columns of the table of dimensions and get no row here.
    """
    for key, leaf in group.items():
        inner = f"{path}.{key}"
        if inner in _NO_ROW or is_column(str(key), leaf, dimensions):
            continue
        known = LEAVES.get(inner) or LEAVES.get(str(key))
        name, meaning = known or (words(str(key)), "")
        name = f"{prefix}{name}"
        if isinstance(leaf, dict) and "value" in leaf:
            value, error = leaf["value"], leaf.get("standard_error")
            yield figure_row(name, value, meaning, error, provenance(leaf))
        elif isinstance(leaf, dict):
            yield from leaves(leaf, inner, prefix=f"{name}: ", dimensions=dimensions)
        elif isinstance(leaf, list) and any(isinstance(item, dict) for item in leaf):
            placed = {str(place): item for place, item in enumerate(leaf)}
            yield from leaves(placed, inner, prefix=f"{name}: ", dimensions=dimensions)
        else:
            yield figure_row(name, leaf, meaning)


def is_column(key: str, leaf: object, dimensions: int) -> bool:
    """Whether a leaf holds one number for each of the Z = `dimensions` dimensions."""
    return key.endswith("_per_dim") and isinstance(leaf, list) and len(leaf) == dimensions


def provenance(estimate: dict) -> str:
    """Estimator, split and number of examples of an Estimate, as far as they are known."""
    source = [
        str(estimate["estimator"]) if estimate.get("estimator") else "",
        f"{estimate['split']} split" if estimate.get("split") else "",
        f"n = {estimate['n']}" if estimate.get("n") is not None else "",
    ]
    return ", ".join(s for s in source if s)


def figure_row(
    name: str, value: object, meaning: str, error: object = None, measured: str = ""
) -> str:
    """One figure: its value with the standard error, what it means, how it was measured."""
    many = isinstance(value, list)
    shown = ", ".join(number(v) for v in value) if many else with_error(value, error)
    wrap = "" if many else ' class="number"'
    how = f'<div class="meaning">{escaped(measured)}</div>' if measured else ""
    return (
        f'<tr><td class="name">{escaped(name)}</td><td{wrap}>{escaped(shown)}</td>'
        f"<td>{escaped(meaning)}{how}</td></tr>"
    )


def figure_table(head: tuple[str, ...], rows: list[str]) -> str:
    """A card with a table of `figure_row`s; on a narrow screen each row becomes a paragraph."""
    return f'<div class="card scroll">{plain_table(head, rows, kind="figures")}</div>'


def plain_table(head: tuple[str, ...], rows: list[str], *, kind: str = "") -> str:
    """A table of ready-made rows, of class `kind`."""
    cells = "".join(f"<th>{escaped(cell)}</th>" for cell in head)
    opening = f'<table class="{kind}">' if kind else "<table>"
    return f"{opening}<thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def number_cell(value: object) -> str:
    """A table cell with one number."""
    return f'<td class="number">{escaped(number(value))}</td>'


def fold(title: str, inside: str) -> str:
    """A part of the page that opens at a click."""
    return f"<details><summary>{escaped(title)}</summary>{inside}</details>"


def or_lowest(value: float | None) -> float:
    """A number that sorts: None and NaN come below everything."""
    return value if value is not None and not math.isnan(value) else -math.inf
