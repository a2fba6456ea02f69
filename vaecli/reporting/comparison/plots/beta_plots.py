"""Against beta: active dimensions beside theory's curve, KL per dimension, the phase diagram."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from vaecli.diagnosis.reading import value
from vaecli.reporting.comparison.groups import BETA, Comparison, Setting
from vaecli.reporting.comparison.plots import parts
from vaecli.reporting.comparison.predicted import TheoryCurve, predictions
from vaecli.reporting.comparison.swept import as_number, canonical, format_value
from vaecli.reporting.plots import heat, look, pieces

PANELS = 6  # of the heat maps and of the phase diagram
# The look of active directions, which are what theory counts.
_HOLLOW = {"color": look.SOFT, "linewidth": 1.2, "marker": "o", "markersize": 5}
_HOLLOW |= {"markerfacecolor": "white", "zorder": 2.5}
_AMOUNT = LinearSegmentedColormap.from_list("amount", ["#E3EEF7", "#7FB2D9", "#0072B2", "#00304F"])


def active_against_beta(comparison: Comparison) -> Figure:
    """Active dimensions of every run over beta, a line for each other setting, and theory's."""
    fig, axes = look.figure(
        5.0,
        "Active dimensions against beta",
        "The weight of the KL is the price of a nat of code. A line at 0 is full collapse. Line: "
        "mean over seeds; points: single runs; dashed: what theory predicts.",
    )
    all_lines, curves = parts.lines(comparison, BETA), predictions(comparison)
    betas = [as_number(setting.values[BETA]) for setting in comparison.settings]
    scale = parts.BetaAxis([beta for beta in betas if beta is not None])
    critical = sorted({curve.critical_beta for curve in curves})
    near = [c for c in critical if scale.lowest / 30 < c < scale.highest * 30]
    scale.apply(axes, *near)
    tops = [1.0]
    for place, line in enumerate(all_lines):
        tops.append(_active_line(axes, scale, line, parts.shift_of(axes, place, len(all_lines))))
        if len(all_lines) == 1:
            means = _over_beta(scale, line, "active_directions")
            line.draw(axes, means, "active directions", **_HOLLOW)
    for curve in curves:
        label = "predicted" if len(curves) == 1 else f"predicted: {parts.clip_label(curve.label)}"
        tops.append(_predicted(axes, scale, curve, label))
    for place, beta in enumerate(near[:3]):
        axes.axvline(beta, color=look.INK, linewidth=1.1, linestyle=(0, (5, 2, 1, 2)), zorder=1)
        style = {"fontsize": 8.5, "va": "top", "color": look.INK}
        style["xycoords"] = ("data", "axes fraction")
        look.note(axes, f"critical {beta:.3g}", (beta, 1), (3, -3 - 11 * place), **style)
    axes.set_ylim(-0.03 * max(tops), 1.12 * max(tops))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    look.label_axes(axes, "beta, the weight of the KL (logarithmic)", "active dimensions")
    parts.legend(fig, axes)
    return fig


def _active_line(axes: Axes, scale: parts.BetaAxis, line: parts.Line, shift: float) -> float:
    """Draw the means of one line and its runs; returns its highest point."""
    means = _over_beta(scale, line, "active_dimensions", shift)
    line.draw(axes, means, line.label or "active dimensions", zorder=3)
    points = []
    for setting in line.settings:
        if (beta := as_number(setting.values[BETA])) is not None:
            counts = setting.run_figures("active_dimensions")
            points += [(scale.place(beta) * shift, count) for count in counts]
    line.dot(axes, points, 30)
    return max((count for _, count in points), default=0.0)


def _over_beta(
    scale: parts.BetaAxis, line: parts.Line, key: str, shift: float = 1.0
) -> list[tuple[float, float]]:
    """Place of beta, and mean of a figure, of each setting that has both."""
    return [
        (scale.place(beta) * shift, mean)
        for setting in line.settings
        if (beta := as_number(setting.values[BETA])) is not None
        and (mean := setting.mean(key)) is not None
    ]


