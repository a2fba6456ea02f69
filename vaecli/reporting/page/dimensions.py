"""The table of the report with one row for each latent dimension."""

from __future__ import annotations

from collections.abc import Iterator

from vaecli.reporting.page.meanings import COLUMNS
from vaecli.reporting.page.tables import (
    escaped,
    fold,
    is_column,
    number_cell,
    or_lowest,
    plain_table,
    provenance,
    words,
)
from vaecli.reporting.reading import leaf

_RISE = "latent_use.rise_per_dim"


def dimension_table(diagnosis: dict) -> str:
    """KL_j of every dimension by falling KL, and whatever else was measured of each; folded.

    Every list called `..._per_dim` with a value for each dimension becomes a column, however deep.
    """
    kl = diagnosis.get("kl_per_dim") or []
    if not kl:
        return ""
    threshold = diagnosis.get("threshold")
    place = {path: number for number, path in enumerate(COLUMNS)}
    measured = sorted(_columns(diagnosis, len(kl)), key=lambda c: place.get(c[0], len(place)))
    columns = dict(measured)
    rank = _ranks(diagnosis, len(kl)) if _RISE in columns else None
    head = ["Rank", "Dimension"]
    for path in columns:
        head.append(COLUMNS.get(path, (words(path.split(".")[-1].removesuffix("_per_dim")),))[0])
        head += ["(rank)"] if path == _RISE and rank else []
    rows = []
    for number, j in enumerate(sorted(range(len(kl)), key=lambda j: -or_lowest(kl[j])), start=1):
        alive = threshold is not None and or_lowest(kl[j]) > threshold
        cells = f"<td>{number}</td><td>{j}</td>"
        for path, values in columns.items():
            cells += number_cell(values[j])
            cells += f"<td>({rank[j]})</td>" if path == _RISE and rank else ""
        state = "active" if alive else "collapsed"
        rows.append(f'<tr class="{"alive" if alive else "dead"}">{cells}<td>{state}</td></tr>')
    legend = "".join(f"<p>{escaped(line)}</p>" for line in _legend(diagnosis, columns))
    table = f'<div class="scroll">{plain_table((*head, ""), rows)}</div>'
    return fold("KL of every dimension", f'<div class="soft">{legend}</div>{table}')


def _columns(group: dict, dimensions: int, path: str = "") -> Iterator[tuple[str, list]]:
    """Path and values of each list with one number a dimension."""
    for key, value in group.items():
        if is_column(str(key), value, dimensions):
            yield f"{path}{key}", value
        elif isinstance(value, dict):
            yield from _columns(value, dimensions, f"{path}{key}.")


def _ranks(diagnosis: dict, dimensions: int) -> list[int] | None:
    """Place of each dimension in the order of use, 1 for the most used."""
    ranking = leaf(diagnosis, "latent_use", "ranking") or []
    if sorted(ranking) != list(range(dimensions)):
        return None
    places = {j: place for place, j in enumerate(ranking, start=1)}
    return [places[j] for j in range(dimensions)]


def _legend(diagnosis: dict, columns: dict) -> Iterator[str]:
    for path in columns:
        if path in COLUMNS:
            name, meaning = COLUMNS[path]
            measured = leaf(diagnosis, "latent_use", "ablation") if path == _RISE else None
            how = f" ({provenance(measured)})" if isinstance(measured, dict) else ""
            yield f"{name}: {meaning}{how}."
