"""The report of one run: a single HTML file that explains the diagnosis to whoever opens it.

Self-contained (pictures as base64, no script, no request); every text from outside is escaped.
"""

from __future__ import annotations

import base64
import html
import json
import math
import os
from pathlib import Path

from vaecli.reporting.page_style import BANNERS, CSS, UNKNOWN_BANNER
from vaecli.reporting.page_words import (
    CAPTIONS,
    COLLAPSE,
    FIGURES,
    GROUPS,
    LEAVES,
    RUN_STATES,
    STATUSES,
)

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
        f"<h1>{_text(title)}</h1>",
        _banner(diagnosis, summary),
        _warnings(diagnosis.get("warnings") or []),
        _tiles(diagnosis),
        _verdict(diagnosis),
        _next_commands(diagnosis.get("next_commands") or []),
        _key_figures(diagnosis),
        _groups(diagnosis),
        _pictures(plots),
        "<h2>Details</h2>",
        _per_dimension(diagnosis),
        _training(history, summary),
        _fold("Configuration", f"<pre>{_text(config_yaml)}</pre>"),
        _fold("Environment", f"<pre>{_text(_json(environment))}</pre>"),
        _fold("Summary of the run", f"<pre>{_text(_json(summary))}</pre>"),
        "<footer>Written by vaecli. Densities are in nats per example: summed over pixels and "
        "latent dimensions, averaged over examples.</footer>",
    ]
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main>\n</body>\n</html>\n"
    )
    unfinished = path.with_name(f".{path.name}.unfinished")
    # A surrogate from a strange file name must not cost the report.
    unfinished.write_text(page, encoding="utf-8", errors="backslashreplace")
    os.replace(unfinished, path)


def number(value: object) -> str:
    """A value for the reader: four significant digits, "not measured" for None, else its text."""
    if value is None:
        return "not measured"
    if isinstance(value, float):
        if not math.isfinite(value):
            return "not a number" if math.isnan(value) else ("∞" if value > 0 else "-∞")
        return f"{value:.4g}" if abs(value) < 1e5 else f"{value:,.0f}"
    return str(value)


def _banner(diagnosis: dict, summary: dict) -> str:
    status = str(diagnosis.get("status") or "NOT DIAGNOSED")
    background, ink = BANNERS.get(status, UNKNOWN_BANNER)
    lines = [STATUSES.get(status, ""), RUN_STATES.get(str(summary.get("run_state")), "")]
    active, total = diagnosis.get("active_dimensions"), diagnosis.get("total_dimensions")
    if active is not None and total is not None:
        lines[0] = f"{active} of {total} latent dimensions are active. {lines[0]}"
    if summary.get("collapsed_at_step") is not None:
        lines.append(f"All dimensions were dead from step {summary['collapsed_at_step']} on.")
    words = "".join(f"<p>{_text(line)}</p>" for line in lines if line)
    return (
        f'<div class="banner" style="background:{background};color:{ink}">'
        f'<div class="status">{_text(status)}</div>{words}</div>'
    )


def _warnings(warnings: list[str]) -> str:
    if not warnings:
        return ""
    items = "".join(f"<li>{_text(warning)}</li>" for warning in warnings)
    return f'<div class="warnings" role="alert"><b>Warnings</b><ul>{items}</ul></div>'


def _tiles(diagnosis: dict) -> str:
    tiles = []
    for key in _TILES:
        if key in diagnosis:
            name = FIGURES[key][0] + (", nats" if key in ("rate", "distortion", "elbo") else "")
            tiles.append(
                f'<div class="tile"><b>{_text(number(diagnosis[key]))}</b>'
                f"<span>{_text(name)}</span></div>"
            )
    return f'<div class="tiles">{"".join(tiles)}</div>' if tiles else ""


def _verdict(diagnosis: dict) -> str:
    sentences = "".join(f"<p>{_text(line)}</p>" for line in diagnosis.get("verdict") or [])
    happened = f"<h3>What happened here</h3>{sentences}" if sentences else ""
    return (
        f'<div class="card"><h3 style="margin-top:0">What posterior collapse is</h3>'
        f"<p>{_text(COLLAPSE)}</p>{happened}</div>"
    )


def _next_commands(commands: list) -> str:
    if not commands:
        return ""
    items = "".join(f"<p>{_text(why)}</p><pre>{_text(command)}</pre>" for command, why in commands)
    return f'<h2>What to try next</h2><div class="card">{items}</div>'


def _key_figures(diagnosis: dict) -> str:
    """The flat figures of the diagnosis with one line of meaning each."""
    rows = [
        _row(name, diagnosis[key], meaning)
        for key, (name, meaning) in FIGURES.items()
        if key in diagnosis
    ]
    measured = ""
    if diagnosis.get("split") is not None:
        measured = (
            f'<p class="soft">Measured on the {_text(diagnosis["split"])} split, '
            f"n = {_text(number(diagnosis.get('examples')))}.</p>"
        )
    return f"<h2>Key figures</h2>{measured}{_table(('Figure', 'Value', 'Meaning'), rows)}"


