"""Against beta: active dimensions beside theory's curve, KL per dimension, the phase diagram."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from vaecli.diagnosis.reading import value
from vaecli.reporting.comparison.groups import BETA, Comparison, Setting
from vaecli.reporting.comparison.plots.axes import (
    BetaAxis,
    Line,
    aside,
    clipped,
    headed,
    kl_bar,
    legend,
    lines,
    panels,
)
from vaecli.reporting.comparison.predicted import Predicted, predictions
from vaecli.reporting.comparison.swept import canonical, number, text
from vaecli.reporting.plots.figure import COLLAPSED, INK, MARK, SOFT, figure, labelled, titled
from vaecli.reporting.plots.heat import LOWEST_NATS, colour_table, highest_nats

PANELS = 6  # of the heat maps and of the phase diagram
_AMOUNT = LinearSegmentedColormap.from_list("amount", ["#E3EEF7", "#7FB2D9", "#0072B2", "#00304F"])


def active_against_beta(comparison: Comparison) -> Figure:
    """Active dimensions of every run over beta, a line for each other setting, and theory's."""
    drawn, axes = figure(5.0)
    titled(
        axes,
        "Active dimensions against beta",
        "The weight of the KL is the price of a nat of code. A line at 0 is full collapse. Line: "
        "mean over seeds; points: single runs; dashed: what theory predicts.",
    )
    shown = lines(comparison, BETA)
    scale = BetaAxis([b for s in comparison.settings if (b := number(s.values[BETA])) is not None])
    predicted = predictions(comparison)
    critical = sorted({p.critical_beta for p in predicted})
    near = [c for c in critical if scale.lowest / 30 < c < scale.highest * 30]
    scale.apply(axes, *near)
    top = 1.0
    for place, line in enumerate(shown):
        top = max(top, _active_line(axes, scale, line, aside(axes, place, len(shown))))
        if len(shown) == 1:
            _directions(axes, scale, line)
    for curve in predicted:
        top = max(top, _predicted(axes, scale, curve, alone=len(predicted) == 1))
    for place, beta in enumerate(near[:3]):
        axes.axvline(beta, color=INK, linewidth=1.1, linestyle=(0, (5, 2, 1, 2)), zorder=1)
        axes.annotate(f"critical {beta:.3g}", (beta, 1), xycoords=("data", "axes fraction"),
                      xytext=(3, -3 - 11 * place), textcoords="offset points", fontsize=8.5,
                      va="top", color=INK)  # fmt: skip
    axes.set_ylim(-0.03 * top, 1.12 * top)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    labelled(axes, "beta, the weight of the KL (logarithmic)", "active dimensions")
    legend(drawn, axes)
    return drawn


def kl_against_beta(comparison: Comparison) -> Figure:
    """KL per dimension, ranked, over beta: one heat map for each other setting."""
    found = [(line.label, _ranked(line.settings)) for line in lines(comparison, BETA, least=2)]
    found = [(label, by_beta) for label, by_beta in found if by_beta][:PANELS]
    every = [kl for _, by_beta in found for _, kl in by_beta]
    threshold = next((t for run in comparison.done
                      if (t := value(run.diagnosis, "threshold")) is not None), 0.01)  # fmt: skip
    highest = max(highest_nats(kl, threshold) for kl in every)
    colours = ListedColormap(colour_table(highest, threshold) / 255.0)
    norm = LogNorm(LOWEST_NATS, highest)
    title = "KL per latent dimension at the end, against beta"
    title += " (mean over seeds)" if comparison.repeated else ""
    drawn, grid = panels(len(found), columns=3, each=3.4 if len(found) > 1 else 3.9, title=title,
                         share=False)  # fmt: skip
    image = None
    for axes, (label, by_beta) in zip(grid, found, strict=True):
        rows = max(len(kl) for _, kl in by_beta)
        cells = np.full((rows, len(by_beta)), np.nan)
        for column, (_, kl) in enumerate(by_beta):
            cells[: len(kl), column] = np.clip(kl, LOWEST_NATS, highest)
        image = axes.imshow(np.ma.masked_invalid(cells), aspect="auto", cmap=colours, norm=norm,
                            interpolation="nearest")  # fmt: skip
        _columns(axes, [f"{beta:.4g}" for beta, _ in by_beta])
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda row, _: f"{row + 1:g}"))
        headed(axes, label, 30 if len(found) > 2 else 44)
        axes.set_xlabel("beta", fontsize=9, color=INK)
    grid[0].set_ylabel("dimensions, most used on top", fontsize=9, color=INK)
    if image is not None:
        kl_bar(drawn, image, grid, threshold)
    return drawn


