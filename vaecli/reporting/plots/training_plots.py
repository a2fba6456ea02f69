"""Figures over training: where dimensions die, how many are left, what it costs. KL in nats."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from vaecli.reporting.plots.figure import (
    ACTIVE,
    INK,
    MARK,
    SCHEDULE,
    SECOND,
    SOFT,
    empty,
    figure,
    labelled,
    titled,
)
from vaecli.reporting.plots.heat import (
    LOWEST_NATS,
    NOT_FINITE,
    by_last_kl,
    colour_table,
    column,
    highest_nats,
    kl_matrix,
)

EVALUATIONS_TO_COLLAPSE = 3  # evaluations in a row without an active dimension, with beta > 0


def kl_heatmap(history: list[dict], *, threshold: float = 0.01) -> Figure:
    """KL of each dimension at each evaluation; grey below `threshold` nats, colour above it."""
    drawn, axes = figure(4.8)
    titled(
        axes,
        "KL per latent dimension during training",
        "Each row is a dimension. Colour: its posterior differs from the prior. Grey: it has "
        "collapsed, q(z_j|x) = p(z_j) for every x. A row that fades to grey dies; all grey is full "
        "collapse.",
    )
    epochs, kl = kl_matrix(history)
    if not kl.size:
        empty(axes, "no evaluation was recorded")
        return drawn
    order = by_last_kl(kl)
    edges = _edges(epochs)
    # Evaluations need not be evenly spaced, pixels are: each pixel column shows the evaluation
    # whose stretch of training it lies in.
    along = np.linspace(edges[0], edges[-1], min(900, max(300, 3 * len(epochs))))
    nearest = np.clip(np.searchsorted(edges, along, side="right") - 1, 0, len(epochs) - 1)
    highest = highest_nats(kl, threshold)
    colours = ListedColormap(colour_table(highest, threshold) / 255.0)
    colours = colours.with_extremes(bad=np.array(NOT_FINITE) / 255.0)
    image = axes.imshow(
        np.ma.masked_invalid(np.clip(kl[nearest][:, order].T, LOWEST_NATS, highest)),
        aspect="auto",
        interpolation="nearest",
        cmap=colours,
        norm=LogNorm(LOWEST_NATS, highest),
        extent=(edges[0], edges[-1], len(order) - 0.5, -0.5),
    )
    if len(order) <= 40:
        axes.set_yticks(range(len(order)), [str(j) for j in order], fontsize=8)
    labelled(axes, "epoch", "latent dimension j (most used at the end on top)")
    if len(order) > 40:
        axes.set_ylabel("latent dimensions, ranked by their KL at the end", fontsize=10, color=INK)
    if not np.isfinite(kl).all():
        axes.set_xlabel("epoch (orange: not a number, the run diverged)", fontsize=10, color=INK)
    bar = drawn.colorbar(image, ax=axes, pad=0.015, fraction=0.05)
    decades = [10.0**k for k in range(-4, 4) if LOWEST_NATS <= 10.0**k <= highest]
    bar.ax.yaxis.set_major_locator(FixedLocator(decades))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.yaxis.set_major_formatter(
        FuncFormatter(lambda v, _: "≤0.0001" if v < 2e-4 else f"{v:g}")
    )
    bar.ax.tick_params(labelsize=9, colors=SOFT, labelcolor=INK)
    bar.ax.axhline(threshold, color=MARK, linewidth=2)
    bar.set_label(f"KL_j in nats (orange line: active above {threshold:g})", color=INK)
    bar.outline.set_visible(False)
    return drawn


def active_over_training(history: list[dict], *, threshold: float = 0.01) -> Figure:
    """Active dimensions and active units over epochs, with beta if it varies and the collapse."""
    drawn, axes = figure(4.0)
    titled(
        axes,
        "How many dimensions are in use",
        "Posterior collapse is these lines falling to 0, often as beta rises in a warm-up. Active "
        "units far below active dimensions: KL is paid although the means do not depend on x.",
    )
    epochs = column(history, "epoch")
    if not np.isfinite(epochs).any():
        empty(axes, "no evaluation was recorded")
        return drawn
    dimensions, units = column(history, "active_dimensions"), column(history, "active_units")
    total = max((len(row.get("kl_per_dim") or []) for row in history), default=0)
    top = max([total, 1, *dimensions[np.isfinite(dimensions)], *units[np.isfinite(units)]])
    axes.axhspan(0, 0.1 * top, color="#000000", alpha=0.10, linewidth=0)
    axes.axhspan(0.1 * top, 0.5 * top, color="#000000", alpha=0.045, linewidth=0)
    if total:
        axes.axhline(total, color=SOFT, linewidth=1, linestyle=(0, (1, 2)))
        axes.text(0.995, total, f"all {total}", transform=axes.get_yaxis_transform(), ha="right",
                  va="bottom", fontsize=9, color=SOFT)  # fmt: skip
    for share, words in ((0.1, "severe: below 10 %"), (0.5, "partial: below 50 %")):
        axes.text(0.995, (share - 0.01) * top, words, transform=axes.get_yaxis_transform(),
                  ha="right", va="top", fontsize=8, color=SOFT)  # fmt: skip
    disc, square = ("o", "s") if len(epochs) <= 80 else ("", "")
    axes.plot(epochs, units, color=SECOND, linewidth=2, linestyle="--", marker=square,
              markersize=3.5, label="active units: Var_x[mu_j] > 0.01")  # fmt: skip
    axes.plot(epochs, dimensions, color=ACTIVE, linewidth=2.2, marker=disc, markersize=4,
              label=f"active dimensions: KL_j > {threshold:g} nats")  # fmt: skip
    collapsed = collapse_row(history)
    if collapsed is not None:
        axes.axvline(epochs[collapsed], color=MARK, linewidth=1.8)
        axes.text(epochs[collapsed], 0.72 * top, " collapsed: no dimension active ", fontsize=9,
                  color=MARK, weight="bold",
                  ha="left" if epochs[collapsed] < np.nanmean(epochs) else "right")  # fmt: skip
    axes.set_ylim(0, 1.12 * top)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    labelled(axes, "epoch", f"dimensions in use, of {total}" if total else "dimensions in use")
    beta = column(history, "beta")
    if np.isfinite(beta).any() and np.nanmax(beta) - np.nanmin(beta) > 1e-9:
        twin = axes.twinx()
        twin.plot(epochs, beta, color=SCHEDULE, linewidth=1.6, linestyle="-.", label="beta")
        twin.set_ylim(0, 1.12 * np.nanmax(beta))
        twin.set_ylabel("beta, the weight of the KL", fontsize=10, color=SCHEDULE)
        twin.tick_params(labelsize=9, colors=SCHEDULE)
        twin.spines[["top", "left", "bottom"]].set_visible(False)
        twin.spines["right"].set_color(SCHEDULE)
    drawn.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return drawn


def rate_distortion(history: list[dict]) -> Figure:
    """The path of (rate, distortion) over training on lines of equal ELBO = -(rate+distortion)."""
    drawn, axes = figure(4.8)
    titled(
        axes,
        "What the latent code costs and what it buys",
        "Rate: what q(z|x) pays to differ from the prior. Distortion: what is still wrong with x. "
        "A useful code moves right and down; a path that ends on the left edge, at rate 0, is full "
        "collapse.",
    )
    rate, distortion = column(history, "rate"), column(history, "distortion")
    good = np.isfinite(rate) & np.isfinite(distortion)
    if not good.any():
        empty(axes, "no finite evaluation was recorded")
        return drawn
    rate, distortion, epochs = rate[good], distortion[good], column(history, "epoch")[good]
    limits = _limits(rate, distortion)
    (left, right), (low, high) = limits
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)
    axes.axvspan(left, 0, color="#000000", alpha=0.10, linewidth=0)
    axes.axvline(0, color=SOFT, linewidth=1.2)
    axes.text(left / 2, low, " rate 0: full collapse", rotation=90, fontsize=8.5, color=SOFT,
              ha="center", va="bottom")  # fmt: skip
    for cost in MaxNLocator(7).tick_values(low + left, high + right):
        axes.plot([left, right], [cost - left, cost - right], color="#C8C8C8", linewidth=0.9,
                  linestyle=(0, (4, 3)), zorder=0)  # fmt: skip
        at = cost - high  # where the line meets the upper edge
        if left < at < right:
            place, offset, side = (at, high), (3, -4), "left"
        elif low < cost - right < high:
            place, offset, side = (right, cost - right), (-3, -4), "right"
        else:
            continue
        axes.annotate(f"ELBO {-cost:g}", place, xytext=offset, textcoords="offset points", ha=side,
                      va="top", fontsize=8, color=SOFT, zorder=1,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # fmt: skip
    axes.plot(rate, distortion, color=SOFT, linewidth=1.2, zorder=2)
    dots = axes.scatter(rate, distortion, c=epochs, cmap="viridis_r", s=26, zorder=3)
    if len(rate) > 1:
        bar = drawn.colorbar(dots, ax=axes, pad=0.015, fraction=0.05)
        bar.set_label("epoch", color=INK)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=9, colors=SOFT, labelcolor=INK)
        inside = left <= rate[0] <= right and low <= distortion[0] <= high
        if inside:
            axes.scatter(rate[:1], distortion[:1], s=120, facecolors="none", edgecolors=INK,
                         linewidths=1.6, zorder=4, label="first evaluation")  # fmt: skip
        else:
            axes.plot([], [], " ", label=f"start is off the chart: rate {rate[0]:.3g}, "
                      f"distortion {distortion[0]:.4g}")  # fmt: skip
    axes.scatter(rate[-1:], distortion[-1:], s=190, marker="*", color=MARK, edgecolors="white",
                 zorder=5, label=f"end: rate {rate[-1]:.3g}, distortion {distortion[-1]:.4g}, "
                 f"ELBO {-(rate[-1] + distortion[-1]):.4g} (validation)")  # fmt: skip
    drawn.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    labelled(axes, "rate E_x KL(q(z|x) || p(z)), nats per example",
             "distortion -E log p(x|z), nats per example")  # fmt: skip
    return drawn


def collapse_row(history: list[dict]) -> int | None:
    """Index of the evaluation at which a collapse is noticed.

    The third in a row, not counting the untrained start, with no active dimension and beta > 0.
    """
    dead = (column(history, "active_dimensions") == 0) & (column(history, "beta") > 0)
    dead &= column(history, "step") > 0
    for first in range(len(history) - EVALUATIONS_TO_COLLAPSE + 1):
        if dead[first : first + EVALUATIONS_TO_COLLAPSE].all():
            return first + EVALUATIONS_TO_COLLAPSE - 1
    return None


def _edges(epochs: np.ndarray) -> np.ndarray:
    """Borders (T+1,) of the stretch of training that each evaluation (T,) stands for."""
    if len(epochs) == 1:
        return np.array([epochs[0] - 0.5, epochs[0] + 0.5])
    middles = (epochs[1:] + epochs[:-1]) / 2
    return np.concatenate([epochs[:1], middles, epochs[-1:]])


def _limits(rate: np.ndarray, distortion: np.ndarray) -> tuple[tuple, tuple]:
    """Axis limits around the path; an untrained start ten times further off is left outside.

    Further off means 10 nats at least: the last nat of a collapsing rate is the story itself.
    """
    later = slice(max(1, len(rate) // 10), None) if len(rate) >= 5 else slice(None)
    both = []
    for values in (rate, distortion):
        span, settled = np.ptp(values), np.ptp(values[later])
        shown = values[later] if span > 10 * max(settled, 1.0) else values
        low, high = shown.min(), shown.max()
        room = 0.12 * (high - low) or 0.1 * abs(high) or 1.0
        both.append([low - room, high + room])
    # Rate 0 is always in the picture, with a strip left of it to write on: it is collapse.
    both[0][1] = max(both[0][1], 0.1)
    both[0][0] = -0.05 * both[0][1]
    return tuple(both[0]), tuple(both[1])
