"""Pieces of more than one figure: heat maps of KL, bars per dimension, lines of equal ELBO.

T evaluations, Z latent dimensions; nats per example.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vaecli.reporting.plots import heat, look

if TYPE_CHECKING:
    from torch import Tensor

MOST_BAR_WIDTH = 4  # a bar is never wider than the width of the axes over this


def to_numpy(tensor: Tensor) -> np.ndarray:
    """The values of a tensor on any device, as float64."""
    return tensor.detach().double().cpu().numpy()


def kl_look(highest: float, threshold: float, *, gaps: str = look.MARK) -> dict[str, Any]:
    """Colour map and scale for a heat map of KL up to `highest` nats; gaps: colour of NaN."""
    colours = ListedColormap(heat.colour_table(highest, threshold) / 255.0)
    return {"cmap": colours.with_extremes(bad=gaps), "norm": LogNorm(heat.LOWEST_NATS, highest)}


def kl_cells(kl: np.ndarray, highest: float) -> np.ma.MaskedArray:
    """KL (any shape) clipped to the scale of colours; NaN is masked."""
    return np.ma.masked_invalid(np.clip(kl, heat.LOWEST_NATS, highest))


def kl_bar(fig: Figure, image: ScalarMappable, axes: Axes | list[Axes], threshold: float) -> None:
    """The colour bar of a heat map of KL, or of a list of small ones; a line at `threshold`."""
    label, room = f"KL_j in nats (orange line: active above {threshold:g})", {}
    if isinstance(axes, list):
        label = f"KL_j, nats (line: {threshold:g})"
        room = {"size": 8, "pad": 0.02, "fraction": 0.04}
    bar = look.colour_bar(fig, image, axes, label, **room)
    bar.ax.axhline(threshold, color=look.MARK, linewidth=2)
    _, highest = image.get_clim()
    decades = [10.0**k for k in range(-4, 4) if heat.LOWEST_NATS <= 10.0**k <= highest]
    look.ticks(bar.ax.yaxis, decades, ["≤0.0001", *(f"{nats:g}" for nats in decades[1:])])


def by_falling_kl(kl: np.ndarray) -> np.ndarray:
    """Dimensions (Z,) in order of falling kl (Z,), NaN last."""
    return np.argsort(-np.nan_to_num(kl, nan=-1.0), kind="stable")


def activity_colours(kl: np.ndarray, threshold: float) -> list[str]:
    """The colour of each dimension by its kl (Z,): blue above the threshold, else grey."""
    return [look.ACTIVE if nats > threshold else look.COLLAPSED for nats in kl]


def dimension_bars(axes: Axes, heights: np.ndarray, **style: Any) -> None:
    """One bar a dimension (Z,), from the left, between margins."""
    count = len(heights)
    axes.bar(range(count), heights, width=0.82 if count <= 100 else 1.0, **style)
    axes.set_xlim(-0.7, max(count, MOST_BAR_WIDTH) - 0.3)


def name_dimensions(axes: Axes, order: np.ndarray, most: int = 40) -> bool:
    """Write the numbers of up to `most` dimensions (Z,) below their bars, of more a few ranks.

    Returns whether they are numbers of dimensions.
    """
    named = len(order) <= most  # more numbers would run into each other
    if named:
        axes.set_xticks(range(len(order)), [str(j) for j in order], fontsize=8)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    return named


def elbo_lines(axes: Axes, colour: str, **label: Any) -> None:
    """Lines of equal ELBO = -(rate + distortion) across axes whose limits are set.

    label: further properties of the text at each line.
    """
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    for cost in MaxNLocator(7).tick_values(low + left, high + right):
        ends = [left, right], [cost - left, cost - right]
        axes.plot(*ends, color=colour, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
        at = cost - high  # the rate at which the line meets the upper edge
        if left < at < right:
            place, offset, side = (at, high), (3, -4), "left"
        elif low < cost - right < high:
            place, offset, side = (right, cost - right), (-3, -4), "right"
        else:
            continue
        style = {"ha": side, "va": "top", "fontsize": 8, "color": look.SOFT, "zorder": 1}
        look.note(axes, f"ELBO {-cost:g}", place, offset, **style, **label)