def phase_diagram(comparison: Comparison, key: str) -> Figure:
    """Active dimensions on the grid of beta and `key`; further swept keys make panels."""
    found = planes(comparison, key)[:PANELS]
    top = max([1.0, *(s.mean("active_dimensions") or 0.0 for s in comparison.settings)])
    grids = []
    for _, settings in found:
        have = [[canonical(s.values[k]) for s in settings] for k in (BETA, key)]
        betas = [b for b in comparison.options(BETA) if canonical(b) in have[0]]
        options = [o for o in comparison.options(key) if canonical(o) in have[1]]
        grids.append(([b for b in map(number, betas) if b is not None], options))
    wide = max(len(betas) for betas, _ in grids)
    drawn, every = panels(
        len(found),
        columns=2 if wide <= 8 else 1,
        each=1.3 + 0.42 * min(max(len(options) for _, options in grids), 20),
        title=f"Phase diagram: active dimensions over beta and {clipped(key)}",
        share=False,
    )
    for axes, (label, settings), (betas, options) in zip(every, found, grids, strict=True):
        _phase(axes, settings, key, betas, options, top)
        headed(axes, label, 44 if len(found) > 1 else 90)
        axes.set_xlabel("beta", fontsize=9, color=INK)
    return drawn


def planes(comparison: Comparison, key: str) -> list[tuple[str, list[Setting]]]:
    """Settings over beta and `key`, with names: planes, then single rows to compare them with.

    Empty if nowhere both have two values at least.
    """
    whole, rows = [], []
    for label, settings in comparison.lines(BETA, key, least=2):
        betas, options = ({canonical(s.values[k]) for s in settings} for k in (BETA, key))
        if len(betas) > 1:
            (whole if len(options) > 1 else rows).append((label, settings))
    return whole + rows if whole else []


def _active_line(axes: Axes, scale: BetaAxis, line: Line, shift: float) -> float:
    """Draw one line; returns its highest point."""
    points, means = [], []
    for setting in line.settings:
        beta, mean = number(setting.values[BETA]), setting.mean("active_dimensions")
        if beta is None or mean is None:
            continue
        means.append((scale.place(beta) * shift, mean))
        counts = setting.known("active_dimensions")
        points += [(scale.place(beta) * shift, count) for count in counts]
    if not means:
        return 0.0
    means.sort()
    axes.plot(
        *zip(*means, strict=True),
        color=line.colour,
        linewidth=1.9,
        zorder=3,
        label=line.label or ("active dimensions" if line.marker != "." else None),
    )
    axes.scatter(*zip(*points, strict=True), color=line.colour, marker=line.marker, s=30,
                 alpha=0.75, linewidths=0, zorder=4)  # fmt: skip
    return max(count for _, count in points)


def _directions(axes: Axes, scale: BetaAxis, line: Line) -> None:
    """The mean over seeds of the active directions, which is what theory counts."""
    found = sorted(
        (scale.place(beta), mean)
        for setting in line.settings
        if (beta := number(setting.values[BETA])) is not None
        and (mean := setting.mean("active_directions")) is not None
    )
    if found:
        axes.plot(*zip(*found, strict=True), color=SOFT, linewidth=1.2, marker="o", markersize=5,
                  markerfacecolor="white", zorder=2.5, label="active directions")  # fmt: skip


