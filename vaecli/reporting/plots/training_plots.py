"""Figures over training: KL per dimension, active dimensions, rate and distortion; nats."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vaecli.diagnosis.figures import DEFAULT_THRESHOLD
from vaecli.reporting.plots import heat, look, pieces


def kl_heatmap(history: list[dict], threshold: float) -> Figure:
    """KL of each dimension at each evaluation; grey below `threshold` nats, colour above it."""
    fig, axes = look.figure(
        4.8,
        "KL per latent dimension during training",
        "Each row is a dimension. Colour: its posterior differs from the prior. Grey: it has "
        "collapsed, q(z_j|x) = p(z_j) for every x. A row that fades to grey dies; all grey is full "
        "collapse.",
    )
    epochs, kl = heat.kl_matrix(history)
    if not kl.size:
        return look.empty(fig, "no evaluation was recorded")
    order = heat.by_last_kl(kl)
    edges = heat.borders(epochs)
    # Evaluations need not be evenly spaced, pixels are: each pixel column shows the evaluation
    # whose stretch of training it lies in.
    along = np.linspace(edges[0], edges[-1], min(900, max(300, 3 * len(epochs))))
    nearest = np.clip(np.searchsorted(edges, along, side="right") - 1, 0, len(epochs) - 1)
    highest = heat.highest_nats(kl, threshold)
    image = axes.imshow(
        pieces.kl_cells(kl[nearest][:, order].T, highest),
        aspect="auto",
        interpolation="nearest",
        extent=(edges[0], edges[-1], len(order) - 0.5, -0.5),
        **pieces.kl_look(highest, threshold),
    )
    named = len(order) <= 40
    if named:
        axes.set_yticks(range(len(order)), [str(j) for j in order], fontsize=8)
    look.label_axes(
        axes,
        "epoch" if np.isfinite(kl).all() else "epoch (orange: not a number, the run diverged)",
        "latent dimension j (most used at the end on top)"
        if named
        else "latent dimensions, ranked by their KL at the end",
    )
    pieces.kl_bar(fig, image, axes, threshold)
    return fig


def active_over_training(
    history: list[dict], threshold: float = DEFAULT_THRESHOLD, collapsed_at_step: int | None = None
) -> Figure:
    """Active dimensions and active units over epochs, with beta if it varies and the collapse."""
    fig, axes = look.figure(
        4.0,
        "How many dimensions are in use",
        "Posterior collapse is these lines falling to 0, often as beta rises in a warm-up. Active "
        "units far below active dimensions: KL is paid although the means do not depend on x.",
    )
    epochs = heat.column(history, "epoch")
    if not np.isfinite(epochs).any():
        return look.empty(fig, "no evaluation was recorded")
    dimensions = heat.column(history, "active_dimensions")
    units = heat.column(history, "active_units")
    total = max((len(row.get("kl_per_dim") or []) for row in history), default=0)
    top = max([total, 1, *dimensions[np.isfinite(dimensions)], *units[np.isfinite(units)]])
    _degrees_of_collapse(axes, total, top)
    disc, square = ("o", "s") if len(epochs) <= 80 else ("", "")
    style = {"color": look.SECOND, "linewidth": 2, "marker": square, "markersize": 3.5}
    axes.plot(epochs, units, "--", label="active units: Var_x[mu_j] > 0.01", **style)
    style = {"color": look.ACTIVE, "linewidth": 2.2, "marker": disc, "markersize": 4}
    label = f"active dimensions: KL_j > {threshold:g} nats"
    axes.plot(epochs, dimensions, label=label, **style)
    # One place at most: no step equals None, and a run collapses once.
    for at in epochs[heat.column(history, "step") == collapsed_at_step][:1]:
        axes.axvline(at, color=look.MARK, linewidth=1.8)
        style = {"fontsize": 9, "color": look.MARK, "weight": "bold"}
        side = "left" if at < np.nanmean(epochs) else "right"
        axes.text(at, 0.72 * top, " collapsed: no dimension active ", ha=side, **style)
    axes.set_ylim(0, 1.12 * top)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    of_all = f", of {total}" if total else ""
    look.label_axes(axes, "epoch", f"dimensions in use{of_all}")
    beta = heat.column(history, "beta")
    if np.isfinite(beta).any() and np.nanmax(beta) - np.nanmin(beta) > 1e-9:
        twin = axes.twinx()
        twin.plot(epochs, beta, color=look.SCHEDULE, linewidth=1.6, linestyle="-.", label="beta")
        twin.set_ylim(0, 1.12 * np.nanmax(beta))
        twin.set_ylabel("beta, the weight of the KL", fontsize=10, color=look.SCHEDULE)
        twin.tick_params(labelsize=9, colors=look.SCHEDULE)
        twin.spines[["top", "left", "bottom"]].set_visible(False)
        twin.spines["right"].set_color(look.SCHEDULE)
    look.legend(fig)
    return fig


def rate_distortion(history: list[dict]) -> Figure:
    """The path of (rate, distortion) over training on lines of equal ELBO = -(rate+distortion)."""
    fig, axes = look.figure(
        4.8,
        "What the latent code costs and what it buys",
        "Rate: what q(z|x) pays to differ from the prior. Distortion: what is still wrong with x. "
        "A useful code moves right and down; a path that ends on the left edge, at rate 0, is full "
        "collapse.",
    )
    rate, distortion, epochs = (
        heat.column(history, key) for key in ("rate", "distortion", "epoch")
    )
    finite = np.isfinite(rate) & np.isfinite(distortion)
    if not finite.any():
        return look.empty(fig, "no finite evaluation was recorded")
    rate, distortion, epochs = rate[finite], distortion[finite], epochs[finite]
    (left, right), (low, high) = _limits(rate, distortion)
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)
    axes.axvspan(left, 0, color="#000000", alpha=0.10, linewidth=0)
    axes.axvline(0, color=look.SOFT, linewidth=1.2)
    style = {"rotation": 90, "fontsize": 8.5, "color": look.SOFT, "ha": "center", "va": "bottom"}
    axes.text(left / 2, low, " rate 0: full collapse", **style)
    pieces.elbo_lines(axes, "#C8C8C8", bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})
    axes.plot(rate, distortion, color=look.SOFT, linewidth=1.2, zorder=2)
    dots = axes.scatter(rate, distortion, c=epochs, cmap="viridis_r", s=26, zorder=3)
    if len(rate) > 1:
        look.colour_bar(fig, dots, axes, "epoch")
        if left <= rate[0] <= right and low <= distortion[0] <= high:
            ring = {"s": 120, "facecolors": "none", "edgecolors": look.INK, "linewidths": 1.6}
            axes.scatter(rate[:1], distortion[:1], label="first evaluation", zorder=4, **ring)
        else:
            start = f"start is off the chart: rate {rate[0]:.3g}, distortion {distortion[0]:.4g}"
            axes.plot([], [], " ", label=start)
    end = f"end: rate {rate[-1]:.3g}, distortion {distortion[-1]:.4g}, "
    end += f"ELBO {-(rate[-1] + distortion[-1]):.4g} (validation)"
    star = {"s": 190, "marker": "*", "color": look.MARK, "edgecolors": "white"}
    axes.scatter(rate[-1:], distortion[-1:], label=end, zorder=5, **star)
    look.legend(fig, columns=2)
    x, y = "rate E_x KL(q(z|x) || p(z))", "distortion -E log p(x|z)"
    look.label_axes(axes, f"{x}, nats per example", f"{y}, nats per example")
    return fig


def _degrees_of_collapse(axes: Axes, total: int, top: float) -> None:
    """Bands of severe and partial collapse, as shares of `top`, and a line at all dimensions."""
    axes.axhspan(0, 0.1 * top, color="#000000", alpha=0.10, linewidth=0)
    axes.axhspan(0.1 * top, 0.5 * top, color="#000000", alpha=0.045, linewidth=0)
    right = {"transform": axes.get_yaxis_transform(), "ha": "right", "color": look.SOFT}
    if total:
        axes.axhline(total, color=look.SOFT, linewidth=1, linestyle=(0, (1, 2)))
        axes.text(0.995, total, f"all {total}", va="bottom", fontsize=9, **right)
    for share, words in ((0.1, "severe: below 10 %"), (0.5, "partial: below 50 %")):
        axes.text(0.995, (share - 0.01) * top, words, va="top", fontsize=8, **right)


def _limits(
    rate: np.ndarray, distortion: np.ndarray
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Axis limits around the path; an untrained start ten times further off is left outside.

    Further off means 10 nats at least: the last nat of a collapsing rate is the story itself.
    """
    later = slice(max(1, len(rate) // 10), None) if len(rate) >= 5 else slice(None)
    limits = []
    for nats in (rate, distortion):
        far_start = np.ptp(nats) > 10 * max(np.ptp(nats[later]), 1.0)
        shown = nats[later] if far_start else nats
        low, high = shown.min(), shown.max()
        room = 0.12 * (high - low) or 0.1 * abs(high) or 1.0
        limits.append((low - room, high + room))
    # Rate 0 is always in the picture, with a strip left of it to write on: it is collapse.
    right = max(limits[0][1], 0.1)
    return (-0.05 * right, right), limits[1]
