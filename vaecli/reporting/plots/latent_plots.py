"""Figures of the latent space at the end of training. N examples, Z latent dimensions; nats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator

from vaecli.reporting.plots.figure import (
    ACTIVE,
    COLLAPSED,
    INK,
    MARK,
    SOFT,
    empty,
    figure,
    labelled,
    titled,
)
from vaecli.reporting.plots.heat import LOWEST_NATS

if TYPE_CHECKING:
    from torch import Tensor

MOST_BAR_WIDTH = 4  # a bar is never wider than the width of the axes over this
# Tol's muted colours and black: ten classes that most readers can tell apart; the class is also
# written on each cluster, because ten colours are too many to rely on.
_CLASSES = ("#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255",
            "#AA4499", "#222222")  # fmt: skip


def kl_per_dim(diagnosis: dict) -> Figure:
    """Bars of KL_j in nats, sorted, with the activity threshold; grey bars are collapsed."""
    drawn, axes = figure(3.8)
    threshold = float(diagnosis.get("threshold") or 0.01)
    kl = np.array([np.nan if v is None else v for v in diagnosis.get("kl_per_dim") or []], float)
    active = int((kl > threshold).sum())
    titled(
        axes,
        f"{active} of {len(kl)} dimensions are active",
        f"KL of each dimension, logarithmic. Above the line ({threshold:g} nats) q(z_j|x) differs "
        "from the prior; a grey bar is collapsed: "
        "its code is the same for every x.",
    )
    if not np.isfinite(kl).any():
        empty(axes, "no finite KL was measured")
        return drawn
    order = np.argsort(-np.nan_to_num(kl, nan=-1.0), kind="stable")
    heights = np.clip(np.nan_to_num(kl[order], nan=0.0), LOWEST_NATS * 1.25, None)
    colours = [ACTIVE if kl[j] > threshold else COLLAPSED for j in order]
    axes.set_yscale("log")
    axes.bar(range(len(order)), heights, width=0.82 if len(order) <= 100 else 1.0, color=colours)
    axes.set_ylim(LOWEST_NATS, max(2.0 * heights.max(), 100 * threshold))
    axes.set_xlim(-0.7, max(len(order), MOST_BAR_WIDTH) - 0.3)
    axes.axhline(threshold, color=MARK, linewidth=1.8)
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda v, _: f"≤{v:g}" if v <= LOWEST_NATS else f"{v:g}")
    )
    _dimension_ticks(axes, order)
    labelled(axes, "latent dimension j, sorted by KL", "KL_j, nats per example")
    handles = [
        Patch(color=ACTIVE, label=f"active: {active}"),
        Patch(color=COLLAPSED, label=f"collapsed: {len(kl) - active}"),
    ]
    drawn.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return drawn


def latent_variance(mu: Tensor, logvar: Tensor) -> Figure:
    """Var_x[mu_j] and E_x[sigma_j^2] stacked, per dimension sorted by KL; mu, logvar (N, Z)."""
    drawn, axes = figure(4.0)
    titled(
        axes,
        "Where the variance of each dimension comes from",
        "Blue: the mean moves with x (signal). Grey: the posterior's own noise. A collapsed "
        "dimension is grey up to 1 with no "
        "blue. Blue and grey add up to 1 where the codes of the "
        "whole data set match the prior.",
    )
    mu, logvar = mu.detach().double().cpu().numpy(), logvar.detach().double().cpu().numpy()
    kept = np.isfinite(mu).all(axis=1) & np.isfinite(logvar).all(axis=1)
    mu, logvar = mu[kept], logvar[kept]
    if not mu.size:
        empty(axes, "no finite code was recorded")
        return drawn
    noise = np.exp(np.clip(logvar, -30, 20))  # (N, Z)
    kl = (0.5 * (mu**2 + noise - 1 - logvar)).mean(axis=0)  # (Z,)
    order = np.argsort(-kl, kind="stable")
    signal, noise = mu.var(axis=0)[order], noise.mean(axis=0)[order]  # (Z,)
    width = 0.82 if len(order) <= 100 else 1.0
    axes.bar(range(len(order)), signal, width=width, color=ACTIVE, label="Var_x[mu_j]: signal")
    axes.bar(range(len(order)), noise, width=width, bottom=signal, color=COLLAPSED,
             label="E_x[sigma_j²]: noise")  # fmt: skip
    axes.axhline(1, color=INK, linewidth=1.2, linestyle=(0, (4, 2)), label="1, the prior's")
    axes.set_xlim(-0.7, max(len(order), MOST_BAR_WIDTH) - 0.3)
    # One dimension gone wild must not flatten all others.
    tallest = float((signal + noise).max())
    axes.set_ylim(0, max(1.35, min(1.15 * tallest, 4.0)))
    if tallest > 4:
        axes.text(0.99, 0.97, f"cut off at 4; the tallest is {tallest:.3g}", ha="right", va="top",
                  transform=axes.transAxes, fontsize=9, color=MARK)  # fmt: skip
    _dimension_ticks(axes, order)
    labelled(axes, "latent dimension j, sorted by KL", "variance (prior: 1)")
    drawn.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return drawn


def tsne(points: Tensor, labels: Tensor | None, *, mu_variance: float | None = None) -> Figure:
    """t-SNE of the codes' means: points (M, 2), labels (M,) or None.

    mu_variance, the mean over dimensions of Var_x[mu_j], is quoted because the map hides it: t-SNE
    shows clusters in means that vary by a thousandth of the posterior's noise just as well.
    """
    drawn, axes = figure(5.6, width=6.6)
    classes = "Healthy: examples of one class lie together. Collapsed: one cloud, classes mixed. "
    titled(
        axes,
        "Map of the codes (t-SNE of mu)",
        ("" if labels is None else f"{classes}But ")
        + "t-SNE shows shape, not size: a dead code may still show clusters"
        + ("." if mu_variance is None else f"; Var[mu] is {mu_variance:.2g} (prior: 1)."),
        characters=86,
    )
    points = points.detach().double().cpu().numpy()  # (M, 2)
    kept = np.isfinite(points).all(axis=1)
    points = points[kept]
    if not len(points):
        empty(axes, "no finite code was recorded")
        return drawn
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xticks([])
    axes.set_yticks([])
    labelled(axes, "t-SNE 1 (no unit)", "t-SNE 2 (no unit)")
    size = float(np.clip(12000 / len(points), 5, 40))
    if labels is None:
        axes.scatter(points[:, 0], points[:, 1], s=size, color=ACTIVE, alpha=0.7, linewidths=0)
        return drawn
    classes = labels.detach().cpu().numpy()[kept]
    names, index = np.unique(classes, return_inverse=True)
    palette = ListedColormap(_CLASSES) if len(names) <= len(_CLASSES) else "turbo"
    axes.scatter(points[:, 0], points[:, 1], c=index, cmap=palette, s=size, alpha=0.8, linewidths=0,
                 vmin=0, vmax=max(len(names), len(_CLASSES)) - 1)  # fmt: skip
    halo = [withStroke(linewidth=3, foreground="white")]
    for number, name in enumerate(names if len(names) <= 30 else []):
        x, y = np.median(points[index == number], axis=0)
        axes.text(x, y, f"{name:g}", fontsize=13, weight="bold", color=INK, ha="center",
                  va="center", path_effects=halo)  # fmt: skip
    return drawn


def _dimension_ticks(axes, order: np.ndarray) -> None:
    """Name the dimensions under their bars while there is room, else show the rank."""
    axes.tick_params(axis="x", length=0, labelcolor=SOFT)
    if len(order) <= 40:
        axes.set_xticks(range(len(order)), [str(j) for j in order], fontsize=8)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
