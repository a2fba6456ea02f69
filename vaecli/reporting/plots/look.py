"""The common look of all figures: size, colours, titles. Never pyplot: nothing global, no leaks."""

from __future__ import annotations

import textwrap
from typing import IO, Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

# Okabe and Ito's colours: every kind of colour vision separates them. Grey is collapse, everywhere.
ACTIVE = "#0072B2"
COLLAPSED = "#B4B4B4"
SECOND = "#009E73"
MARK = "#D55E00"
SCHEDULE = "#CC79A7"
INK = "#222222"
SOFT = "#5F5F5F"
DASHED = (0, (4, 2))
DPI = 110
WIDTH_INCHES = 8.0


def blank(height: float, *, width: float = WIDTH_INCHES) -> tuple[Figure, Axes]:
    """A figure of width x height inches with one set of axes, on the Agg canvas."""
    fig = Figure(figsize=(width, height), dpi=DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(fig)
    return fig, plain(fig.add_subplot())


def write_png(fig: Figure, file: IO[bytes]) -> None:
    """Write a figure as a PNG, at its own size and resolution."""
    FigureCanvasAgg(fig).print_png(file)


def figure(
    height: float, title: str, lesson: str, *, width: float = WIDTH_INCHES, characters: int = 104
) -> tuple[Figure, Axes]:
    """A blank figure with a bold title, and below it what the reader should see: the lesson.

    characters: length of the lesson's lines.
    """
    fig, axes = blank(height, width=width)
    set_title(axes, title, lesson, characters=characters)
    return fig, axes


def set_title(axes: Axes, title: str, lesson: str, *, characters: int = 104) -> None:
    """Set the title of a figure, and its lesson in lines of so many characters."""
    lesson = textwrap.fill(lesson, characters)
    lines = lesson.count("\n") + 1
    axes.set_title(title, loc="left", fontsize=12.5, weight="bold", color=INK, pad=10 + 13 * lines)
    look = {"fontsize": 9.5, "color": SOFT, "va": "bottom", "linespacing": 1.25}
    words = note(axes, lesson, (0, 1), (0, 6), xycoords="axes fraction", **look)
    # Its height is in the title's padding; its width must not narrow the axes.
    words.set_in_layout(False)


def plain(axes: Axes, labelsize: float = 9) -> Axes:
    """The same axes, with soft lines at the left and below only."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(SOFT)
    axes.tick_params(colors=SOFT, labelcolor=INK, labelsize=labelsize)
    return axes


def note(
    axes: Axes, words: str, at: tuple[float, float], offset: tuple[float, float], **look: Any
) -> Artist:
    """Write `words` at a place of the axes, moved by `offset` points (1/72 inch)."""
    return axes.annotate(words, at, xytext=offset, textcoords="offset points", **look)


def label_axes(axes: Axes, x: str, y: str) -> None:
    """Axis labels, units included."""
    axes.set_xlabel(x, fontsize=10, color=INK)
    axes.set_ylabel(y, fontsize=10, color=INK)


def ticks(axis: Axis, places: list[float], labels: list[str]) -> None:
    """Ticks at these places and no other."""
    axis.set_major_locator(FixedLocator(places))
    axis.set_major_formatter(FixedFormatter(labels))
    axis.set_minor_locator(NullLocator())


def legend(fig: Figure, columns: int = 3, handles: list[Any] | None = None) -> None:
    """The legend below the axes; of the artists that have a label, unless `handles` are given."""
    entries = {} if handles is None else {"handles": handles}
    fig.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=9, **entries)


def colour_bar(
    fig: Figure,
    image: ScalarMappable,
    axes: Axes | list[Axes],
    label: str,
    *,
    size: float = 9,
    pad: float = 0.015,
    fraction: float = 0.05,
) -> Colorbar:
    """The colour bar right of `axes`; size: of its numbers, in points."""
    bar = fig.colorbar(image, ax=axes, pad=pad, fraction=fraction)
    bar.set_label(label, fontsize=size + 1, color=INK)
    bar.ax.tick_params(labelsize=size, colors=SOFT, labelcolor=INK)
    bar.outline.set_visible(False)
    return bar


def empty(fig: Figure, words: str) -> Figure:
    """The figure, with the reason why it is empty written in its axes."""
    (axes,) = fig.axes
    centred = {"ha": "center", "va": "center", "transform": axes.transAxes}
    axes.text(0.5, 0.5, words, color=SOFT, fontsize=11, **centred)
    axes.set_xticks([])
    axes.set_yticks([])
    return fig
