"""The runs of a sweep side by side: a console table and comparison.csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

# Column of the comparison -> digits on the console.
FIGURES = {
    "status": None,
    "active_dimensions": 0,
    "total_dimensions": 0,
    "active_units": 0,
    "rate": 2,
    "distortion": 2,
    "elbo": 2,
    "log_px": 2,
    "mutual_information": 2,
    "shuffle_rise": 2,
    "collapsed_at_step": 0,
    "encoder_updates": 0,
    "decoder_updates": 0,
    "seconds": 1,
}
SHORT = {
    "active_dimensions": "active",
    "total_dimensions": "of",
    "active_units": "units",
    "log_px": "log p(x)",
    "mutual_information": "MI",
    "shuffle_rise": "rise",
    "encoder_updates": "enc",
    "decoder_updates": "dec",
    "collapsed_at_step": "collapsed at",
}


def swept_keys(runs: Iterable[dict[str, Any]]) -> list[str]:
    """The override keys whose values differ between the runs, in the order they first appear."""
    settings = [_settings(run) for run in runs]
    keys = dict.fromkeys(key for setting in settings for key in setting)
    return [key for key in keys if len({setting.get(key) for setting in settings}) > 1]


def comparison_csv(runs: list[dict[str, Any]]) -> str:
    """One row a run: what was swept, the run's state, every figure, its directory."""
    keys = swept_keys(runs)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*keys, "run_state", *FIGURES, "reason", "directory"])
    for run in runs:
        writer.writerow(
            [_settings(run).get(key, "") for key in keys]
            + [run["run_state"]]
            + [run.get(figure, "") for figure in FIGURES]
            + [run.get("reason", ""), run["directory"]]
        )
    return text.getvalue()


def comparison_table(runs: list[dict[str, Any]]) -> str:
    """The same for a terminal."""
    keys = swept_keys(runs)
    shown = [f for f in FIGURES if f == "status" or any(run.get(f) is not None for run in runs)]
    rows = [[*keys, *(SHORT.get(f, f) for f in shown)]]
    for run in runs:
        cells = [_format(run.get(figure), FIGURES[figure]) for figure in shown]
        if run["run_state"] != "done":  # in place of the status
            cells[0] = f"{run['run_state']} {run.get('reason') or ''}".strip()[:60]
        rows.append([str(_settings(run).get(key, "")) for key in keys] + cells)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i <= len(keys) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


def _settings(run: dict[str, Any]) -> dict[str, str]:
    pairs = (override.partition("=") for override in run["overrides"])
    return {key.lstrip("+"): value for key, _, value in pairs}


def _format(value: Any, digits: int | None) -> str:
    if value is None:
        return "-"
    return str(value) if digits is None else f"{value:z.{digits}f}"
