"""The figures of the report: the flat ones, then every group, each with what it says in words."""

from __future__ import annotations

import re

from vaecli.reporting.page.meanings import GROUPS, THEORY
from vaecli.reporting.page.readings import readings
from vaecli.reporting.page.tables import (
    escaped,
    figure_row,
    figure_table,
    is_column,
    leaves,
    number,
    number_cell,
    plain_table,
    with_error,
    words,
)
from vaecli.reporting.page.words import FIGURES
from vaecli.reporting.reading import leaf, value

_HEAD = ("Figure", "Value", "Meaning and how it was measured")
_THEORY_HEAD = ("Figure", "Theory", "Measured ± standard error", "Measured - theory")
_RANKED = re.compile(r"(\w+)\[(\d+)\]")  # "kl_per_dim[0]": the largest
# Keys of the diagnosis that have a place of their own on the page.
_ELSEWHERE = {
    "status",
    "estimators",
    "standard_errors",
    "split",
    "examples",
    "patterns",
    "warnings",
    "notes",
    "verdict",
    "next_commands",
    "settings",
    "texts",
}


def key_figures(diagnosis: dict) -> str:
    """The flat figures of the diagnosis with one line of meaning each."""
    known = diagnosis.get("estimators")
    estimators = known if isinstance(known, dict) else {}

    def row(key: str, name: str, meaning: str) -> str:
        error = value(diagnosis, "standard_errors", key)
        measured = str(estimators.get(key) or "")
        return figure_row(name, diagnosis[key], meaning, error, measured)

    rows = [row(key, *FIGURES[key]) for key in FIGURES if key in diagnosis]
    dimensions = len(diagnosis.get("kl_per_dim") or [])
    rows += [
        row(key, words(str(key)), "")
        for key, figure in diagnosis.items()
        if key not in FIGURES
        and key not in _ELSEWHERE
        and not isinstance(figure, dict)
        and not is_column(str(key), figure, dimensions)
    ]
    measured = ""
    if diagnosis.get("split") is not None:
        measured = (
            f'<p class="soft">Measured on the {escaped(diagnosis["split"])} split, '
            f"n = {escaped(number(diagnosis.get('examples')))}.</p>"
        )
    return f"<h2>Key figures</h2>{measured}{figure_table(_HEAD, rows)}"


def groups(diagnosis: dict) -> str:
    """Every group of estimates, known or not: a dict whose leaves are numbers or Estimates.

    The known ones first, in the order of GROUPS.
    """
    found = [
        key
        for key, group in diagnosis.items()
        if isinstance(group, dict) and group and key not in _ELSEWHERE
    ]
    place = {key: number for number, key in enumerate(GROUPS)}
    dimensions = len(diagnosis.get("kl_per_dim") or [])
    parts = []
    for key in sorted(found, key=lambda key: place.get(key, len(place))):
        said = "".join(f"<p>{escaped(line)}</p>" for line in readings(key, diagnosis))
        rows = list(leaves(diagnosis[key], str(key), dimensions=dimensions))
        table = figure_table(_HEAD, rows) if rows else ""
        theory = _theory(diagnosis) if key == "theory" else ""
        heading = escaped(GROUPS.get(key, words(str(key))))
        reading = f'<div class="reading">{said}</div>' if said else ""
        parts.append(f"<h2>{heading}</h2>{reading}{theory}{table}")
    return "\n".join(parts)


def _theory(diagnosis: dict) -> str:
    """The closed-form optimum of a linear Gaussian model beside what was measured."""
    rows = []
    for row in leaf(diagnosis, "theory", "linear_vae") or []:
        expected, measured = row.get("theory"), row.get("measured")
        error = row.get("standard_error")
        apart = None if expected is None or measured is None else float(measured - expected)
        shown = with_error(measured, error)
        rows.append(
            f"<tr><td>{escaped(_named(str(row.get('figure'))))}</td>{number_cell(expected)}"
            f'<td class="number">{escaped(shown)}</td>{number_cell(apart)}</tr>'
        )
    return f'<div class="card scroll">{plain_table(_THEORY_HEAD, rows)}</div>' if rows else ""


def _named(figure: str) -> str:
    """The name of a compared figure: "kl_per_dim[0]" is the largest KL_j."""
    ranked = _RANKED.fullmatch(figure)
    key = ranked[1] if ranked else figure
    name = THEORY.get(key) or FIGURES.get(key, (words(key),))[0]
    return f"{name}, {int(ranked[2]) + 1} by size" if ranked else name
