"""The comparison as one HTML page, beside comparison.csv and comparison.md.

Self-contained (pictures as base64, no script, no request); every text from outside is escaped.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from vaecli.core.atomic import write_text
from vaecli.core.errors import UsageError
from vaecli.core.rundir import missing, remove
from vaecli.reporting.comparison.columns import (
    UNIT,
    Column,
    counted,
    only,
    present,
    shown,
    shown_spread,
    why,
)
from vaecli.reporting.comparison.findings import cautions, findings, introduction
from vaecli.reporting.comparison.groups import Comparison, Setting
from vaecli.reporting.comparison.plots.choice import Plot, choose
from vaecli.reporting.comparison.runs import RunRecord
from vaecli.reporting.comparison.swept import text
from vaecli.reporting.comparison.tables import comparison_csv, comparison_markdown, note, runs_of
from vaecli.reporting.page.style import BANNERS, CSS, UNKNOWN_BANNER
from vaecli.reporting.page.tables import escaped, fold

PAGE, REPORT = "comparison.html", "report.html"
_CSS = """
main { max-width: 84rem; }
figure img { max-width: min(100%, 55rem); }
figcaption, .lead, .card li { max-width: 62rem; }
figcaption { margin: 0 auto; }
.lead { font-size: 1.08rem; }
.wide table { font-size: .86rem; }
.wide th, .wide td { padding: .35rem .8rem .35rem 0; }
.wide th.figure, .wide td.number { text-align: right; }
.wide td.number { font-weight: 400; }
.wide td.key { font-weight: 600; overflow-wrap: break-word; max-width: 18rem; }
.wide td.run { white-space: nowrap; color: var(--soft); }
.badge { display: inline-block; border-radius: 6px; padding: 0 .45em; margin: .05rem 0;
  font-size: .78rem; font-weight: 650; white-space: nowrap; }
.unfinished td { color: var(--soft); }
dl { margin: .5rem 0; } dt { font-weight: 600; float: left; clear: left; min-width: 9.5rem; }
dd { margin: 0 0 .3rem 9.5rem; }
@media (max-width: 40rem) { dt { float: none; } dd { margin-left: 0; } }
"""


def write_comparison(comparison: Comparison, directory: Path, title: str) -> Path:
    """Write comparison.html, .csv and .md into `directory`, each whole or not at all.

    Returns the page. Raises UsageError if the directory cannot be written.
    """
    page = comparison_html(comparison, directory, title)
    made = missing(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in (
            ("comparison.csv", comparison_csv(comparison)),
            ("comparison.md", comparison_markdown(comparison, title)),
            (PAGE, page),
        ):
            write_text(directory / name, content, mark=f".{os.getpid()}")
    except OSError as error:
        remove(made)
        raise UsageError(
            "--out", directory, f"cannot be written ({error.strerror})",
            "name a directory you may write to: vae-compare DIR --out OTHER",
        ) from error  # fmt: skip
    return directory / PAGE


def comparison_html(comparison: Comparison, directory: Path, title: str) -> str:
    """The page as it stands in `directory`: links to the runs' reports are relative to it."""
    columns = present(comparison)
    if only(comparison, "total_dimensions") is not None:  # the head says it
        columns = [c for c in columns if c.key != "total_dimensions"]
    runs = _runs(comparison, columns, directory)
    parts = [
        f"<h1>{escaped(title)}</h1>",
        _summary(comparison),
        _cautions(comparison),
        _settings(comparison, columns) or runs,
        _unfinished(comparison, directory),
        _pictures(choose(comparison)),
        runs if comparison.repeated else "",
        _definitions(comparison, columns),
        f"<footer>Written by vaecli. {escaped(UNIT)}</footer>",
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(title)}</title>\n<style>{CSS}{_CSS}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def _summary(comparison: Comparison) -> str:
    said = findings(comparison)
    items = "".join(f"<li>{escaped(sentence)}</li>" for sentence in said)
    found = f"<ul>{items}</ul>" if said else ""
    return f'<div class="card"><p class="lead">{escaped(introduction(comparison))}</p>{found}</div>'


def _cautions(comparison: Comparison) -> str:
    said = cautions(comparison)
    if not said:
        return ""
    items = "".join(f"<li>{escaped(sentence)}</li>" for sentence in said)
    return f'<div class="warnings"><b>With care</b><ul>{items}</ul></div>'


def _settings(comparison: Comparison, columns: list[Column]) -> str:
    """The table of settings; empty where each has one run, as that of the runs says it all."""
    if not comparison.repeated:
        return ""
    head = _head(comparison, [*comparison.keys, "Runs", "Status"], columns)
    rows = []
    for setting in comparison.settings:
        of = len(setting.done)
        cells = [_key(setting.values[key]) for key in comparison.keys]
        cells.append(f"<td>{escaped(runs_of(setting))}</td><td>{_badges(setting)}</td>")
        cells += [
            _number(shown_spread(setting.figure(c.key), c, of=of, missing="–")) for c in columns
        ]
        rows.append(_row(cells, unfinished=not of))
    words = note(comparison)
    return f'<h2>Settings</h2>{_card(head, rows)}<p class="soft">{escaped(words)}</p>'


