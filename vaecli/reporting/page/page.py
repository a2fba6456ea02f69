"""The report of one run: a single HTML file that explains the diagnosis to whoever opens it.

Self-contained: pictures as base64, no script, no request. This module makes the view; the page is
templates/report.html.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import NamedTuple

from vaecli.core.atomic import write_text
from vaecli.diagnosis.figures import by_path, shown_in
from vaecli.diagnosis.reading import information_bounds, leaf, value
from vaecli.reporting.page.dimensions import dimension_table
from vaecli.reporting.page.numbers import or_lowest, short_number, title_of
from vaecli.reporting.page.rows import groups, key_figures
from vaecli.reporting.page.words import CAPTIONS, COLLAPSE, RUN_STATES, STATUSES
from vaecli.reporting.render import render

_TRAINING = ("step", "epoch", "beta", "elbo", "rate", "distortion", "active_dimensions")


class Tile(NamedTuple):
    """A figure at the top of the page."""

    value: str
    name: str
    nats: bool


class Picture(NamedTuple):
    """A plot of a page, as a PNG in base64."""

    name: str
    title: str
    caption: str
    png: str


def write_page(
    path: Path,
    *,
    title: str,
    config_yaml: str,
    environment: dict,
    summary: dict,
    history: list[dict],
    diagnosis: dict,
    plots: list[Path],
) -> None:
    """Write report.html at `path`, whole or not at all.

    config_yaml, environment, summary, history (rows of metrics.jsonl) and diagnosis as in the run
    directory; plots: PNG files, embedded in this order; those that do not exist are left out.
    """
    view = {
        "title": title,
        "status": str(diagnosis.get("status") or "NOT DIAGNOSED"),
        "state": _state(diagnosis, summary),
        "tiles": _tiles(diagnosis),
        "collapse": COLLAPSE,
        **{key: diagnosis.get(key) or [] for key in ("verdict", "warnings", "notes")},
        "next_commands": diagnosis.get("next_commands") or [],
        "pictures": [_picture(plot) for plot in plots if plot.is_file()],
        "texts": _texts(diagnosis.get("texts") or {}),
        "split": diagnosis.get("split"),
        "examples": diagnosis.get("examples"),
        "key_figures": key_figures(diagnosis),
        "groups": groups(diagnosis),
        "dimensions": dimension_table(diagnosis),
        "evaluations": len(history),
        "training_names": [_title(key) for key in _TRAINING],
        "training": _training(history),
        "settings": _json(diagnosis["settings"]) if diagnosis.get("settings") else "",
        "config": config_yaml,
        "environment": _json(environment),
        "summary": _json(summary),
    }
    write_text(path, render("report.html", view))


def _state(diagnosis: dict, summary: dict) -> list[str]:
    """The sentences under the status."""
    status = STATUSES.get(str(diagnosis.get("status")), "")
    active, total = diagnosis.get("active_dimensions"), diagnosis.get("total_dimensions")
    if active is not None and total is not None:
        status = f"{active} of {total} latent dimensions are active. {status}"
    sentences = [status, RUN_STATES.get(str(summary.get("run_state")), "")]
    if summary.get("collapsed_at_step") is not None:
        sentences.append(
            f"Collapse was noticed at step {summary['collapsed_at_step']}: no dimension was active "
            "in three evaluations in a row."
        )
    return [sentence for sentence in sentences if sentence]


def _tiles(diagnosis: dict) -> list[Tile]:
    tiles = [
        Tile(short_number(diagnosis[figure.path]), figure.title, nats=bool(figure.unit))
        for figure in shown_in("tile")
        if figure.path in diagnosis
    ]
    information = value(diagnosis, "information", "mutual_information")
    if information is not None:
        shown = short_number(information)
        if leaf(diagnosis, "information", "saturated"):
            shown = f"≥ {short_number(information_bounds(diagnosis)[0])}"
        tiles.insert(3, Tile(shown, "Mutual information", nats=True))
    return tiles


def _title(key: str) -> str:
    figure = by_path(key)
    return title_of(key) if figure is None else figure.title


def _picture(plot: Path) -> Picture:
    title = title_of(plot.stem)
    png = base64.b64encode(plot.read_bytes()).decode("ascii")
    return Picture(plot.stem, title, CAPTIONS.get(plot.stem) or title, png)


def _texts(written: dict) -> dict[str, list] | None:
    """The texts of a language model by their kind; None where it wrote none."""
    kinds = ("reconstructions", "interpolation", "samples", "neighbours")
    texts = {kind: written.get(kind) or [] for kind in kinds}
    texts["neighbours"] = [(one["text"], *one["nearest"]) for one in texts["neighbours"]]
    return texts if any(texts.values()) else None


def _training(history: list[dict]) -> list[tuple[str, list]]:
    """First, last and best evaluation by validation ELBO, each with its figures."""
    if not history:
        return []
    best = max(history, key=lambda row: or_lowest(row.get("elbo")))
    rows = {"first": history[0], "highest validation ELBO": best, "last": history[-1]}
    return [(name, [row.get(key) for key in _TRAINING]) for name, row in rows.items()]


def _json(value: dict) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
