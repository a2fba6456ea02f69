"""The aggregate posterior, dimension by dimension. N examples, Z latent dimensions; nats."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from vaecli.diagnosis import reading
from vaecli.diagnosis.reading import leaf, per_dim, value
from vaecli.reporting.plots import look, pieces

if TYPE_CHECKING:
    from torch import Tensor

MOST_PANELS = 12
COLUMNS = 4
DEAD_BESIDE_ACTIVE = 2  # collapsed dimensions that are shown for comparison
DEAD_ALONE = 4  # and where all have collapsed: more would be the same picture again
SINGLE = 5  # examples whose own posterior is drawn
WIDEST = 6.0  # prior standard deviations to either side; what lies beyond is counted at the edge


def aggregate_posterior(
    codes: Tensor, diagnosis: dict, mu: Tensor | None = None, logvar: Tensor | None = None
) -> Figure:
    """Histograms of the sampled codes z_j (N, Z) over the split, against N(0, 1).

    mu, logvar (N, Z), if given: q(z_j|x) of a few examples, faint.
    """
    z = pieces.to_numpy(codes)
    z = z[np.isfinite(z).all(axis=1)]  # (N, Z)
    kl = np.array(per_dim(diagnosis, "kl_per_dim"))
    threshold = reading.threshold(diagnosis)
    shown = dimensions_to_show(kl, threshold)
    rows = max(1, -(-len(shown) // COLUMNS))
    height = 1.45 + 1.4 * rows
    fig, frame = look.blank(height)
    fig.set_layout_engine("none")
    frame.set_position((0.03, 0.5 / height, 0.95, 1 - 1.5 / height))
    look.set_title(frame, _finding(diagnosis, any_active=bool((kl > threshold).any())), _LESSON)
    if not len(z) or not shown:
        return look.empty(fig, "no finite code was recorded")
    frame.set_axis_off()
    reach = float(np.clip(np.quantile(np.abs(z[:, shown]), 0.999), 3.5, WIDEST))
    marginal = per_dim(diagnosis, "information", "marginal_kl_per_dim")
    singles = _singles(mu, logvar)
    for number, j in enumerate(shown):
        row, column = divmod(number, COLUMNS)
        left, bottom = column / COLUMNS, 1 - (row + 0.87) / rows
        panel = frame.inset_axes((left, bottom, 0.9 / COLUMNS, 0.66 / rows))
        colour, weight = (look.ACTIVE, "bold") if kl[j] > threshold else (look.COLLAPSED, "normal")
        _panel(panel, z[:, j], singles[:, :, j] if len(singles) else singles, reach, colour)
        words = f"z_{j}: KL {_two_digits(kl[j])}"
        words += f", all {_two_digits(marginal[j])}" if j < len(marginal) else ""
        panel.set_title(words, loc="left", fontsize=8.5, pad=3, color=look.INK, weight=weight)
    _legend(fig, singles=len(singles) > 0, height=height)
    return fig


_LESSON = (
    "Bars: the codes z_j of all examples. Dashed: the prior. Healthy: the narrow curves of single "
    "examples lie apart and together fill the prior. Collapsed (grey): each single curve is the "
    "prior already. Nats from the prior: KL, single examples on average; all, all codes together."
)


def dimensions_to_show(kl: np.ndarray, threshold: float) -> list[int]:
    """The dimensions to show: those of largest KL (Z,), and a few that have collapsed."""
    order = pieces.by_falling_kl(kl)
    active = [int(j) for j in order if kl[j] > threshold]
    collapsed = [int(j) for j in order if not kl[j] > threshold]
    collapsed = collapsed[-(DEAD_BESIDE_ACTIVE if active else DEAD_ALONE) :]
    return active[: MOST_PANELS - len(collapsed)] + collapsed


def _finding(diagnosis: dict, *, any_active: bool) -> str:
    """The title of the figure."""
    if not any_active:
        return "No dimension tells examples apart"
    apart = value(diagnosis, "information", "aggregate_kl")
    if apart is None:
        return "The codes of all examples against the prior"
    bound = "at most " if leaf(diagnosis, "information", "saturated") else ""
    return f"All codes together are {bound}{_two_digits(apart)} nats from the prior"


def _two_digits(nats: float) -> str:
    """Nats with two digits; an estimate of 0 that falls below it by chance is 0.00."""
    if not math.isfinite(nats):
        return "not known"
    return f"{nats:.2g}" if abs(nats) >= 0.005 else "0.00"


def _singles(mu: Tensor | None, logvar: Tensor | None) -> np.ndarray:
    """Mean and standard deviation of the posteriors of a few examples, (examples, 2, Z)."""
    if mu is None or logvar is None or not len(mu):
        return np.zeros((0, 2, 0))
    few = np.linspace(0, len(mu) - 1, min(SINGLE, len(mu))).round().astype(int)
    centre = pieces.to_numpy(mu)[few]
    width = np.exp(0.5 * np.clip(pieces.to_numpy(logvar)[few], -30, 20))
    both = np.stack([centre, width], axis=1)  # (examples, 2, Z)
    return both[np.isfinite(both).all(axis=(1, 2))]


def _panel(axes: Axes, z: np.ndarray, singles: np.ndarray, reach: float, colour: str) -> None:
    """One dimension: z (N,), singles (examples, 2)."""
    edges = np.linspace(-reach, reach, int(np.clip(4 * len(z) ** (1 / 3), 20, 60)) + 1)
    counts, _ = np.histogram(np.clip(z, -reach, reach), edges)
    density = counts / (len(z) * np.diff(edges))
    along = np.linspace(-reach, reach, 400)
    prior = _normal(along, 0.0, 1.0)
    top = 1.12 * max(density.max(), prior.max())
    axes.stairs(density, edges, fill=True, color=colour, alpha=0.75)
    for centre, width in singles:
        # Points around the mean too: the panel's grid steps across a precise posterior.
        along_one = np.sort(np.append(along, centre + width * np.linspace(-4, 4, 41)))
        curve = _normal(along_one, centre, width)
        # To the height of the panel: at the scale of the bars a precise posterior is a needle.
        curve = curve / _normal(centre, centre, width) * prior.max()
        axes.plot(along_one, curve, color=look.MARK, linewidth=0.9, alpha=0.55)
    axes.plot(along, prior, color=look.INK, linewidth=1.1, linestyle=look.DASHED)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(0, top)
    axes.set(xticks=[-2, 0, 2], yticks=[])
    axes.tick_params(labelsize=7.5, colors=look.SOFT, length=2, pad=1.5)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(look.SOFT)


def _normal(at: np.ndarray, centre: float, width: float) -> np.ndarray:
    return np.exp(-0.5 * ((at - centre) / width) ** 2) / (width * math.sqrt(2 * math.pi))


def _legend(fig: Figure, *, singles: bool, height: float) -> None:
    handles: list = [
        Patch(color=look.ACTIVE, alpha=0.75, label="codes, active"),
        Patch(color=look.COLLAPSED, alpha=0.75, label="codes, collapsed"),
        Line2D([], [], color=look.INK, linewidth=1.1, linestyle=look.DASHED, label="prior N(0, 1)"),
    ]
    if singles:
        label = "q(z_j|x) of single examples, at one height"
        handles.append(Line2D([], [], color=look.MARK, linewidth=1.2, label=label))
    below = {"loc": "lower center", "bbox_to_anchor": (0.5, 0.04 / height), "ncols": len(handles)}
    fig.legend(handles=handles, frameon=False, fontsize=8.5, **below)
