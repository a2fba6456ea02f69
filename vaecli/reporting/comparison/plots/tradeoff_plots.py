"""Cost and use of a code: the rate-distortion plane, and settings ranked."""

from __future__ import annotations

import math
from collections import Counter

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vaecli.diagnosis.figures import by_key
from vaecli.reporting.comparison.columns import format_figure
from vaecli.reporting.comparison.groups import BETA, Comparison, Setting, beta_of, label_settings
from vaecli.reporting.comparison.plots import parts
from vaecli.reporting.comparison.runs import RunRecord
from vaecli.reporting.plots import look, pieces

# Figures beside the validation loss in the ranking: what a low loss does not say.
BESIDE = ("rate", "mutual_information", "shuffle_rise", "active_units")
RANKED = 24  # rows of a ranking; a longer one is cut


def frontier(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other point betters, with less or equal of both and less of one.

    points: (rate, distortion). By rising rate, each once.
    """
    edge: list[tuple[float, float]] = []
    for rate, distortion in sorted(set(points)):
        if not edge or distortion < edge[-1][1]:
            edge.append((rate, distortion))
    return edge


def split_of(settings: list[Setting]) -> tuple[str | None, int]:
    """The split to draw, test if there is one, and how many runs were measured on another."""
    counts = Counter(run.split for s in settings for run in s.done if _point(run))
    if not counts:
        return None, 0
    split = "test" if "test" in counts else max(counts, key=lambda name: counts[name])
    return split, counts.total() - counts[split]


def rate_distortion_plane(comparison: Comparison, settings: list[Setting], where: str) -> Figure:
    """All runs of comparable settings in one plane, and a line through the best."""
    split, _ = split_of(settings)
    fig, axes = look.figure(
        5.4,
        "Rate and distortion" + (f": {parts.clip_label(where)}" if where else ""),
        f"Each point is a run ({split} split). Rate: what the code costs; distortion: what is "
        "still wrong with x. Down and to the left is better; grey lines join points of equal ELBO.",
    )
    runs_of = {id(s): [r for r in s.done if _point(r) and r.split == split] for s in settings}
    runs = [run for setting in settings for run in runs_of[id(setting)]]
    points = [point for run in runs if (point := _point(run))]
    _set_limits(axes, points)
    pieces.elbo_lines(axes, "#D4D4D4")
    edge = frontier(points)
    if len(edge) > 1:
        label = "frontier: no run is as good in both and better in one"
        axes.plot(*zip(*edge, strict=True), color=look.INK, linewidth=1.3, zorder=2, label=label)
    betas = sorted({b for run in runs if (b := beta_of(run)) is not None})
    if BETA in comparison.keys and len(betas) > 1:
        lines = [[s for s in line if id(s) in runs_of] for _, line in comparison.lines(BETA)]
        lines = [line for line in lines if line]
        labels = label_settings([line[0] for line in lines], without=(BETA,))
        by_label = [
            (label, [run for s in line for run in runs_of[id(s)]])
            for label, line in zip(labels, lines, strict=True)
        ]
        _by_beta(fig, axes, by_label, betas)
    else:
        labels = label_settings(settings)
        by_label = [(n, runs_of[id(s)]) for n, s in zip(labels, settings, strict=True)]
        _by_setting(axes, by_label)
    look.label_axes(axes, "rate, nats per example", "distortion, nats per example")
    parts.legend(fig, axes)
    return fig


def _point(run: RunRecord) -> tuple[float, float] | None:
    """Rate and distortion of a run; None if one is not known."""
    rate, distortion = run.figure("rate"), run.figure("distortion")
    return None if rate is None or distortion is None else (rate, distortion)


def _set_limits(axes: Axes, points: list[tuple[float, float]]) -> None:
    rates, distortions = zip(*points, strict=True)
    low, high = min(distortions), max(distortions)
    room = 0.1 * (high - low) or 0.05 * abs(high) or 1.0
    right = max(1.08 * max(rates), 0.1)
    # Rate 0 is always in the picture: it is collapse.
    axes.set_xlim(-0.04 * right, right)
    axes.set_ylim(low - room, high + room)


def _by_setting(axes: Axes, by_label: list[tuple[str, list[RunRecord]]]) -> None:
    """Runs as points; the first eight settings have a colour and a shape each."""
    for place, (label, runs) in enumerate(by_label):
        style = {"color": parts.GREY, "marker": "."}
        if place < len(parts.COLOURS):
            style = {"color": parts.COLOURS[place], "marker": parts.MARKERS[place]}
            style["label"] = parts.clip_label(label) or None
        if runs:
            style |= {"s": 46, "alpha": 0.85, "linewidths": 0.6, "edgecolors": "white", "zorder": 3}
            axes.scatter(*zip(*map(_point, runs), strict=True), **style)


def _by_beta(
    fig: Figure, axes: Axes, by_label: list[tuple[str, list[RunRecord]]], betas: list[float]
) -> None:
    """Runs as points; the colour says beta, the shape the other settings."""
    # Beta 0 has no logarithm: colours go by rank.
    rank = {b: place for place, b in enumerate(betas)}
    colours = {"cmap": "viridis_r", "vmin": 0, "vmax": max(1, len(betas) - 1)}
    style = {"s": 52, "linewidths": 0.6, "edgecolors": look.INK, "zorder": 3}
    dots = None
    for place, (label, runs) in enumerate(by_label):
        pairs = [(p, b) for run in runs if (p := _point(run)) and (b := beta_of(run)) is not None]
        points = [(*point, rank[b]) for point, b in pairs]
        if not points:
            continue
        x, y, colour = zip(*points, strict=True)
        marker = parts.MARKERS[place] if place < len(parts.MARKERS) else "."
        dots = axes.scatter(x, y, c=colour, marker=marker, **colours, **style)
        if label and place < len(parts.MARKERS):
            label = parts.clip_label(label)
            axes.scatter([], [], color=look.SOFT, marker=marker, s=46, label=label)
    if len(by_label) > len(parts.MARKERS):
        axes.scatter([], [], color=look.SOFT, marker=".", s=46, label="other settings")
    if dots is not None:
        bar = look.colour_bar(fig, dots, axes, "beta")
        step = math.ceil(len(betas) / 9)
        bar.set_ticks(range(0, len(betas), step), labels=[f"{b:.4g}" for b in betas[::step]])


def ranked(where: str, settings: list[Setting]) -> Figure:
    """Settings by rising validation loss; one panel for each figure, the loss first."""
    settings = settings[:RANKED]
    labels = [parts.fold_label(name, 34, longest=34) for name in label_settings(settings)]
    keys = ["validation_loss", *BESIDE]
    keys = [key for key in keys if any(s.mean(key) is not None for s in settings)]
    title = "Ranked by validation loss" + (f" at {parts.clip_label(where)}" if where else "")
    each = 0.9 + 0.36 * max(len(settings), 2)
    fig, grid = parts.panels(len(keys), columns=len(keys), each=each, title=title)
    for axes, key in zip(grid, keys, strict=True):
        _ranking(axes, settings, key)
        named = labels if key == keys[0] else [""] * len(settings)
        axes.set_yticks(range(len(settings)), named, fontsize=9)
    return fig


def _ranking(axes: Axes, settings: list[Setting], key: str) -> None:
    """One panel of a ranking: a row a setting, a dot a run, a bar at the mean."""
    is_order = key == "validation_loss"
    figure = by_key(key)
    assert figure is not None, key
    values = [value for setting in settings for value in setting.run_figures(key)]
    # Figures beside the loss have a zero that means something.
    low, high = min(values + [0.0] * (not is_order)), max(values + [0.0] * (not is_order))
    room = (high - low) or 1.0
    axes.set_xlim(low - 0.12 * room, high + 0.6 * room)
    colour = look.MARK if is_order else look.ACTIVE
    for row, setting in enumerate(settings):
        dots, mean = setting.run_figures(key), setting.mean(key)
        if mean is None:
            continue
        axes.scatter(dots, [row] * len(dots), color=colour, s=22, alpha=0.6, linewidths=0)
        axes.plot([mean, mean], [row - 0.22, row + 0.22], color=colour, linewidth=2.4)
        digits = 1 if figure.digits == 0 and mean % 1 else figure.digits
        words = format_figure(mean, figure, digits=digits)
        style = {"fontsize": 8.5, "va": "center", "color": look.INK}
        look.note(axes, words, (max(dots), row), (6, 0), **style)
    axes.set_ylim(len(settings) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color="#E8E8E8", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.set_title(figure.column, fontsize=9.5, loc="left", color=look.INK)
    axes.xaxis.set_major_locator(MaxNLocator(2))
