"""The report of one run: a single HTML file that explains the diagnosis to whoever opens it.

Self-contained (pictures as base64, no script, no request); every text from outside is escaped.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from vaecli.core.atomic import write_text
from vaecli.reporting.page.dimensions import dimension_table
from vaecli.reporting.page.groups import groups, key_figures
from vaecli.reporting.page.style import BANNERS, CSS, UNKNOWN_BANNER
from vaecli.reporting.page.tables import (
    escaped,
    fold,
    number,
    number_cell,
    or_lowest,
    plain_table,
    words,
)
from vaecli.reporting.page.texts import texts
from vaecli.reporting.page.words import CAPTIONS, COLLAPSE, FIGURES, RUN_STATES, STATUSES
from vaecli.reporting.reading import information_bounds, leaf, value

# Shown above the fold; the table has them all.
_TILES = ("active_dimensions", "active_units", "rate", "distortion", "elbo")


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
    parts = [
        f"<h1>{escaped(title)}</h1>",
        _banner(diagnosis, summary),
        _listed("Warnings", "warnings", diagnosis.get("warnings") or []),
        _tiles(diagnosis),
        _verdict(diagnosis),
        _listed("How to read these figures", "notes", diagnosis.get("notes") or []),
        _next_commands(diagnosis.get("next_commands") or []),
        _pictures(plots),
        texts(diagnosis.get("texts") or {}),
        key_figures(diagnosis),
        groups(diagnosis),
        "<h2>Details</h2>",
        dimension_table(diagnosis),
        _training(history, summary),
        _settings(diagnosis),
        fold("Configuration", f"<pre>{escaped(config_yaml)}</pre>"),
        fold("Environment", f"<pre>{escaped(_json(environment))}</pre>"),
        fold("Summary of the run", f"<pre>{escaped(_json(summary))}</pre>"),
        "<footer>Written by vaecli. Densities are in nats per example: summed over pixels or "
        "tokens, and over latent dimensions, averaged over examples.</footer>",
    ]
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main>\n</body>\n</html>\n"
    )
    write_text(path, page)


def _banner(diagnosis: dict, summary: dict) -> str:
    status = str(diagnosis.get("status") or "NOT DIAGNOSED")
    background, ink = BANNERS.get(status, UNKNOWN_BANNER)
    lines = [STATUSES.get(status, ""), RUN_STATES.get(str(summary.get("run_state")), "")]
    active, total = diagnosis.get("active_dimensions"), diagnosis.get("total_dimensions")
    if active is not None and total is not None:
        lines[0] = f"{active} of {total} latent dimensions are active. {lines[0]}"
    if summary.get("collapsed_at_step") is not None:
        lines.append(
            f"Collapse was noticed at step {summary['collapsed_at_step']}: no dimension was active "
            "in three evaluations in a row."
        )
    sentences = "".join(f"<p>{escaped(line)}</p>" for line in lines if line)
    return (
        f'<div class="banner" style="background:{background};color:{ink}">'
        f'<div class="status">{escaped(status)}</div>{sentences}</div>'
    )


def _listed(heading: str, kind: str, items: list[str]) -> str:
    """Warnings (`kind` "warnings", which alerts) or notes, under a heading."""
    if not items:
        return ""
    role = ' role="alert"' if kind == "warnings" else ""
    shown = "".join(f"<li>{escaped(item)}</li>" for item in items)
    return f'<div class="{kind}"{role}><b>{heading}</b><ul>{shown}</ul></div>'


def _tiles(diagnosis: dict) -> str:
    shown = [
        (_short(diagnosis[key]), FIGURES[key][0], key in ("rate", "distortion", "elbo"))
        for key in _TILES
        if key in diagnosis
    ]
    if value(diagnosis, "information", "mutual_information") is not None:
        held = value(diagnosis, "information", "mutual_information")
        saturated = leaf(diagnosis, "information", "saturated")
        if saturated:
            held, _ = information_bounds(diagnosis)
        shown.insert(3, (("≥ " if saturated else "") + _short(held), "Mutual information", True))
    tiles = "".join(
        f'<div class="tile"><b>{escaped(figure)}</b>'
        f"<span>{escaped(name)}{', nats' if nats else ''}</span></div>"
        for figure, name, nats in shown
    )
    return f'<div class="tiles">{tiles}</div>' if tiles else ""


def _short(figure: float | None) -> str:
    """A figure that a tile has room for: next to nothing is told to a thousandth."""
    return f"{figure:z.3f}" if isinstance(figure, float) and abs(figure) < 0.01 else number(figure)


def _verdict(diagnosis: dict) -> str:
    sentences = "".join(f"<p>{escaped(line)}</p>" for line in diagnosis.get("verdict") or [])
    happened = f"<h3>What happened here</h3>{sentences}" if sentences else ""
    return (
        f'<div class="card"><h3 style="margin-top:0">What posterior collapse is</h3>'
        f"<p>{escaped(COLLAPSE)}</p>{happened}</div>"
    )


def _next_commands(commands: list) -> str:
    if not commands:
        return ""
    items = "".join(
        f"<p>{escaped(why)}</p><pre>{escaped(command)}</pre>" for command, why in commands
    )
    return f'<h2>What to try next</h2><div class="card">{items}</div>'


def _pictures(plots: list[Path]) -> str:
    figures = []
    for plot in plots:
        if not plot.is_file():
            continue
        caption = CAPTIONS.get(plot.stem, "")
        data = base64.b64encode(plot.read_bytes()).decode("ascii")
        name = escaped(words(plot.stem))
        figures.append(
            f'<figure id="{escaped(plot.stem)}"><img src="data:image/png;base64,{data}" '
            f'alt="{name}"><figcaption>{escaped(caption) or name}</figcaption></figure>'
        )
    return f"<h2>Pictures</h2>{''.join(figures)}" if figures else ""


def _training(history: list[dict], summary: dict) -> str:
    """First, last and the best evaluation by validation ELBO, as a small table."""
    keys = ("step", "epoch", "beta", "elbo", "rate", "distortion", "active_dimensions")
    if not history:
        return fold("Training", "<p>No evaluation was recorded.</p>")
    best = max(history, key=lambda row: or_lowest(row.get("elbo")))
    marked = [("first", history[0]), ("highest validation ELBO", best), ("last", history[-1])]
    names = ("Evaluation", *(FIGURES.get(key, (words(key),))[0] for key in keys))
    rows = [
        f"<tr><td>{name}</td>{''.join(number_cell(row.get(key)) for key in keys)}</tr>"
        for name, row in marked
    ]
    count = f"<p>{len(history)} evaluation{'s' if len(history) > 1 else ''} on validation data.</p>"
    return fold("Training", f'{count}<div class="scroll">{plain_table(names, rows)}</div>')


def _settings(diagnosis: dict) -> str:
    settings = diagnosis.get("settings")
    if not settings:
        return ""
    return fold("Settings of the diagnosis", f"<pre>{escaped(_json(settings))}</pre>")


def _json(value: dict) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
