"""A comparison as text: a table for the console, comparison.csv, comparison.md."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

from vaecli.core.errors import printable
from vaecli.diagnosis.figures import ALWAYS, Figure, by_key, compared
from vaecli.reporting.comparison.columns import (
    UNIT,
    format_ending,
    format_figure,
    format_spread,
    format_statuses,
    format_values,
    present_columns,
    shared_figure,
)
from vaecli.reporting.comparison.groups import Comparison, Setting
from vaecli.reporting.comparison.runs import RunRecord
from vaecli.reporting.comparison.swept import format_value

WIDTH = 120  # of the console's table
LONGEST = 28  # of a cell there
LONGEST_REASON = 300  # of a line about a run that did not finish; files have it whole


def comparison_csv(comparison: Comparison) -> str:
    """One row a run: what was swept, seed, how it ended, every figure in full, its directory."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    figures = [figure.key for figure in compared()]
    figures.insert(figures.index("nll"), "log_px")
    head = ["seed", "run_state", "status", *figures, "stacked", "reason", "directory"]
    writer.writerow([*map(printable, comparison.keys), *head])
    for run, values in zip(comparison.runs, comparison.values, strict=True):
        status = run.status if run.done else run.summary.get("status") or ""
        cells = [_or_blank(values[key]) for key in comparison.keys]
        cells += [_or_blank(run.seed), run.state, status]
        cells += [_full_digits(run.figure(figure)) for figure in (*figures, "stacked")]
        cells += [run.reason, run.name]
        writer.writerow([printable(str(cell)) for cell in cells])
    return out.getvalue()


def comparison_table(comparison: Comparison) -> str:
    """A table for a console: a row a setting if seeds were swept, else a row a run."""
    columns = [c for c in present_columns(comparison) if not _is_uninformative(comparison, c)]
    left_out: list[str] = []
    lines = _console(comparison, columns)
    for column in sorted(columns, key=lambda column: column.rank):
        if column.rank == ALWAYS or max(map(len, lines)) <= WIDTH:
            break
        left_out.append(column.short)
        columns = [c for c in columns if c.key != column.key]
        lines = _console(comparison, columns)
    lines.insert(1, "-" * max(map(len, lines)))
    if left_out:
        lines.append(f"For want of room without: {', '.join(left_out)}.")
    updates = [by_key(key) for key in ("encoder_updates", "decoder_updates")]
    counts = [
        (figure, shared_figure(comparison, figure.key)) for figure in updates if figure is not None
    ]
    alike = [f"{n:g} {figure.title.lower()}" for figure, n in counts if n is not None]
    if alike and len(comparison.done) > 1:
        lines.append(f"Every run that finished made {' and '.join(alike)}.")
    if comparison.repeated:
        lines.append("Mean ± standard deviation over the runs of a setting that finished.")
    if comparison.unfinished:
        lines += ["", f"Did not finish ({len(comparison.unfinished)} of {len(comparison.runs)}):"]
        lines += [_clip(f"  {w}", LONGEST_REASON) for w in endings(comparison)]
    return "\n".join(lines)


def comparison_markdown(comparison: Comparison, title: str) -> str:
    """The table of settings and the list of runs that did not finish, with their reasons."""
    columns = present_columns(comparison)
    head = [*comparison.keys, "runs", "status", *(column.column for column in columns)]
    aligned = [*(":--" for _ in comparison.keys), "--:", ":--", *("--:" for _ in columns)]
    lines = [f"# {escaped_markdown(title)}", "", _row(map(escaped_markdown, head)), _row(aligned)]
    for setting in comparison.settings:
        done, cells = len(setting.done), setting_cells(setting)
        cells += [format_spread(setting.figure(c.key), c, of=done, missing="–") for c in columns]
        lines.append(_row(map(escaped_markdown, cells)))
    lines += ["", escaped_markdown(f"{UNIT} {note(comparison)}"), ""]
    if comparison.unfinished:
        lines += ["## Did not finish", ""]
        lines += [f"- {escaped_markdown(words)}" for words in endings(comparison)] + [""]
    return "\n".join(lines)


def note(comparison: Comparison) -> str:
    """A note on the runs that the figures of a table of settings are over."""
    words = "Of a setting that was run several times: mean ± sample standard deviation. "
    ended = "Figures are over the runs that finished" if comparison.unfinished else ""
    ended += ", whose number stands beside that of all." if comparison.unfinished else ""
    return ((words if comparison.repeated else "") + ended).strip()