def _runs(comparison: Comparison, columns: list[Column], directory: Path) -> str:
    seeds = any(run.seed is not None for run in comparison.runs)
    words = ["Run", *comparison.keys, *(["Seed"] if seeds else []), "Status"]
    head = _head(comparison, words, columns, last="Directory")
    rows = []
    for place, (run, values) in enumerate(zip(comparison.runs, comparison.values, strict=True)):
        cells = [f"<td>{_link(run, directory, str(place + 1))}</td>"]
        cells += [_key(values[key]) for key in comparison.keys]
        if seeds:
            cells.append(f"<td>{'' if run.seed is None else escaped(text(run.seed))}</td>")
        cells.append(f"<td>{_badge(run.status)}</td>")
        if run.done:
            cells += [_number(shown(run.figure(c.key), c, missing="–")) for c in columns]
        elif columns:
            cells.append(f'<td colspan="{len(columns)}">{escaped(run.reason or "–")}</td>')
        cells.append(f'<td class="run">{escaped(run.name)}</td>')
        rows.append(_row(cells, unfinished=not run.done))
    several = "Every run" if len(comparison.runs) > 1 else "The run"
    below = "The number of a run leads to its report." if _any_report(comparison) else ""
    return f'<h2>{several}</h2>{_card(head, rows)}<p class="soft">{below}</p>'


def _any_report(comparison: Comparison) -> bool:
    return any((run.directory / REPORT).is_file() for run in comparison.runs)


def _unfinished(comparison: Comparison, directory: Path) -> str:
    if not comparison.unfinished:
        return ""
    items = "".join(
        f"<li>{_link(run, directory, comparison.told(run) or run.name)}: {escaped(why(run))}</li>"
        for run in comparison.unfinished
    )
    count, all_ = len(comparison.unfinished), len(comparison.runs)
    return (
        f'<div class="notes"><b>Did not finish: {count} of {all_}</b>, and in no mean or plot'
        f"<ul>{items}</ul></div>"
    )


def _pictures(plots: list[Plot]) -> str:
    figures = [
        f'<figure id="{escaped(plot.name)}"><img src="data:image/png;base64,{plot.png()}" '
        f'alt="{escaped(plot.title)}"><figcaption>{escaped(plot.caption)}</figcaption></figure>'
        for plot in plots
    ]
    return f"<h2>Pictures</h2>{''.join(figures)}" if figures else ""


def _definitions(comparison: Comparison, columns: list[Column]) -> str:
    splits = sorted({run.split for run in comparison.done if run.split})
    where = f" Unless said otherwise they were measured on the {' and '.join(splits)} split."
    items = "".join(f"<dt>{escaped(c.name)}</dt><dd>{escaped(c.meaning)}</dd>" for c in columns)
    inside = f"<p>{escaped(UNIT)}{escaped(where) if splits else ''}</p><dl>{items}</dl>"
    return fold("How the figures are defined", inside)


def _head(
    comparison: Comparison, words: list[str], columns: list[Column], *, last: str = ""
) -> str:
    cells = "".join(f"<th>{escaped(word)}</th>" for word in words)
    total = only(comparison, "total_dimensions")
    for column in columns:
        name = column.name
        if column.key == "active_dimensions" and total is not None:
            name = f"{name} of {total:g}"
        cells += f'<th class="figure" title="{escaped(column.meaning)}">{escaped(name)}</th>'
    return f"<tr>{cells}{f'<th>{escaped(last)}</th>' if last else ''}</tr>"


def _card(head: str, rows: list[str]) -> str:
    return (
        f'<div class="card scroll wide"><table><thead>{head}</thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _row(cells: list[str], *, unfinished: bool) -> str:
    opening = '<tr class="unfinished">' if unfinished else "<tr>"
    return f"{opening}{''.join(cells)}</tr>"


def _key(value: object) -> str:
    return f'<td class="key">{"–" if value is None else escaped(text(value))}</td>'


def _number(words: str) -> str:
    return f'<td class="number">{escaped(words)}</td>'


def _badges(setting: Setting) -> str:
    if len(setting.runs) == 1:
        return _badge(counted(setting))
    return " ".join(_badge(status, count) for status, count in setting.statuses)


def _badge(status: str, count: int | None = None) -> str:
    background, ink = BANNERS.get(status, UNKNOWN_BANNER)
    words = status if count is None else f"{status} {count}"
    return (
        f'<span class="badge" style="background:{background};color:{ink}">{escaped(words)}</span>'
    )


def _link(run: RunRecord, directory: Path, words: str) -> str:
    """`words`, which lead to the run's report if it has one."""
    report = run.directory / REPORT
    if not report.is_file():
        return escaped(words)
    relative = os.path.relpath(report, directory.absolute()).replace(os.sep, "/")
    # A name may begin like "http:": seen from here it is a path.
    target = quote(os.fsencode(f"./{relative}"))
    return f'<a href="{escaped(target)}" title="{escaped(run.name)}">{escaped(words)}</a>'