def _predicted(axes: Axes, scale: parts.BetaAxis, curve: TheoryCurve, label: str) -> float:
    """Draw one prediction; returns its highest point."""
    if curve.at_betas is not None:
        betas, counts = zip(*curve.at_betas, strict=True)
        style = {"marker": "_", "s": 260, "linewidths": 2, "color": look.INK, "zorder": 2}
        axes.scatter([scale.place(b) for b in betas], counts, label=label, **style)
        return max(counts)
    steps = curve.steps(*axes.get_xlim())
    if not steps:
        return 0.0
    betas, counts = zip(*steps, strict=True)
    style = {"drawstyle": "steps-post", "color": look.INK, "linewidth": 1.5, "zorder": 2}
    axes.plot(betas, counts, linestyle=look.DASHED, label=label, **style)
    return max(counts)


def kl_against_beta(comparison: Comparison) -> Figure:
    """KL per dimension, ranked, over beta: one heat map for each other setting."""
    lines = parts.lines(comparison, BETA, least=2)
    ranked = [(line.label, kl) for line in lines if (kl := _ranked(line.settings))][:PANELS]
    threshold = parts.threshold_of(comparison.done)
    highest = max(heat.highest_nats(kl, threshold) for _, by_beta in ranked for _, kl in by_beta)
    style = pieces.kl_look(highest, threshold, gaps="none")
    title = "KL per latent dimension at the end, against beta"
    title += " (mean over seeds)" if comparison.repeated else ""
    each = 3.4 if len(ranked) > 1 else 3.9
    fig, grid = parts.panels(len(ranked), columns=3, each=each, title=title)
    for axes, (label, by_beta) in zip(grid, ranked, strict=True):
        # A column a beta; models with fewer dimensions leave the lower rows empty.
        kl = np.full((max(len(kl) for _, kl in by_beta), len(by_beta)), np.nan)
        for column, (_, nats) in enumerate(by_beta):
            kl[: len(nats), column] = nats
        cells = pieces.kl_cells(kl, highest)
        image = axes.imshow(cells, aspect="auto", interpolation="nearest", **style)
        _name_columns(axes, [beta for beta, _ in by_beta])
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda row, _: f"{row + 1:g}"))
        parts.set_panel_title(axes, label, 30 if len(ranked) > 2 else 44)
    grid[0].set_ylabel("dimensions, most used on top", fontsize=9, color=look.INK)
    pieces.kl_bar(fig, image, grid, threshold)
    return fig


def _ranked(settings: list[Setting]) -> list[tuple[float, np.ndarray]]:
    """Beta and the ranked KL per dimension, mean over the setting's runs, by rising beta."""
    by_beta = []
    for setting in settings:
        beta = as_number(setting.values[BETA])
        kls = [sorted(run.kl_per_dim, reverse=True) for run in setting.done if run.kl_per_dim]
        kls = [kl for kl in kls if len(kl) == len(kls[0])]
        if beta is not None and kls:
            by_beta.append((beta, np.mean(kls, axis=0)))
    return sorted(by_beta, key=lambda pair: pair[0])


def _name_columns(axes: Axes, betas: list[float]) -> None:
    """Write beta below the columns, below ten of them at most."""
    step = math.ceil(len(betas) / 10)
    labels = [f"{beta:.4g}" for beta in betas[::step]]
    axes.set_xticks(range(0, len(betas), step), labels, fontsize=8)
    axes.set_xlabel("beta", fontsize=9, color=look.INK)


def phase_diagram(comparison: Comparison, key: str) -> Figure:
    """Active dimensions on the grid of beta and `key`; further swept keys make panels."""
    shown = planes(comparison, key)[:PANELS]
    top = max([1.0, *(s.mean("active_dimensions") or 0.0 for s in comparison.settings)])
    grids = []
    for _, settings in shown:
        betas = map(as_number, options_of(comparison, BETA, settings))
        options = options_of(comparison, key, settings)
        grids.append(([beta for beta in betas if beta is not None], options))
    fig, every = parts.panels(
        len(shown),
        columns=2 if max(len(betas) for betas, _ in grids) <= 8 else 1,
        each=1.3 + 0.42 * min(max(len(options) for _, options in grids), 20),
        title=f"Phase diagram: active dimensions over beta and {parts.clip_label(key)}",
    )
    for axes, (label, settings), (betas, options) in zip(every, shown, grids, strict=True):
        _phase(axes, settings, key, betas, options, top)
        parts.set_panel_title(axes, label, 44 if len(shown) > 1 else 90)
    return fig