def run_count(setting: Setting) -> str:
    """The number of runs of a setting, and of those that finished if it is another."""
    done, runs = len(setting.done), len(setting.runs)
    return str(runs) if done == runs else f"{done} of {runs}"


def escaped_markdown(words: object) -> str:
    """Text for a cell of a table or a line: nothing in it is markup, and it stays on its line."""
    line = printable(" ".join(str(words).split()))
    line = re.sub(r"([\\`*\[\]|~$#])", r"\\\1", line)
    line = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\_", line)  # within a word it is a letter
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def setting_cells(setting: Setting) -> list[str]:
    """The cells of a setting before its figures: swept values, runs, statuses."""
    return [*format_values(setting.values), run_count(setting), format_statuses(setting)]


def endings(comparison: Comparison) -> list[str]:
    """A line for each run that did not finish: its setting, its directory, the reason."""
    labels = [(comparison.label_of(run), run) for run in comparison.unfinished]
    return [
        f"{label} ({r.name}): {format_ending(r)}" if label else f"{r.name}: {format_ending(r)}"
        for label, r in labels
    ]


def _row(cells) -> str:
    return f"| {' | '.join(cells)} |"


# ---------------------------------------------------------------------- console


def _console(comparison: Comparison, columns: list[Figure]) -> list[str]:
    keys, total = list(comparison.keys), shared_figure(comparison, "total_dimensions")
    named = {c.key: c.short for c in columns}
    if total is not None and "total_dimensions" not in named:
        named["active_dimensions"] = f"active/{total:g}"
    if comparison.repeated:
        head = [*keys, "n", "status"]
        rows = [_console_setting(setting, columns) for setting in comparison.settings]
    else:
        seeds = len({format_value(run.seed) for run in comparison.runs}) > 1
        head = [*keys, *(["seed"] if seeds else []), "status"]
        rows = [
            _console_run(run, values, columns, seeds=seeds)
            for run, values in zip(comparison.runs, comparison.values, strict=True)
        ]
    if not keys:  # nothing else was swept
        if comparison.repeated:
            head.insert(0, "seeds")
            first = [", ".join(_or_blank(run.seed) for run in s.runs) for s in comparison.settings]
        else:
            head.insert(0, "run")
            first = [run.name for run in comparison.runs]
        rows = [[words, *row] for words, row in zip(first, rows, strict=True)]
    words = len(head)
    table = [[*head, *(named.get(c.key, c.short) for c in columns)], *rows]
    table = [[_clip(cell) for cell in row] for row in table]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place < words else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def _console_setting(setting: Setting, columns: list[Figure]) -> list[str]:
    of = len(setting.done)
    pairs = [(setting.figure(c.key), c) for c in columns]
    # A spread of the time says more of the machine than of the setting.
    pairs = [(f and f._replace(deviation=None) if c.key == "seconds" else f, c) for f, c in pairs]
    figures = [format_spread(f, c, of=of, missing="-", sign="±") for f, c in pairs]
    values = format_values(setting.values)
    return [*values, run_count(setting), format_statuses(setting, brief=True), *figures]


def _console_run(
    run: RunRecord, values: dict[str, Any], columns: list[Figure], *, seeds: bool
) -> list[str]:
    seed = [_or_blank(run.seed)] if seeds else []
    figures = [
        format_figure(run.figure(c.key) if run.done else None, c, missing="-") for c in columns
    ]
    return [*format_values(values), *seed, run.status, *figures]


def _is_uninformative(comparison: Comparison, column: Figure) -> bool:
    if column.key == "decoder_updates":  # as many as of the encoder, unless a strategy makes more
        pairs = [(r.figure("encoder_updates"), r.figure(column.key)) for r in comparison.done]
        if all(one == other for one, other in pairs):
            return True
    return not column.if_constant and shared_figure(comparison, column.key) is not None


def _clip(words: str, longest: int = LONGEST) -> str:
    words = printable(words)
    return words if len(words) <= longest else f"{words[: longest - 1]}…"


def _or_blank(value: Any) -> str:
    return "" if value is None else format_value(value)


def _full_digits(value: float | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
