"""The report of one run: a single HTML file that explains the diagnosis to whoever opens it.

Self-contained (pictures as base64, no script, no request); every text from outside is escaped.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

from vaecli.reporting.page_style import BANNERS, CSS, UNKNOWN_BANNER
from vaecli.reporting.page_tables import (
    escaped,
    figure_row,
    figure_table,
    leaves,
    number,
    or_lowest,
    words,
)
from vaecli.reporting.page_words import (
    CAPTIONS,
    COLLAPSE,
    FIGURES,
    GROUPS,
    RUN_STATES,
    STATUSES,
)

# Shown above the fold; the table has them all.
_TILES = ("active_dimensions", "active_units", "rate", "distortion", "elbo")
_HEAD = ("Figure", "Value", "Meaning and how it was measured")
# Keys of the diagnosis that have a place of their own on the page.
_ELSEWHERE = {
    "status",
    "estimators",
    "kl_per_dim",
    "split",
    "examples",
    "warnings",
    "verdict",
    "next_commands",
}


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
        _fold("Configuration", f"<pre>{escaped(config_yaml)}</pre>"),
        _fold("Environment", f"<pre>{escaped(_json(environment))}</pre>"),
        _fold("Summary of the run", f"<pre>{escaped(_json(summary))}</pre>"),
        "<footer>Written by vaecli. Densities are in nats per example: summed over pixels and "
        "latent dimensions, averaged over examples.</footer>",
    ]
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main>\n</body>\n</html>\n"
    )
    unfinished = path.with_name(f".{path.name}.unfinished")
    # A surrogate from a strange file name must not cost the report.
    unfinished.write_text(page, encoding="utf-8", errors="backslashreplace")
    os.replace(unfinished, path)


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


def _warnings(warnings: list[str]) -> str:
    if not warnings:
        return ""
    items = "".join(f"<li>{escaped(warning)}</li>" for warning in warnings)
    return f'<div class="warnings" role="alert"><b>Warnings</b><ul>{items}</ul></div>'


def _tiles(diagnosis: dict) -> str:
    tiles = []
    for key in _TILES:
        if key in diagnosis:
            name = FIGURES[key][0] + (", nats" if key in ("rate", "distortion", "elbo") else "")
            tiles.append(
                f'<div class="tile"><b>{escaped(number(diagnosis[key]))}</b>'
                f"<span>{escaped(name)}</span></div>"
            )
    return f'<div class="tiles">{"".join(tiles)}</div>' if tiles else ""


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


def _key_figures(diagnosis: dict) -> str:
    """The flat figures of the diagnosis with one line of meaning each."""
    known = diagnosis.get("estimators")
    estimators = known if isinstance(known, dict) else {}
    rows = [
        figure_row(name, diagnosis[key], meaning, measured=str(estimators.get(key) or ""))
        for key, (name, meaning) in FIGURES.items()
        if key in diagnosis
    ]
    rows += [
        figure_row(words(str(key)), value, "", measured=str(estimators.get(key) or ""))
        for key, value in diagnosis.items()
        if key not in FIGURES and key not in _ELSEWHERE and not isinstance(value, dict)
    ]
    measured = ""
    if diagnosis.get("split") is not None:
        measured = (
            f'<p class="soft">Measured on the {escaped(diagnosis["split"])} split, '
            f"n = {escaped(number(diagnosis.get('examples')))}.</p>"
        )
    return f"<h2>Key figures</h2>{measured}{figure_table(_HEAD, rows)}"


def _groups(diagnosis: dict) -> str:
    """Every group of estimates, known or not: a dict whose leaves are numbers or Estimates."""
    parts = []
    for key, group in diagnosis.items():
        if isinstance(group, dict) and group and key not in _ELSEWHERE:
            rows = list(leaves(group))
            heading = escaped(GROUPS.get(key, words(key)))
            parts.append(f"<h2>{heading}</h2>{figure_table(_HEAD, rows)}")
    return "\n".join(parts)


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


def _per_dimension(diagnosis: dict) -> str:
    kl = diagnosis.get("kl_per_dim") or []
    if not kl:
        return ""
    threshold = diagnosis.get("threshold")
    order = sorted(range(len(kl)), key=lambda j: -or_lowest(kl[j]))
    rows = []
    for rank, j in enumerate(order, start=1):
        alive = threshold is not None and or_lowest(kl[j]) > threshold
        rows.append(
            f'<tr class="{"alive" if alive else "dead"}"><td>{rank}</td><td>{j}</td>'
            f'<td class="number">{escaped(number(kl[j]))}</td>'
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
    best = max(history, key=lambda row: or_lowest(row.get("elbo")))
    marked = [("first", history[0]), ("highest validation ELBO", best), ("last", history[-1])]
    names = ["Evaluation", *(FIGURES.get(key, (words(key),))[0] for key in keys)]
    head = "".join(f"<th>{escaped(name)}</th>" for name in names)
    rows = "".join(
        f"<tr><td>{name}</td>"
        + "".join(f'<td class="number">{escaped(number(row.get(key)))}</td>' for key in keys)
        + "</tr>"
        for name, row in marked
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    count = f"<p>{len(history)} evaluation{'s' if len(history) > 1 else ''} on validation data.</p>"
    return _fold("Training", f'{count}<div class="scroll">{table}</div>')


def _fold(title: str, inside: str) -> str:
    return f"<details><summary>{escaped(title)}</summary>{inside}</details>"


def _json(value: dict) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
