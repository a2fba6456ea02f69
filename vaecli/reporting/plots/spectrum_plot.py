"""The spectrum of a data set: which of its directions can leave collapse at which beta."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vaecli.reporting.plots import look

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def spectrum_plot(
    eigenvalues: list[float],
    *,
    complete: bool,
    beta: float,
    latent_dim: int,
    betas: list[float],
    name: str,
) -> Figure:
    """Eigenvalues (descending) by rank, log-log; blue those above `beta`, grey those below.

    complete: True if these are all of them. betas: levels that are marked with the number of
    eigenvalues above them.
    """
    values = np.array(eigenvalues)

    def above(level: float) -> str:
        count = int((values > level).sum())
        return f"{count}" if complete or count < len(values) else f"at least {count}"

    many = above(beta)
    fig, axes = look.figure(
        4.6,
        f"{name}: {many} direction{'' if many == '1' else 's'} can leave collapse at beta {beta:g}",
        "Each point is a direction of the data, at the beta from which on collapse is stable in it "
        "(eigenvalue of the whitened score's covariance); stable in all from beta "
        f"{values[0]:.3g} on. Blue: above this beta. Dotted: how many lie above other betas.",
    )
    floor = values[0] * 1e-4  # below lie directions in which the data hardly vary, or not at all
    if floor <= 0:
        return look.empty(fig, "the data do not vary")
    rank = np.arange(1, len(values) + 1)
    axes.set_xscale("log")
    axes.set_yscale("log")
    for mask, colour in ((values > beta, look.ACTIVE), (values <= beta, look.COLLAPSED)):
        axes.plot(rank[mask], values[mask], "o", markersize=4, color=colour, linestyle="none")
    if latent_dim < len(values):
        at = latent_dim + 0.5
        axes.axvline(at, color=look.INK, linewidth=1.0, linestyle=look.DASHED)
        style = {"fontsize": 9, "va": "top", "color": look.INK}
        place = {"xycoords": ("data", "axes fraction")}
        look.note(axes, f"{latent_dim} latents", (at, 1), (4, -4), **place, **style)
    right = {"xycoords": ("axes fraction", "data"), "ha": "right"}
    style = {"fontsize": 8.5, "color": look.SOFT}
    for level in betas:
        if level != beta and floor < level < values[0]:
            axes.axhline(level, color=look.SOFT, linewidth=0.8, linestyle=":")
            words = f"beta {level:g}: {above(level)}"
            look.note(axes, words, (1, level), (-4, 2), **right, **style)
    shown = [values[values > floor][-1], values[0] / 10]
    if beta > floor:
        shown.append(beta)
        axes.axhline(beta, color=look.MARK, linewidth=1.8)
        style = {"fontsize": 9.5, "color": look.MARK, "weight": "bold"}
        look.note(axes, f"beta {beta:g}: {many}", (1, beta), (-4, 2), **right, **style)
    axes.set_ylim(0.7 * min(shown), 2 * max(values[0], beta))
    look.label_axes(axes, "direction, by falling eigenvalue", "eigenvalue (critical beta)")
    return fig