def _groups(diagnosis: dict) -> str:
    """Every group of estimates, known or not: a dict whose leaves are numbers or Estimates."""
    parts = []
    for key, group in diagnosis.items():
        if isinstance(group, dict) and group:
            rows = list(_leaves(group))
            heading = _text(GROUPS.get(key, _words(key)))
            head = ("Figure", "Value", "Meaning and how it was measured")
            parts.append(f"<h2>{heading}</h2>{_table(head, rows)}")
    return "\n".join(parts)


def _leaves(group: dict, prefix: str = ""):
    """Table rows of a group; groups within groups are named by their path."""
    for key, leaf in group.items():
        name, meaning = f"{prefix}{_words(str(key))}", LEAVES.get(str(key), "")
        if isinstance(leaf, dict) and "value" in leaf:
            value, error = leaf["value"], leaf.get("standard_error")
            source = [
                str(leaf["estimator"]) if leaf.get("estimator") else "",
                f"{leaf['split']} split" if leaf.get("split") else "",
                f"n = {leaf['n']}" if leaf.get("n") is not None else "",
            ]
            yield _row(name, value, meaning, error, ", ".join(s for s in source if s))
        elif isinstance(leaf, dict):
            yield from _leaves(leaf, f"{name}: ")
        else:
            yield _row(name, leaf, meaning)


def _row(name: str, value: object, meaning: str, error: object = None, measured: str = "") -> str:
    shown = ", ".join(number(v) for v in value) if isinstance(value, list) else number(value)
    if error is not None:
        shown += f" ± {number(error)}"
    wrap = "" if isinstance(value, list) else ' class="number"'
    how = f'<div class="meaning">{_text(measured)}</div>' if measured else ""
    return (
        f'<tr><td class="name">{_text(name)}</td><td{wrap}>{_text(shown)}</td>'
        f"<td>{_text(meaning)}{how}</td></tr>"
    )


def _table(head: tuple[str, ...], rows: list[str]) -> str:
    cells = "".join(f"<th>{_text(cell)}</th>" for cell in head)
    return (
        f'<div class="card scroll"><table class="figures"><thead><tr>{cells}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _pictures(plots: list[Path]) -> str:
    figures = []
    for plot in plots:
        if not plot.is_file():
            continue
        caption = CAPTIONS.get(plot.stem, "")
        data = base64.b64encode(plot.read_bytes()).decode("ascii")
        name = _text(_words(plot.stem))
        figures.append(
            f'<figure id="{_text(plot.stem)}"><img src="data:image/png;base64,{data}" '
            f'alt="{name}"><figcaption>{_text(caption) or name}</figcaption></figure>'
        )
    return f"<h2>Pictures</h2>{''.join(figures)}" if figures else ""


def _per_dimension(diagnosis: dict) -> str:
    kl = diagnosis.get("kl_per_dim") or []
    if not kl:
        return ""
    threshold = diagnosis.get("threshold")
    order = sorted(range(len(kl)), key=lambda j: -_or_lowest(kl[j]))
    rows = []
    for rank, j in enumerate(order, start=1):
        alive = threshold is not None and _or_lowest(kl[j]) > threshold
        rows.append(
            f'<tr class="{"alive" if alive else "dead"}"><td>{rank}</td><td>{j}</td>'
            f'<td class="number">{_text(number(kl[j]))}</td>'
            f"<td>{'active' if alive else 'collapsed'}</td></tr>"
        )
    head = "".join(f"<th>{cell}</th>" for cell in ("Rank", "Dimension", "KL, nats", ""))
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return _fold("KL of every dimension", f'<div class="scroll">{table}</div>')


def _training(history: list[dict], summary: dict) -> str:
    """First, last and the best evaluation by validation ELBO, as a small table."""
    keys = ("step", "epoch", "beta", "elbo", "rate", "distortion", "active_dimensions")
    if not history:
        return _fold("Training", "<p>No evaluation was recorded.</p>")
    best = max(history, key=lambda row: _or_lowest(row.get("elbo")))
    marked = [("first", history[0]), ("highest validation ELBO", best), ("last", history[-1])]
    head = "".join(f"<th>{_text(_words(key))}</th>" for key in ("evaluation", *keys))
    rows = "".join(
        f"<tr><td>{name}</td>"
        + "".join(f'<td class="number">{_text(number(row.get(key)))}</td>' for key in keys)
        + "</tr>"
        for name, row in marked
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    count = f"<p>{len(history)} evaluation{'s' if len(history) > 1 else ''} on validation data.</p>"
    return _fold("Training", f'{count}<div class="scroll">{table}</div>')


def _fold(title: str, inside: str) -> str:
    return f"<details><summary>{_text(title)}</summary>{inside}</details>"


def _text(value: object) -> str:
    """Escaped for HTML, inside quotes too."""
    return html.escape(str(value), quote=True)


def _words(key: str) -> str:
    """A key as words: "mutual_information" -> "Mutual information"."""
    words = key.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def _json(value: dict) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _or_lowest(value: float | None) -> float:
    """A number that sorts: None and NaN come below everything."""
    return value if value is not None and not math.isnan(value) else -math.inf
