"""Figures of the code's use: collapse per input, cost of tampering with it, parts of the rate.

N examples, Z latent dimensions, E thresholds; nats per example.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from vaecli.diagnosis import reading
from vaecli.diagnosis.reading import error, leaf, per_dim, value
from vaecli.reporting.plots import look, pieces

if TYPE_CHECKING:
    from torch import Tensor

LINEAR_BELOW = 0.01  # nats: a bar's axis is linear up to here, since a measured rise can be below 0
LEAST_SCALE = 1.0  # nats: a scale that ends below would show noise as if it were something
HARDLY_A_RATE = 0.05  # nats: parts of less than this are noise
DEPENDENCE = "#7D7D7D"  # a darker grey than collapse
# Key of `latent_use` -> name of what replaces the whole code.
REPLACED_BY = {"shuffled": "another's", "prior": "the prior", "zeroed": "zero"}
# Parts of the rate: key, name, colour.
PARTS = (
    ("mutual_information", "information about x", look.ACTIVE),
    ("total_correlation", "dependence of dimensions", DEPENDENCE),
    ("marginal_kl", "single dimensions", look.COLLAPSED),
)


def collapse_curve(diagnosis: dict, kl: Tensor | None = None) -> Figure:
    """Share of the dimensions that are (epsilon, delta)-collapsed, against epsilon in nats.

    kl (N, Z), if given: behind it, for each dimension, the share of the inputs whose KL_j lies
    below epsilon. Source: Lucas et al. 2019, "Don't Blame the ELBO!", figure 4.
    """
    curve = leaf(diagnosis, "collapse_curve") or {}
    epsilon = np.array(curve.get("epsilon") or [], float)  # (E,)
    share = np.array(curve.get("collapsed_fraction") or [], float)  # (E,)
    delta, threshold = float(curve.get("delta") or 0.01), reading.threshold(diagnosis)
    at = value(curve, "collapsed_at_threshold")
    fig, axes = look.figure(
        4.4,
        "How much of the code is how close to the prior"
        if at is None
        else f"{at:.0%} of the dimensions equal the prior for at least {1 - delta:.0%} of the "
        "inputs",
        f"Equal: KL_j is below epsilon, at the dot {threshold:g} nats. Thin lines, one a "
        "dimension: for which share of the inputs that holds. Far left: collapsed for all of them. "
        "Slanted: used for some and not for others, which a mean KL hides.",
    )
    if not len(epsilon) or len(epsilon) != len(share) or epsilon.min() <= 0:
        return look.empty(fig, "no curve was measured")
    axes.set_xscale("log")
    axes.set_xlim(epsilon.min(), epsilon.max())
    axes.set_ylim(-0.02, 1.06)
    handles = [Line2D([], [], color=look.MARK, linewidth=2.6, label="dimensions collapsed")]
    if kl is not None and len(kl):
        _inputs_below(axes, kl, epsilon, threshold)
        handles += [
            Line2D([], [], color=look.ACTIVE, linewidth=1, label="inputs below, active dimension"),
            Line2D([], [], color=look.COLLAPSED, linewidth=1.4, label="collapsed dimension"),
        ]
    axes.axhline(1 - delta, color=look.SOFT, linewidth=0.9, linestyle=":")
    axes.plot(epsilon, share, color=look.MARK, linewidth=2.6, drawstyle="steps-post", zorder=4)
    if at is not None and epsilon.min() <= threshold <= epsilon.max():
        axes.scatter([threshold], [at], s=70, color=look.MARK, edgecolors="white", zorder=5)
        offset, side = (8, "bottom") if at < 0.5 else (-8, "top")
        style = {"fontsize": 9.5, "weight": "bold", "color": look.MARK, "va": side, "zorder": 6}
        style["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8}
        look.note(axes, f"epsilon {threshold:g}: {at:.0%}", (threshold, at), (8, offset), **style)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.5f}".rstrip("0").rstrip(".")))
    look.label_axes(axes, "epsilon, nats (logarithmic)", "share of dimensions, or of inputs")
    look.legend(fig, handles=handles)
    return fig


def _inputs_below(axes: Axes, kl: Tensor, epsilon: np.ndarray, threshold: float) -> None:
    """P_x[KL_j < epsilon] of each dimension of kl (N, Z), faint."""
    nats = np.sort(pieces.to_numpy(kl), axis=0)  # (N, Z); NaN sorts last
    along = np.geomspace(epsilon.min(), epsilon.max(), 240)
    # In a sorted column, the place of epsilon is the number of inputs below it.
    below = [np.searchsorted(column, along, side="left") / len(column) for column in nats.T]
    lines = LineCollection(
        [np.column_stack([along, shares]) for shares in below],
        colors=pieces.activity_colours(nats.mean(axis=0), threshold),
        linewidths=1.0,
        alpha=float(np.clip(12 / len(below), 0.2, 0.5)),
        zorder=2,
    )
    axes.add_collection(lines)


def latent_use(diagnosis: dict) -> Figure:
    """KL_j of each dimension, above the rise of distortion when only z_j comes from another x.

    Beside them the rises when the whole code is another example's, a draw of the prior, or 0.
    """
    fig, frame = look.blank(5.0)
    fig.set_layout_engine("none")
    frame.set_position((0.09, 0.13, 0.88, 0.68))
    shuffled, rate = value(diagnosis, "latent_use", "shuffled"), value(diagnosis, "rate")
    finding = "What the decoder uses"
    if shuffled is not None:
        finding = f"Another example's code: {shuffled:+z.2f} nats of distortion"
        finding += "" if rate is None else f"; rate {rate:z.2f}"
    look.set_title(
        frame,
        finding,
        "Below: what the distortion rises by when only z_j is taken from another example. Healthy: "
        "the bars below are as tall as those above, or taller. KL without a rise is paid for "
        "nothing: the decoder ignores that dimension.",
        characters=96,
    )
    kl = np.array(per_dim(diagnosis, "kl_per_dim"))
    rise = np.array(per_dim(diagnosis, "latent_use", "rise_per_dim"))
    if not np.isfinite(rise).any() or len(rise) != len(kl):
        return look.empty(fig, "no finite rise was measured")
    frame.set_axis_off()
    replaced = [key for key in REPLACED_BY if value(diagnosis, "latent_use", key) is not None]
    width = 0.66 if replaced else 1.0
    upper = look.plain(frame.inset_axes((0, 0.55, width, 0.45)), 8.5)
    lower = look.plain(frame.inset_axes((0, 0, width, 0.45)), 8.5)
    finite = np.concatenate([kl[np.isfinite(kl)], rise[np.isfinite(rise)], [LEAST_SCALE]])
    order = pieces.by_falling_kl(kl)
    colours = pieces.activity_colours(kl[order], reading.threshold(diagnosis))
    for axes, nats, words in ((upper, kl, "KL_j, nats"), (lower, rise, "rise, nats")):
        pieces.dimension_bars(axes, np.nan_to_num(nats[order]), color=colours)
        axes.set_yscale("symlog", linthresh=LINEAR_BELOW, linscale=0.5)
        axes.set_ylim(min(0.0, 1.3 * float(finite.min())), 1.6 * float(finite.max()))
        axes.axhline(0, color=look.SOFT, linewidth=0.8)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        axes.set_ylabel(words, fontsize=9.5, color=look.INK)
    upper.set_xticks([])
    named = pieces.name_dimensions(lower, order, most=24)
    under = "latent dimension j, sorted by KL" if named else "latent dimensions, ranked by KL"
    lower.set_xlabel(under, fontsize=9.5, color=look.INK)
    if replaced:
        _whole_code(look.plain(frame.inset_axes((0.76, 0, 0.24, 1)), 8.5), diagnosis, replaced)
    return fig


def _whole_code(axes: Axes, diagnosis: dict, keys: list[str]) -> None:
    """The rises of distortion when the whole code is replaced, with their standard errors."""
    rises = [value(diagnosis, "latent_use", key) or 0.0 for key in keys]
    errors = [error(diagnosis, "latent_use", key) or 0.0 for key in keys]
    style = {"width": 0.7, "color": look.SECOND, "ecolor": look.INK, "capsize": 3}
    axes.bar(range(len(keys)), rises, yerr=errors, **style)
    ends = [(r - e, r + e) for r, e in zip(rises, errors, strict=True)]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    axes.set_ylim(min(1.2 * low, 0), 1.16 * max(high, LEAST_SCALE))
    style = {"ha": "center", "fontsize": 9, "weight": "bold", "color": look.INK}
    for place, (rise, (_, end)) in enumerate(zip(rises, ends, strict=True)):
        words = f"{rise:.1f}" if abs(rise) >= 10 else f"{rise:z.2f}"
        look.note(axes, words, (place, max(end, 0)), (0, 3), **style)
    axes.set_xticks(range(len(keys)), [REPLACED_BY[key] for key in keys], fontsize=8)
    axes.axhline(0, color=look.SOFT, linewidth=0.8)
    axes.set_xlabel("whole code taken from", fontsize=9.5, color=look.INK)
    axes.set_ylabel("rise, nats", fontsize=9.5, color=look.INK)


def rate_split(diagnosis: dict) -> Figure:
    """One bar: the rate as information, total correlation and the marginals' distance from p(z).

    Source: Chen et al. 2018, "Isolating sources of disentanglement in VAEs", equation 2.
    """
    estimates = {key: value(diagnosis, "information", "rate_split", key) for key, _, _ in PARTS}
    nats = {key: estimate for key, estimate in estimates.items() if estimate is not None}
    total, information = sum(nats.values()), nats.get("mutual_information")
    saturated = bool(leaf(diagnosis, "information", "saturated"))
    finding = f"There is hardly a rate to divide: {total:z.2f} nats"
    if total > HARDLY_A_RATE and information is not None:
        share = min(max(information / total, 0.0), 1.0)
        finding = f"{'At least ' if saturated else ''}{share:.0%} of the rate is information"
    fig, axes = look.figure(
        2.7,
        finding,
        "The blue part is at its ceiling, log N: more examples would show more of the rate to be "
        "information, and less of it grey."
        if saturated
        else "Only the blue part tells examples apart. Grey is the distance of all codes together "
        "from the prior: their dimensions depend on each other, or single ones are not N(0, 1). A "
        "rate that a floor holds up (free bits, say) can be all grey.",
    )
    if len(nats) < len(PARTS):
        return look.empty(fig, "the parts were not measured")
    left, handles = 0.0, []
    for key, words, colour in PARTS:
        length = max(nats[key], 0.0)  # an estimate of 0 can fall below it by chance
        axes.barh(0, length, left=left, height=0.7, color=colour, edgecolor="white")
        left += length
        bound = "≥ " if saturated and key == "mutual_information" else ""
        handles.append(Patch(color=colour, label=f"{words}: {bound}{nats[key]:z.2f}"))
    axes.set_xlim(0, 1.02 * max(left, HARDLY_A_RATE))
    axes.set_ylim(-0.5, 0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    look.label_axes(axes, "nats per example", "")
    look.legend(fig, handles=handles)
    return fig


def use_by_position(diagnosis: dict) -> Figure:
    """The rise of distortion at each position of a sequence that gets another one's code."""
    rise = np.array(leaf(diagnosis, "sequences", "rise_by_position") or [], float)  # (L,)
    count = np.array(leaf(diagnosis, "sequences", "sequences_at_position") or [], float)
    total = float((rise * count).sum() / count.max()) if len(rise) else 0.0
    fig, axes = look.figure(
        3.4,
        f"Another sequence's code: {total:+z.2f} nats at the first {len(rise)} positions",
        "Tall at the left: the code says how the sequence begins, and the decoder goes on from "
        "what it has written. Even: it is read throughout. Near 0: it is not read.",
    )
    if not np.isfinite(rise).any():
        return look.empty(fig, "no rise was measured")
    axes.bar(range(1, len(rise) + 1), rise, color=look.ACTIVE, width=0.82)
    axes.axhline(0, color=look.SOFT, linewidth=0.8)
    low, high = min(0.0, 1.2 * float(rise.min())), 1.2 * float(rise.max())
    axes.set_ylim(low, max(high, LEAST_SCALE / 10))
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    look.label_axes(axes, "position of the token", "rise of its distortion, nats")
    return fig