def _predicted(axes: Axes, scale: BetaAxis, curve: Predicted, *, alone: bool) -> float:
    words = "predicted" if alone else f"predicted: {clipped(curve.label)}"
    if curve.at_betas is not None:
        betas, counts = zip(*curve.at_betas, strict=True)
        axes.scatter([scale.place(b) for b in betas], counts, marker="_", s=260, linewidths=2,
                     color=INK, zorder=2, label=words)  # fmt: skip
        return max(counts)
    low, high = axes.get_xlim()
    steps = curve.steps(low, high)
    if steps:
        betas, counts = zip(*steps, strict=True)
        axes.plot(betas, counts, drawstyle="steps-post", color=INK, linewidth=1.5,
                  linestyle=(0, (4, 2)), zorder=2, label=words)  # fmt: skip
        return max(counts)
    return 0.0


def _ranked(settings: list[Setting]) -> list[tuple[float, np.ndarray]]:
    """Beta and the ranked KL per dimension, mean over the setting's runs, by rising beta."""
    found = []
    for setting in settings:
        beta = number(setting.values[BETA])
        kls = [sorted(run.kl_per_dim, reverse=True) for run in setting.done if run.kl_per_dim]
        kls = [kl for kl in kls if len(kl) == len(kls[0])]
        if beta is not None and kls:
            found.append((beta, np.mean(kls, axis=0)))
    return sorted(found, key=lambda pair: pair[0])


def _columns(axes: Axes, labels: list[str]) -> None:
    step = math.ceil(len(labels) / 10)
    axes.set_xticks(range(0, len(labels), step), labels[::step], fontsize=8)


def _phase(
    axes: Axes, settings: list[Setting], key: str, betas: list[float], options: list, top: float
) -> None:
    at = {(number(s.values[BETA]), canonical(s.values[key])): s for s in settings}
    for row, option in enumerate(options):
        for column, beta in enumerate(betas):
            setting = at.get((beta, canonical(option)))
            active = None if setting is None else setting.mean("active_dimensions")
            if active is None:
                fill, words, ink = "white", "" if setting is None else "×", SOFT
            elif active == 0:
                fill, words, ink = COLLAPSED, "0", INK
            else:
                fill = _AMOUNT(active / top)
                words, ink = f"{active:.3g}", "white" if active > 0.45 * top else INK
            axes.fill_between([column - 0.5, column + 0.5], row - 0.5, row + 0.5, color=fill,
                              edgecolor="white", linewidth=1)  # fmt: skip
            if len(betas) <= 16 and len(options) <= 24:
                axes.text(column, row, words, ha="center", va="center", color=ink, fontsize=9)
        near = [s for (_, o), s in at.items() if o == canonical(option)]
        _boundary(axes, near, betas, row)
    axes.set_xlim(-0.5, len(betas) - 0.5)
    axes.set_ylim(len(options) - 0.5, -0.5)
    _columns(axes, [f"{beta:.4g}" for beta in betas])
    step = math.ceil(len(options) / 24)
    names = [clipped(text(option), 18) for option in options]
    axes.set_yticks(range(0, len(options), step), names[::step], fontsize=8.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _boundary(axes: Axes, settings: list[Setting], betas: list[float], row: int) -> None:
    """The predicted critical beta of one row, placed between the columns."""
    runs = [run for setting in settings for run in setting.done]
    found = [value(run.diagnosis, "prediction", "critical_beta") for run in runs]
    known = sorted({f"{critical:.4g}" for critical in found if critical is not None})
    if len(known) != 1:
        return
    place = column_of(float(known[0]), betas)
    axes.plot([place, place], [row - 0.5, row + 0.5], color=MARK, linewidth=2.5, zorder=5,
              solid_capstyle="butt")  # fmt: skip


def column_of(critical: float, betas: list[float]) -> float:
    """The border between columns, one for each of the rising `betas`, where a critical beta lies.

    Columns at and above it are right of it. It is drawn on the border, wherever it lies between
    the two betas: a cell is a run, and on one side.
    """
    return sum(beta < critical for beta in betas) - 0.5
