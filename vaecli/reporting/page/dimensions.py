"""The table of the report with one row for each latent dimension."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from vaecli.diagnosis.figures import FIGURES, by_path
from vaecli.diagnosis.reading import leaf
from vaecli.reporting.page.numbers import or_lowest, title_of
from vaecli.reporting.page.rows import is_column, provenance

_RISE = "latent_use.rise_per_dim"


class Column(NamedTuple):
    """One number for each of Z dimensions."""

    name: str
    meaning: str
    figures: list[float | None]
    ranks: list[int] | None = None  # place of each dimension by use, 1 for the most used


class Dimensions(NamedTuple):
    """The table: its columns, and the dimensions by falling KL, each with whether it is active."""

    columns: list[Column]
    order: list[tuple[int, bool]]


def dimension_table(diagnosis: dict) -> Dimensions | None:
    """Every list called `..._per_dim` with a number for each dimension, however deep.

    None for a diagnosis without KL_j.
    """
    kl = diagnosis.get("kl_per_dim") or []
    if not kl:
        return None
    threshold = diagnosis.get("threshold")
    places = {figure.path: place for place, figure in enumerate(FIGURES)}
    lists = sorted(_lists(diagnosis, len(kl)), key=lambda item: places.get(item[0], len(places)))
    order = sorted(range(len(kl)), key=lambda j: -or_lowest(kl[j]))
    return Dimensions(
        columns=[_column(diagnosis, path, figures) for path, figures in lists],
        order=[(j, threshold is not None and or_lowest(kl[j]) > threshold) for j in order],
    )


def _lists(group: dict, dimensions: int, path: str = "") -> Iterator[tuple[str, list]]:
    """Path and numbers of each list with one number a dimension."""
    for key, item in group.items():
        if is_column(str(key), item, dimensions):
            yield f"{path}{key}", item
        elif isinstance(item, dict):
            yield from _lists(item, dimensions, f"{path}{key}.")


def _column(diagnosis: dict, path: str, figures: list) -> Column:
    figure = by_path(path)
    name = title_of(path.split(".")[-1].removesuffix("_per_dim"))
    name, meaning = (name, "") if figure is None else (figure.title, figure.explanation)
    if path != _RISE:
        return Column(name, meaning, figures)
    ablation = leaf(diagnosis, "latent_use", "ablation")
    if isinstance(ablation, dict):
        meaning += f" ({provenance(ablation)})"
    return Column(name, meaning, figures, _ranks(diagnosis, len(figures)))


def _ranks(diagnosis: dict, dimensions: int) -> list[int] | None:
    ranking = leaf(diagnosis, "latent_use", "ranking") or []
    if sorted(ranking) != list(range(dimensions)):
        return None
    return [ranking.index(j) + 1 for j in range(dimensions)]
