"""The comparison as one HTML page, beside comparison.csv and comparison.md.

Self-contained: pictures as base64, no script, no request. This module makes the view; the page is
templates/comparison.html.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from vaecli.core.atomic import write_text
from vaecli.core.errors import UsageError
from vaecli.core.rundir import missing, remove
from vaecli.diagnosis.figures import Figure
from vaecli.reporting.comparison.columns import (
    UNIT,
    format_ending,
    format_figure,
    format_spread,
    format_values,
    present_columns,
    shared_figure,
)
from vaecli.reporting.comparison.findings import cautions, findings, introduction
from vaecli.reporting.comparison.groups import Comparison, Setting
from vaecli.reporting.comparison.plots.choice import choose
from vaecli.reporting.comparison.runs import RunRecord
from vaecli.reporting.comparison.swept import format_value
from vaecli.reporting.comparison.tables import (
    comparison_csv,
    comparison_markdown,
    note,
    run_count,
)
from vaecli.reporting.page.page import Picture
from vaecli.reporting.render import render

PAGE, REPORT = "comparison.html", "report.html"


class SettingRow(NamedTuple):
    """A setting in the table of settings."""

    values: list[str]  # of the swept keys
    runs: str
    badges: list[tuple[str, str]]  # statuses, each with its words
    figures: list[str]
    finished: bool


class RunRow(NamedTuple):
    """A run in the table of runs, or in the list of those that did not finish."""

    name: str
    label: str  # its setting and seed
    href: str  # of its report, seen from the page; "" if there is none
    values: list[str]
    seed: str
    status: str
    figures: list[str]
    reason: str
    end: str  # how it ended, in words
    finished: bool


def write_comparison(comparison: Comparison, directory: Path, title: str) -> Path:
    """Write comparison.html, .csv and .md into `directory`, each whole or not at all.

    Returns the page. Raises UsageError if the directory cannot be written.
    """
    page = comparison_html(comparison, directory, title)
    new = missing(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in (
            ("comparison.csv", comparison_csv(comparison)),
            ("comparison.md", comparison_markdown(comparison, title)),
            (PAGE, page),
        ):
            write_text(directory / name, content, mark=f".{os.getpid()}")
    except OSError as error:
        remove(new)
        raise UsageError(
            "--out",
            directory,
            f"cannot be written ({error.strerror})",
            "name a directory you may write to: vae-compare DIR --out OTHER",
        ) from error
    return directory / PAGE


def comparison_html(comparison: Comparison, directory: Path, title: str) -> str:
    """The page for a place in `directory`: links to the runs' reports are relative to it."""
    columns, total = present_columns(comparison), shared_figure(comparison, "total_dimensions")
    if total is not None:  # the head says it
        columns = [c for c in columns if c.key != "total_dimensions"]
    runs = [
        _run_row(comparison, run, values, columns, directory)
        for run, values in zip(comparison.runs, comparison.values, strict=True)
    ]
    view = {
        "title": title,
        "introduction": introduction(comparison),
        "findings": findings(comparison),
        "cautions": cautions(comparison),
        "keys": list(comparison.keys),
        "columns": [(_heading(c, total), c.column, c.explanation) for c in columns],
        "repeated": comparison.repeated,
        "settings": [_setting_row(s, columns) for s in comparison.settings],
        "note": note(comparison),
        "runs": runs,
        "seeds": any(run.seed is not None for run in comparison.runs),
        "unfinished": [run for run in runs if not run.finished],
        "pictures": [Picture(p.name, p.title, p.caption, p.png()) for p in choose(comparison)],
        "splits": sorted({run.split for run in comparison.done if run.split}),
        "unit": UNIT,
    }
    return render("comparison.html", view)


def _heading(column: Figure, total: float | None) -> str:
    if column.key == "active_dimensions" and total is not None:
        return f"{column.column} of {total:g}"
    return column.column


def _setting_row(setting: Setting, columns: list[Figure]) -> SettingRow:
    done = len(setting.done)
    one = len(setting.runs) == 1
    return SettingRow(
        values=format_values(setting.values),
        runs=run_count(setting),
        badges=[(s, s if one else f"{s} {count}") for s, count in setting.statuses],
        figures=[format_spread(setting.figure(c.key), c, of=done, missing="–") for c in columns],
        finished=done > 0,
    )


def _run_row(
    comparison: Comparison,
    run: RunRecord,
    values: dict[str, Any],
    columns: list[Figure],
    directory: Path,
) -> RunRow:
    return RunRow(
        name=run.name,
        label=comparison.label_of(run) or run.name,
        href=_href(run, directory),
        values=format_values(values),
        seed="" if run.seed is None else format_value(run.seed),
        status=run.status,
        figures=[format_figure(run.figure(c.key), c, missing="–") for c in columns],
        reason=run.reason or "–",
        end=format_ending(run),
        finished=run.done,
    )


def _href(run: RunRecord, directory: Path) -> str:
    report = run.directory / REPORT
    if not report.is_file():
        return ""
    relative = os.path.relpath(report, directory.absolute()).replace(os.sep, "/")
    # A name may begin like "http:": seen from here it is a path.
    return quote(os.fsencode(f"./{relative}"))
