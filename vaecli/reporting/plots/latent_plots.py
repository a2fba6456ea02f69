"""Figures of the latent space at the end of training. N examples, Z latent dimensions; nats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter

from vaecli.diagnosis import reading
from vaecli.reporting.plots import look, pieces
from vaecli.reporting.plots.heat import LOWEST_NATS

if TYPE_CHECKING:
    from torch import Tensor

# Tol's muted colours and black: most readers can separate these ten; the class is also
# written on each cluster, because ten colours are too many to rely on.
_CLASSES = ["#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677"]
_CLASSES += ["#882255", "#AA4499", "#222222"]


def kl_per_dim(diagnosis: dict) -> Figure:
    """Bars of KL_j in nats, sorted, with the activity threshold; grey bars are collapsed."""
    threshold = reading.threshold(diagnosis)
    kl = np.array(reading.per_dim(diagnosis, "kl_per_dim"))
    active = int((kl > threshold).sum())
    fig, axes = look.figure(
        3.8,
        f"{active} of {len(kl)} dimensions are active",
        f"KL of each dimension, logarithmic. Above the line ({threshold:g} nats) q(z_j|x) differs "
        "from the prior; a grey bar is collapsed: its code is the same for every x.",
    )
    if not np.isfinite(kl).any():
        return look.empty(fig, "no finite KL was measured")
    order = pieces.by_falling_kl(kl)
    heights = np.clip(np.nan_to_num(kl[order], nan=0.0), LOWEST_NATS * 1.25, None)
    axes.set_yscale("log")
    pieces.dimension_bars(axes, heights, color=pieces.activity_colours(kl[order], threshold))
    axes.set_ylim(LOWEST_NATS, max(2.0 * heights.max(), 100 * threshold))
    axes.axhline(threshold, color=look.MARK, linewidth=1.8)
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda v, _: f"≤{v:g}" if v <= LOWEST_NATS else f"{v:g}")
    )
    axes.tick_params(axis="x", length=0, labelcolor=look.SOFT)
    pieces.name_dimensions(axes, order)
    look.label_axes(axes, "latent dimension j, sorted by KL", "KL_j, nats per example")
    counts = (look.ACTIVE, f"active: {active}"), (look.COLLAPSED, f"collapsed: {len(kl) - active}")
    look.legend(fig, columns=2, handles=[Patch(color=c, label=label) for c, label in counts])
    return fig


def latent_variance(mu: Tensor, logvar: Tensor) -> Figure:
    """Var_x[mu_j] and E_x[sigma_j^2] stacked, per dimension sorted by KL; mu, logvar (N, Z)."""
    fig, axes = look.figure(
        4.0,
        "Where the variance of each dimension comes from",
        "Blue: the mean moves with x (signal). Grey: the posterior's own noise. A collapsed "
        "dimension is grey up to 1 with no blue. Blue and grey add up to 1 where the codes of the "
        "whole data set match the prior.",
    )
    means, logvars = pieces.to_numpy(mu), pieces.to_numpy(logvar)
    finite = np.isfinite(means).all(axis=1) & np.isfinite(logvars).all(axis=1)
    means, logvars = means[finite], logvars[finite]
    if not means.size:
        return look.empty(fig, "no finite code was recorded")
    variances = np.exp(np.clip(logvars, -30, 20))  # (N, Z)
    order = pieces.by_falling_kl((0.5 * (means**2 + variances - 1 - logvars)).mean(axis=0))
    signal, noise = means.var(axis=0)[order], variances.mean(axis=0)[order]  # (Z,)
    pieces.dimension_bars(axes, signal, color=look.ACTIVE, label="Var_x[mu_j]: signal")
    pieces.dimension_bars(
        axes, noise, bottom=signal, color=look.COLLAPSED, label="E_x[sigma_j²]: noise"
    )
    axes.axhline(1, color=look.INK, linewidth=1.2, linestyle=look.DASHED, label="1, the prior's")
    # One dimension gone wild must not flatten all others.
    tallest = float((signal + noise).max())
    axes.set_ylim(0, max(1.35, min(1.15 * tallest, 4.0)))
    if tallest > 4:
        style = {"ha": "right", "va": "top", "fontsize": 9, "color": look.MARK}
        words = f"cut off at 4; the tallest is {tallest:.3g}"
        axes.text(0.99, 0.97, words, transform=axes.transAxes, **style)
    axes.tick_params(axis="x", length=0, labelcolor=look.SOFT)
    pieces.name_dimensions(axes, order)
    look.label_axes(axes, "latent dimension j, sorted by KL", "variance (prior: 1)")
    look.legend(fig)
    return fig


def tsne(points: Tensor, labels: Tensor | None, mu_variance: float | None = None) -> Figure:
    """t-SNE of the codes' means: points (M, 2), labels (M,) or None.

    mu_variance, the mean over dimensions of Var_x[mu_j], is quoted because the map hides it: t-SNE
    shows clusters in means that vary by a thousandth of the posterior's noise just as well.
    """
    classes = "Healthy: examples of one class lie together. Collapsed: one cloud, classes mixed. "
    fig, axes = look.figure(
        5.6,
        "Map of the codes (t-SNE of mu)",
        ("" if labels is None else f"{classes}But ")
        + "t-SNE shows shape, not size: a dead code may still show clusters"
        + ("." if mu_variance is None else f"; Var[mu] is {mu_variance:.2g} (prior: 1)."),
        width=6.6,
        characters=86,
    )
    places = pieces.to_numpy(points)  # (M, 2)
    finite = np.isfinite(places).all(axis=1)
    places = places[finite]
    if not len(places):
        return look.empty(fig, "no finite code was recorded")
    axes.set_aspect("equal", adjustable="datalim")
    axes.set(xticks=[], yticks=[])
    look.label_axes(axes, "t-SNE 1 (no unit)", "t-SNE 2 (no unit)")
    dots = {"s": float(np.clip(12000 / len(places), 5, 40)), "linewidths": 0}
    if labels is None:
        axes.scatter(*places.T, color=look.ACTIVE, alpha=0.7, **dots)
        return fig
    names, index = np.unique(labels.detach().cpu().numpy()[finite], return_inverse=True)
    palette = ListedColormap(_CLASSES) if len(names) <= len(_CLASSES) else "turbo"
    dots |= {"cmap": palette, "vmin": 0, "vmax": max(len(names), len(_CLASSES)) - 1}
    axes.scatter(*places.T, c=index, alpha=0.8, **dots)
    style = {"fontsize": 13, "weight": "bold", "color": look.INK, "ha": "center", "va": "center"}
    style["path_effects"] = [withStroke(linewidth=3, foreground="white")]
    for number, name in enumerate(names if len(names) <= 30 else []):
        x, y = np.median(places[index == number], axis=0)
        axes.text(x, y, f"{name:g}", **style)
    return fig