def planes(comparison: Comparison, key: str) -> list[tuple[str, list[Setting]]]:
    """Settings over beta and `key`, with names: planes, then single rows to compare them with.

    Empty if nowhere both have two values at least.
    """
    lines = comparison.lines(BETA, key, least=2)
    lines = [line for line in lines if len(_values(line[1], BETA)) > 1]
    # A plane has several values of `key`, too; sorting keeps the order of the rest.
    lines.sort(key=lambda line: len(_values(line[1], key)) == 1)
    return lines if lines and len(_values(lines[0][1], key)) > 1 else []


def options_of(comparison: Comparison, key: str, settings: list[Setting]) -> list[Any]:
    """The values of a swept key that some of the settings have, in the comparison's order."""
    return [o for o in comparison.options(key) if canonical(o) in _values(settings, key)]


def _values(settings: list[Setting], key: str) -> set[str]:
    return {canonical(setting.values[key]) for setting in settings}


def _phase(
    axes: Axes, settings: list[Setting], key: str, betas: list[float], options: list, top: float
) -> None:
    """One panel: a row an option of `key`, a column a beta; `top` has the darkest colour."""
    at = {(as_number(s.values[BETA]), canonical(s.values[key])): s for s in settings}
    for row, option in enumerate(options):
        for column, beta in enumerate(betas):
            setting = at.get((beta, canonical(option)))
            active = None if setting is None else setting.mean("active_dimensions")
            if active is None:
                fill, words, ink = "white", "" if setting is None else "×", look.SOFT
            elif active == 0:
                fill, words, ink = look.COLLAPSED, "0", look.INK
            else:
                fill, words = _AMOUNT(active / top), f"{active:.3g}"
                ink = "white" if active > 0.45 * top else look.INK
            sides, edge = [column - 0.5, column + 0.5], {"edgecolor": "white", "linewidth": 1}
            axes.fill_between(sides, row - 0.5, row + 0.5, color=fill, **edge)
            if len(betas) <= 16 and len(options) <= 24:
                axes.text(column, row, words, ha="center", va="center", color=ink, fontsize=9)
        same_row = [s for (_, name), s in at.items() if name == canonical(option)]
        _boundary(axes, same_row, betas, row)
    axes.set_xlim(-0.5, len(betas) - 0.5)
    axes.set_ylim(len(options) - 0.5, -0.5)
    _name_columns(axes, betas)
    step = math.ceil(len(options) / 24)
    labels = [parts.clip_label(format_value(option), 18) for option in options[::step]]
    axes.set_yticks(range(0, len(options), step), labels, fontsize=8.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _boundary(axes: Axes, settings: list[Setting], betas: list[float], row: int) -> None:
    """The predicted critical beta of one row, placed between the columns."""
    runs = [run for setting in settings for run in setting.done]
    critical = [value(run.diagnosis, "prediction", "critical_beta") for run in runs]
    distinct = {f"{beta:.4g}" for beta in critical if beta is not None}
    if len(distinct) == 1:
        x = column_of(float(distinct.pop()), betas)
        style = {"color": look.MARK, "linewidth": 2.5, "solid_capstyle": "butt"}
        axes.plot([x, x], [row - 0.5, row + 0.5], zorder=5, **style)


def column_of(critical: float, betas: list[float]) -> float:
    """The border between columns, one for each of the rising `betas`, where a critical beta lies.

    Columns at and above it are right of it. It is drawn on the border, wherever it lies between
    the two betas: a cell is a run, and on one side.
    """
    return sum(beta < critical for beta in betas) - 0.5
