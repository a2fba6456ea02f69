"""What a code costs and buys: the rate-distortion plane, settings ranked, capacity offered."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vaecli.reporting.comparison.columns import KNOWN, shown
from vaecli.reporting.comparison.groups import BETA, Comparison, Setting, beta, names
from vaecli.reporting.comparison.plots.axes import (
    COLOURS,
    GREY,
    MARKERS,
    clipped,
    folded,
    legend,
    panels,
)
from vaecli.reporting.comparison.runs import RunRecord
from vaecli.reporting.plots.figure import ACTIVE, INK, MARK, SOFT, figure, labelled, titled

# Figures beside the validation loss in the ranking: what a low loss does not say.
BESIDE = ("rate", "mutual_information", "shuffle_rise", "active_units")
RANKED = 24  # rows of a ranking; a longer one is cut


def frontier(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other one betters: none has less or equal of both and less of one.

    points: (rate, distortion). By rising rate, each once.
    """
    kept: list[tuple[float, float]] = []
    for rate, distortion in sorted(set(points)):
        if not kept or distortion < kept[-1][1]:
            kept.append((rate, distortion))
    return kept


def split_of(settings: list[Setting]) -> tuple[str | None, int]:
    """The split to draw, test if there is one, and how many runs were measured on another."""
    counts: dict[str | None, int] = {}
    for run in _measured(settings):
        counts[run.split] = counts.get(run.split, 0) + 1
    if not counts:
        return None, 0
    split = "test" if "test" in counts else max(counts, key=lambda name: counts[name])
    return split, sum(counts.values()) - counts[split]


def rate_distortion_plane(comparison: Comparison, settings: list[Setting], where: str) -> Figure:
    """All runs of settings that can be compared in one plane, and those that no other betters."""
    drawn, axes = figure(5.4)
    split, _ = split_of(settings)
    titled(
        axes,
        "Rate and distortion" + (f": {clipped(where)}" if where else ""),
        f"Each point is a run ({split} split). Rate: what the code costs; distortion: what is "
        "still wrong with x. Down and to the left is better; grey lines join points of equal ELBO.",
    )
    by_setting = [(s, [r for r in s.done if _point(r) and r.split == split]) for s in settings]
    runs = [run for _, some in by_setting for run in some]
    points = [point for run in runs if (point := _point(run))]
    _limits(axes, points)
    _equal_elbo(axes)
    edge = frontier(points)
    if len(edge) > 1:
        axes.plot(*zip(*edge, strict=True), color=INK, linewidth=1.3, zorder=2,
                  label="frontier: no run is as good in both and better in one")  # fmt: skip
    betas = sorted({b for run in runs if (b := beta(run)) is not None})
    if BETA in comparison.keys and len(betas) > 1:
        _by_beta(drawn, axes, comparison, settings, runs, betas)
    else:
        called = names(settings)
        for place, (_, some) in enumerate(by_setting):
            colour, marker = GREY, "."
            if place < len(COLOURS):
                colour, marker = COLOURS[place], MARKERS[place]
            label = clipped(called[place]) if place < len(COLOURS) else None
            _points(axes, some, color=colour, marker=marker, label=label or None)
    labelled(axes, "rate, nats per example", "distortion, nats per example")
    legend(drawn, axes)
    return drawn


def ranked(where: str, settings: list[Setting]) -> Figure:
    """Settings by rising validation loss, beside what the code holds; one panel for each figure."""
    settings = settings[:RANKED]
    rows = len(settings)
    called = [folded(name, 34, longest=34) for name in names(settings)]
    title = "Ranked by validation loss" + (f" at {clipped(where)}" if where else "")
    keys = ["validation_loss", *BESIDE]
    keys = [key for key in keys if any(s.mean(key) is not None for s in settings)]
    drawn, grid = panels(len(keys), columns=len(keys), each=0.9 + 0.36 * max(rows, 2), title=title,
                         share=False)  # fmt: skip
    for panel, (axes, key) in enumerate(zip(grid, keys, strict=True)):
        known = [value for setting in settings for value in setting.known(key)]
        low, high = min(known), max(known)
        if key != "validation_loss":  # the others have a zero that means something
            low, high = min(low, 0.0), max(high, 0.0)
        room = (high - low) or 1.0
        axes.set_xlim(low - 0.12 * room, high + 0.6 * room)
        for row, setting in enumerate(settings):
            dots, mean = setting.known(key), setting.mean(key)
            if mean is None:
                continue
            colour = MARK if panel == 0 else ACTIVE
            axes.scatter(dots, [row] * len(dots), color=colour, s=22, alpha=0.6, linewidths=0)
            axes.plot([mean, mean], [row - 0.22, row + 0.22], color=colour, linewidth=2.4)
            digits = 1 if key == "active_units" and mean % 1 else KNOWN[key].digits
            words = shown(mean, KNOWN[key]._replace(digits=digits))
            axes.annotate(words, (max(dots), row), xytext=(6, 0), textcoords="offset points",
                          fontsize=8.5, va="center", color=INK)  # fmt: skip
        axes.set_ylim(rows - 0.5, -0.5)
        axes.set_yticks(range(rows), called if panel == 0 else [""] * rows, fontsize=9)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", color="#E8E8E8", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
        axes.set_title(KNOWN[key].name, fontsize=9.5, loc="left", color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(2))
    return drawn


