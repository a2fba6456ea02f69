"""What the plots of a comparison share: panels, an axis for beta, a colour for every line."""

from __future__ import annotations

import math
import textwrap
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from vaecli.reporting.comparison.groups import Comparison, Setting
from vaecli.reporting.plots.figure import (
    ACTIVE,
    INK,
    MARK,
    SCHEDULE,
    SECOND,
    SOFT,
    WIDTH_INCHES,
    figure,
)
from vaecli.reporting.plots.heat import LOWEST_NATS

# Okabe and Ito's, with a marker each for those who see no colours.
COLOURS = (ACTIVE, MARK, SECOND, SCHEDULE, "#56B4E9", "#E69F00", "#7A5230", INK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
GREY = "#9A9A9A"  # of lines beyond those that have a colour
LONGEST = 76  # characters of a label in a plot


class Line(NamedTuple):
    """Settings that one line joins, and how it looks; without a label it is one of many."""

    label: str
    settings: list[Setting]
    colour: str
    marker: str


def lines(comparison: Comparison, *along: str, least: int = 1) -> list[Line]:
    """The lines along swept keys; the first eight have colours, the others are grey."""
    found = comparison.lines(*along, least=least)
    made = []
    for place, (label, settings) in enumerate(found):
        if place < len(COLOURS):
            made.append(Line(clipped(label), settings, COLOURS[place], MARKERS[place]))
        else:
            made.append(Line("", settings, GREY, "."))
    return made


def aside(axes: Axes, place: int, count: int) -> float:
    """By what factor to shift line `place` of `count`, so that none hides another; limits set."""
    low, high = axes.get_xlim()
    return (high / low) ** (0.006 * (place - (count - 1) / 2)) if count <= len(COLOURS) else 1.0


def grey_lines(drawn_lines: list[Line]) -> str:
    """A sentence for the caption if not every line could have its own colour."""
    grey = sum(1 for line in drawn_lines if line.colour == GREY)
    return f" The other {grey} settings are grey." if grey else ""


def headed(axes: Axes, label: str, characters: int) -> None:
    """A panel's title in at most two lines of so many characters; a long word makes it small."""
    words = folded(label, characters, longest=characters * 3 // 2)
    longest = max(map(len, words.splitlines()), default=0)
    size = 8.5 * min(1.0, characters / max(longest, 1))
    axes.set_title(words, fontsize=size, color=INK, loc="left")


def folded(label: str, characters: int, *, longest: int) -> str:
    """A label in at most two lines of so many characters, broken between words.

    longest: of a word, which is cut beyond it.
    """
    words = [clipped(word, longest) for word in label.split()]
    lines = textwrap.wrap(
        " ".join(words),
        characters,
        max_lines=2,
        placeholder=" …",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)


def legend(drawn: Figure, axes: Axes) -> None:
    """The legend below the axes, if there is something to name."""
    called = axes.get_legend_handles_labels()[1]
    if called:
        columns = 2 if sum(sorted(map(len, called))[-2:]) <= 96 else 1
        drawn.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=9)


def panels(
    count: int,
    *,
    columns: int,
    each: float,
    title: str,
    width: float = WIDTH_INCHES,
    share: bool = True,
) -> tuple[Figure, list[Axes]]:
    """A figure with `count` axes, each so many inches high, below one bold title."""  # fmt: skip
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    drawn, first = figure(each * rows + 0.5, width=width)
    first.remove()
    grid = drawn.subplots(rows, columns, squeeze=False, sharex=share, sharey=share)
    every = list(grid.flat)
    for axes in every:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(SOFT)
        axes.tick_params(colors=SOFT, labelcolor=INK, labelsize=8)
    for axes in every[count:]:
        axes.remove()
    drawn.suptitle(title, x=0.012, ha="left", fontsize=12.5, weight="bold", color=INK)
    return drawn, every[:count]


def kl_bar(drawn: Figure, image: ScalarMappable, grid: list[Axes], threshold: float) -> None:
    """The colour bar of heat maps of KL, with the threshold of an active dimension in nats."""
    bar = drawn.colorbar(image, ax=grid, fraction=0.04, pad=0.02)
    bar.ax.axhline(threshold, color=MARK, linewidth=2)
    decades = [10.0**k for k in range(-4, 4) if LOWEST_NATS <= 10.0**k <= image.norm.vmax]
    bar.ax.yaxis.set_major_locator(FixedLocator(decades))
    bar.ax.yaxis.set_major_formatter(FixedFormatter(["≤0.0001", *(f"{v:g}" for v in decades[1:])]))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.set_label(f"KL_j, nats (line: {threshold:g})", fontsize=9, color=INK)
    bar.ax.tick_params(labelsize=8, colors=SOFT, labelcolor=INK)
    bar.outline.set_visible(False)


class BetaAxis:
    """Places of betas on a logarithmic axis; 0, which has none, stands left of the others."""

    def __init__(self, betas: list[float]):
        positive = sorted({beta for beta in betas if beta > 0}) or [1.0]
        self.lowest, self.highest = positive[0], positive[-1]
        self.has_zero = any(beta <= 0 for beta in betas)
        wide = (self.highest / self.lowest) ** 0.2
        self.zero = self.lowest / max(2.0, wide)
        self.ticks = sorted(set(betas))

    def place(self, beta: float) -> float:
        """Where `beta` is drawn."""
        return beta if beta > 0 else self.zero

    def limits(self, *also: float) -> tuple[float, float]:
        """Of the axis, wide enough for `also`, too."""
        low = min([self.zero if self.has_zero else self.lowest, *(b for b in also if b > 0)])
        high = max([self.highest, *also])
        room = max(1.25, (high / low) ** 0.06)
        return low / room, high * room

    def apply(self, axes: Axes, *also: float) -> None:
        """Scale, limits and ticks at the betas that were run, as far as they have room."""
        axes.set_xscale("log")
        low, high = self.limits(*also)
        axes.set_xlim(low, high)
        kept: list[float] = []
        for beta in self.ticks:
            apart = 0.055 * math.log(high / low)
            if not kept or math.log(self.place(beta) / self.place(kept[-1])) > apart:
                kept.append(beta)
        axes.xaxis.set_major_locator(FixedLocator([self.place(beta) for beta in kept]))
        axes.xaxis.set_major_formatter(FixedFormatter([f"{beta:.4g}" for beta in kept]))
        axes.xaxis.set_minor_locator(NullLocator())
        if self.has_zero:
            axes.axvline((self.zero * self.lowest) ** 0.5, color=SOFT, linewidth=0.8,
                         linestyle=(0, (1, 3)))  # fmt: skip


def clipped(label: str, longest: int = LONGEST) -> str:
    """A label that has room, without matplotlib's own signs."""
    label = label if len(label) <= longest else f"{label[: longest - 1]}…"
    # A dollar starts mathematics, and a leading underscore hides an entry of the legend.
    label = label.replace("$", r"\$")
    return f" {label}" if label.startswith("_") else label
