"""Shared parts of a comparison's plots: panels, an axis for beta, a colour for every line."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaecli.diagnosis import reading
from vaecli.diagnosis.reading import value
from vaecli.reporting.comparison.groups import Comparison, Setting
from vaecli.reporting.comparison.runs import RunRecord
from vaecli.reporting.plots import look

# Okabe and Ito's, with a marker each for those who see no colours.
COLOURS = (look.ACTIVE, look.MARK, look.SECOND, look.SCHEDULE, "#56B4E9", "#E69F00", "#7A5230")
COLOURS += (look.INK,)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
GREY = "#9A9A9A"  # of lines beyond those that have a colour
LONGEST = 76  # characters of a label in a plot

Points = list[tuple[float, float]]


class Line(NamedTuple):
    """Settings that one line joins, and how it looks; without a label it is one of many."""

    label: str
    settings: list[Setting]
    colour: str
    marker: str

    def draw(self, axes: Axes, points: Points, label: str | None, **style: Any) -> None:
        """A line through the means of settings, by rising x; of many lines none has a label."""
        if points:
            style = {"color": self.colour, "linewidth": 1.9, **style}
            label = None if self.marker == "." else label
            axes.plot(*zip(*sorted(points), strict=True), label=label, **style)

    def dot(self, axes: Axes, points: Points, size: float) -> None:
        """A dot for each run."""
        if points:
            style = {"color": self.colour, "marker": self.marker, "alpha": 0.75, "linewidths": 0}
            axes.scatter(*zip(*points, strict=True), s=size, zorder=4, **style)


def lines(comparison: Comparison, *along: str, least: int = 1) -> list[Line]:
    """The lines along swept keys; the first eight have colours, the others are grey."""
    pairs = comparison.lines(*along, least=least)
    return [
        Line(clip_label(label), settings, COLOURS[place], MARKERS[place])
        if place < len(COLOURS)
        else Line("", settings, GREY, ".")
        for place, (label, settings) in enumerate(pairs)
    ]


def shift_of(axes: Axes, place: int, count: int) -> float:
    """The factor that shifts line `place` of `count`, so that none hides another; limits set."""
    low, high = axes.get_xlim()
    return (high / low) ** (0.006 * (place - (count - 1) / 2)) if count <= len(COLOURS) else 1.0


def threshold_of(runs: Iterable[RunRecord], above: float = 0.0) -> float:
    """The threshold of an active dimension, nats: the first one of a diagnosis that is `above`."""
    diagnoses = (run.diagnosis for run in runs)
    usable = (d for d in diagnoses if (value(d, "threshold") or 0.0) > above)
    return reading.threshold(next(usable, {}))


def grey_lines_note(all_lines: list[Line]) -> str:
    """A sentence for the caption if there are more lines than colours."""
    grey = sum(1 for line in all_lines if line.colour == GREY)
    return f" The other {grey} settings are grey." if grey else ""


def set_panel_title(axes: Axes, label: str, characters: int) -> None:
    """A panel's title in at most two lines of so many characters; a long word makes it small."""
    words = fold_label(label, characters, longest=characters * 3 // 2)
    longest = max(map(len, words.splitlines()), default=0)
    size = 8.5 * min(1.0, characters / max(longest, 1))
    axes.set_title(words, fontsize=size, color=look.INK, loc="left")


def fold_label(label: str, characters: int, *, longest: int) -> str:
    """A label in at most two lines of so many characters, broken between words.

    longest: of a word, which is cut beyond it.
    """
    words = " ".join(clip_label(word, longest) for word in label.split())
    between_words: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
    lines = textwrap.wrap(words, characters, max_lines=2, placeholder=" …", **between_words)
    return "\n".join(lines)


def legend(fig: Figure, axes: Axes) -> None:
    """The legend below the axes, if there is something to name; in two columns if they fit."""
    labels = axes.get_legend_handles_labels()[1]
    if labels:
        look.legend(fig, columns=2 if sum(sorted(map(len, labels))[-2:]) <= 96 else 1)


def panels(count: int, *, columns: int, each: float, title: str) -> tuple[Figure, list[Axes]]:
    """A figure with `count` axes, each so many inches high, below one bold title."""
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    fig, first = look.blank(each * rows + 0.5)
    first.remove()
    grid = [look.plain(axes, 8) for axes in fig.subplots(rows, columns, squeeze=False).flat]
    for axes in grid[count:]:
        axes.remove()
    fig.suptitle(title, x=0.012, ha="left", fontsize=12.5, weight="bold", color=look.INK)
    return fig, grid[:count]


class BetaAxis:
    """Places of betas on a logarithmic axis; 0, which has none, stands left of the others."""

    def __init__(self, betas: list[float]):
        positive = sorted({beta for beta in betas if beta > 0}) or [1.0]
        self.lowest, self.highest = positive[0], positive[-1]
        self.has_zero = any(beta <= 0 for beta in betas)
        # A fifth of the axis left of the lowest beta, and at least a factor of two.
        self.zero = self.lowest / max(2.0, (self.highest / self.lowest) ** 0.2)
        self.betas = sorted(set(betas))

    def place(self, beta: float) -> float:
        """The coordinate at which `beta` is drawn."""
        return beta if beta > 0 else self.zero

    def limits(self, *also: float) -> tuple[float, float]:
        """Axis limits that include every value of `also`."""
        low = min([self.zero if self.has_zero else self.lowest, *(b for b in also if b > 0)])
        high = max([self.highest, *also])
        room = max(1.25, (high / low) ** 0.06)
        return low / room, high * room

    def apply(self, axes: Axes, *also: float) -> None:
        """Set scale, limits and ticks; a beta has a tick if there is room right of the last one."""
        axes.set_xscale("log")
        low, high = self.limits(*also)
        axes.set_xlim(low, high)
        room = (high / low) ** 0.055
        named: list[float] = []
        for beta in self.betas:
            if not named or self.place(beta) / self.place(named[-1]) > room:
                named.append(beta)
        look.ticks(
            axes.xaxis, [self.place(beta) for beta in named], [f"{beta:.4g}" for beta in named]
        )
        if self.has_zero:
            # Between 0 and the lowest beta the scale is broken.
            middle = (self.zero * self.lowest) ** 0.5
            axes.axvline(middle, color=look.SOFT, linewidth=0.8, linestyle=(0, (1, 3)))


def clip_label(label: str, longest: int = LONGEST) -> str:
    """A label of at most `longest` characters, with the signs escaped that matplotlib reads."""
    label = label if len(label) <= longest else f"{label[: longest - 1]}…"
    # A dollar starts mathematics, and a leading underscore hides an entry of the legend.
    label = label.replace("$", r"\$")
    return f" {label}" if label.startswith("_") else label