def _measured(settings: list[Setting]) -> list[RunRecord]:
    return [run for setting in settings for run in setting.done if _point(run)]


def _point(run: RunRecord) -> tuple[float, float] | None:
    rate, distortion = run.figure("rate"), run.figure("distortion")
    return None if rate is None or distortion is None else (rate, distortion)


def _points(axes: Axes, runs: list[RunRecord], **look) -> None:
    points = [point for run in runs if (point := _point(run))]
    if points:
        axes.scatter(*zip(*points, strict=True), s=46, alpha=0.85, linewidths=0.6,
                     edgecolors="white", zorder=3, **look)  # fmt: skip


def _by_beta(
    drawn: Figure,
    axes: Axes,
    comparison: Comparison,
    settings: list[Setting],
    runs: list[RunRecord],
    betas: list[float],
) -> None:
    """Colour says beta, shape the other settings."""
    # Beta 0 has no logarithm: colours go by rank.
    rank = {b: place for place, b in enumerate(betas)}
    kept = [[s for s in line if s in settings] for _, line in comparison.lines(BETA)]
    kept = [line for line in kept if line]
    called = names([line[0] for line in kept], without=(BETA,))
    chosen = {id(run) for run in runs}
    dots = None
    for place, (label, line) in enumerate(zip(called, kept, strict=True)):
        some = [r for s in line for r in s.done if id(r) in chosen]
        points = [(*point, rank[b]) for r in some if (point := _point(r))
                  and (b := beta(r)) is not None]  # fmt: skip
        if not points:
            continue
        x, y, colour = zip(*points, strict=True)
        marker = MARKERS[place] if place < len(MARKERS) else "."
        dots = axes.scatter(
            x,
            y,
            c=colour,
            cmap="viridis_r",
            vmin=0,
            vmax=max(1, len(betas) - 1),
            marker=marker,
            s=52,
            linewidths=0.6,
            edgecolors=INK,
            zorder=3,
        )
        if label and place < len(MARKERS):
            axes.scatter([], [], color=SOFT, marker=marker, s=46, label=clipped(label))
    if len(kept) > len(MARKERS):
        axes.scatter([], [], color=SOFT, marker=".", s=46, label="other settings")
    if dots is not None:
        bar = drawn.colorbar(dots, ax=axes, pad=0.015, fraction=0.05)
        step = math.ceil(len(betas) / 9)
        bar.set_ticks(range(0, len(betas), step), labels=[f"{b:.4g}" for b in betas[::step]])
        bar.set_label("beta", color=INK)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=9, colors=SOFT, labelcolor=INK)


def _limits(axes: Axes, points: list[tuple[float, float]]) -> None:
    rates, distortions = zip(*points, strict=True)
    low, high = min(distortions), max(distortions)
    room = 0.1 * (high - low) or 0.05 * abs(high) or 1.0
    right = max(1.08 * max(rates), 0.1)
    # Rate 0 is always in the picture: it is collapse.
    axes.set_xlim(-0.04 * right, right)
    axes.set_ylim(low - room, high + room)


def _equal_elbo(axes: Axes) -> None:
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    for cost in MaxNLocator(7).tick_values(low + left, high + right):
        axes.plot([left, right], [cost - left, cost - right], color="#D4D4D4", linewidth=0.9,
                  linestyle=(0, (4, 3)), zorder=0)  # fmt: skip
        at = cost - high  # where the line meets the upper edge
        if left < at < right:
            place, offset, side = (at, high), (3, -4), "left"
        elif low < cost - right < high:
            place, offset, side = (right, cost - right), (-3, -4), "right"
        else:
            continue
        axes.annotate(f"ELBO {-cost:g}", place, xytext=offset, textcoords="offset points", ha=side,
                      va="top", fontsize=8, color=SOFT, zorder=1)  # fmt: skip
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)
