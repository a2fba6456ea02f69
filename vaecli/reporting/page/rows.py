"""Rows of the report's tables: a figure, its meaning, and how it was measured."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from vaecli.diagnosis.figures import FIGURES, GROUPS, THEORY, by_path
from vaecli.diagnosis.reading import leaf, value
from vaecli.diagnosis.sentences import sentences
from vaecli.reporting.page.numbers import number, title_of, with_error

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
# Keys of the diagnosis that are shown elsewhere on the page.
_NO_FIGURE = {"status", "estimators", "standard_errors", "split", "examples", "patterns"}
_NO_FIGURE |= {"warnings", "notes", "verdict", "next_commands", "settings", "texts"}
_RANKED = re.compile(r"(\w+)\[(\d+)\]")  # "kl_per_dim[0]": the largest


class Row(NamedTuple):
    """A figure for the reader."""

    name: str
    value: str
    meaning: str
    measured: str = ""  # estimator, split, number of examples
    wraps: bool = False  # a list of numbers, which may break over lines


class TheoryRow(NamedTuple):
    """A figure of the closed-form optimum of a linear Gaussian model beside its measurement."""

    name: str
    theory: float | None
    measured: str
    difference: float | None


class Group(NamedTuple):
    """A group of estimates under a heading, with its sentences."""

    heading: str
    sentences: list[str]
    theory: list[TheoryRow]
    rows: list[Row]


def key_figures(diagnosis: dict) -> list[Row]:
    """Rows of the flat figures: those of the catalogue in their order, then all others."""
    dimensions = len(diagnosis.get("kl_per_dim") or [])
    keys = [
        key
        for key, figure in diagnosis.items()
        if key not in _NO_FIGURE
        and not isinstance(figure, dict)
        and not is_column(str(key), figure, dimensions)
    ]
    places = {figure.path: place for place, figure in enumerate(FIGURES)}
    keys.sort(key=lambda key: places.get(key, len(places)))
    rows = []
    for key in keys:
        name, meaning = _name_and_meaning(str(key))
        error = value(diagnosis, "standard_errors", key)
        measured = str(leaf(diagnosis, "estimators", key) or "")
        rows.append(_row(name, diagnosis[key], meaning, error, measured))
    return rows


def groups(diagnosis: dict) -> list[Group]:
    """Every dict of numbers and Estimates: those in GROUPS in their order, then all others."""
    dimensions = len(diagnosis.get("kl_per_dim") or [])
    places = {key: place for place, key in enumerate(GROUPS)}
    keys = [
        key
        for key, group in diagnosis.items()
        if isinstance(group, dict) and group and key not in _NO_FIGURE
    ]
    return [
        Group(
            heading=GROUPS.get(key, title_of(str(key))),
            sentences=sentences(key, diagnosis),
            theory=_theory_rows(diagnosis) if key == "theory" else [],
            rows=list(leaf_rows(diagnosis[key], str(key), dimensions=dimensions)),
        )
        for key in sorted(keys, key=lambda key: places.get(key, len(places)))
    ]


def leaf_rows(group: dict, path: str, *, prefix: str = "", dimensions: int = 0) -> Iterator[Row]:
    """Rows of a group of numbers and Estimates; groups within it are named by their path.

    path: that of the group in diagnosis.json. dimensions: Z; lists of that length called
    `..._per_dim` are columns of the table of dimensions and get no row here.
    """
    for key, item in group.items():
        inner = f"{path}.{key}"
        if inner in _NO_ROW or is_column(str(key), item, dimensions):
            continue
        name, meaning = _name_and_meaning(inner)
        name = f"{prefix}{name}"
        if isinstance(item, list) and any(isinstance(element, dict) for element in item):
            item = {str(place): element for place, element in enumerate(item)}
        if not isinstance(item, dict):
            yield _row(name, item, meaning)
        elif "value" in item:
            yield _row(name, item["value"], meaning, item.get("standard_error"), provenance(item))
        else:
            yield from leaf_rows(item, inner, prefix=f"{name}: ", dimensions=dimensions)


def is_column(key: str, item: object, dimensions: int) -> bool:
    """True for a list with one number for each of the Z = `dimensions` dimensions."""
    return key.endswith("_per_dim") and isinstance(item, list) and len(item) == dimensions


def provenance(estimate: dict) -> str:
    """Estimator, split and number of examples of an Estimate, as far as they are recorded."""
    source = [
        str(estimate["estimator"]) if estimate.get("estimator") else "",
        f"{estimate['split']} split" if estimate.get("split") else "",
        f"n = {estimate['n']}" if estimate.get("n") is not None else "",
    ]
    return ", ".join(filter(None, source))


def _name_and_meaning(path: str) -> tuple[str, str]:
    figure = by_path(path)
    if figure is None:
        return title_of(path.rpartition(".")[2]), ""
    return figure.title, figure.explanation


def _row(name: str, figure: object, meaning: str, error: object = None, measured: str = "") -> Row:
    if isinstance(figure, list):
        return Row(name, ", ".join(map(number, figure)), meaning, measured, wraps=True)
    return Row(name, with_error(figure, error), meaning, measured)


def _theory_rows(diagnosis: dict) -> list[TheoryRow]:
    rows = []
    for row in leaf(diagnosis, "theory", "linear_vae") or []:
        theory, measured = row.get("theory"), row.get("measured")
        difference = None if theory is None or measured is None else float(measured - theory)
        measured = with_error(measured, row.get("standard_error"))
        rows.append(TheoryRow(_theory_name(str(row.get("figure"))), theory, measured, difference))
    return rows


def _theory_name(figure: str) -> str:
    """The name of a compared figure: "kl_per_dim[0]" is the largest KL_j."""
    ranked = _RANKED.fullmatch(figure)
    key = ranked[1] if ranked else figure
    name = THEORY.get(key) or _name_and_meaning(key)[0]
    return f"{name}, {int(ranked[2]) + 1} by size" if ranked else name
