"""The common look of all figures: size, colours, titles. Never pyplot: nothing global, no leaks."""

from __future__ import annotations

import textwrap

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by every kind of colour vision. Grey is collapse, everywhere.
ACTIVE = "#0072B2"
COLLAPSED = "#B4B4B4"
SECOND = "#009E73"
MARK = "#D55E00"
SCHEDULE = "#CC79A7"
INK = "#222222"
SOFT = "#5F5F5F"
DPI = 110
WIDTH_INCHES = 8.0


def figure(height: float, *, width: float = WIDTH_INCHES) -> tuple[Figure, Axes]:
    """A figure of width x height inches with one set of axes, on the Agg canvas."""
    drawn = Figure(figsize=(width, height), dpi=DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(drawn)
    axes = drawn.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(SOFT)
    axes.tick_params(colors=SOFT, labelcolor=INK, labelsize=9)
    return drawn, axes


def titled(axes: Axes, title: str, lesson: str, *, characters: int = 104) -> None:
    """A bold title, and below it what the reader should see, in lines of so many characters."""
    lesson = textwrap.fill(lesson, characters)
    lines = lesson.count("\n") + 1
    axes.set_title(title, loc="left", fontsize=12.5, weight="bold", color=INK, pad=10 + 13 * lines)
    words = axes.annotate(
        lesson,
        (0, 1),
        xytext=(0, 6),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=9.5,
        color=SOFT,
        va="bottom",
        linespacing=1.25,
    )
    # Its height is in the title's padding; its width must not narrow the axes.
    words.set_in_layout(False)


def labelled(axes: Axes, x: str, y: str) -> None:
    """Axis labels, units included."""
    axes.set_xlabel(x, fontsize=10, color=INK)
    axes.set_ylabel(y, fontsize=10, color=INK)


def empty(axes: Axes, words: str) -> None:
    """Say in the picture why it is empty."""
    axes.text(
        0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color=SOFT, fontsize=11
    )
    axes.set_xticks([])
    axes.set_yticks([])
