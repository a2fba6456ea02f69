"""What the code is used for: collapse per input, cost of tampering with it, parts of the rate.

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

from vaecli.diagnosis.reading import error, leaf, per_dim, value
from vaecli.reporting.plots.figure import (
    ACTIVE,
    COLLAPSED,
    INK,
    MARK,
    SECOND,
    SOFT,
    empty,
    figure,
    labelled,
    titled,
)

if TYPE_CHECKING:
    from torch import Tensor

LINEAR_BELOW = 0.01  # nats: a bar's axis is linear up to here, since a measured rise can be below 0
LEAST_SCALE = 1.0  # nats: a scale that ends below would show noise as if it were something
HARDLY_A_RATE = 0.05  # nats: parts of less than this are noise
DEPENDENCE = "#7D7D7D"  # a darker grey than collapse


def collapse_curve(diagnosis: dict, kl: Tensor | None = None) -> Figure:
    """Share of the dimensions that are (epsilon, delta)-collapsed, against epsilon in nats.

    kl (N, Z), if given: behind it, for each dimension, the share of the inputs whose KL_j lies
    below epsilon. Source: Lucas et al. 2019, "Don't Blame the ELBO!", figure 4.
    """
    drawn, axes = figure(4.4)
    curve = leaf(diagnosis, "collapse_curve") or {}
    epsilon = np.array(curve.get("epsilon") or [], float)  # (E,)
    share = np.array(curve.get("collapsed_fraction") or [], float)
    delta, threshold = float(curve.get("delta") or 0.01), float(diagnosis.get("threshold") or 0.01)
    at = value(curve, "collapsed_at_threshold")
    finding = "How much of the code is how close to the prior"
    if at is not None:
        finding = (
            f"{at:.0%} of the dimensions equal the prior for at least {1 - delta:.0%} of the inputs"
        )
    titled(
        axes,
        finding,
        f"Equal: KL_j is below epsilon, at the dot {threshold:g} nats. Thin lines, one a "
        "dimension: for which share of the inputs that holds. Far left: collapsed for all of them. "
        "Slanted: used for some and not for others, which a mean KL hides.",
    )
    if not len(epsilon) or len(epsilon) != len(share) or epsilon.min() <= 0:
        empty(axes, "no curve was measured")
        return drawn
    axes.set_xscale("log")
    axes.set_xlim(epsilon.min(), epsilon.max())
    axes.set_ylim(-0.02, 1.06)
    handles = [Line2D([], [], color=MARK, linewidth=2.6, label="dimensions collapsed")]
    if kl is not None and len(kl):
        _inputs_below(axes, kl, epsilon, threshold)
        handles += [
            Line2D([], [], color=ACTIVE, linewidth=1, label="inputs below, active dimension"),
            Line2D([], [], color=COLLAPSED, linewidth=1.4, label="collapsed dimension"),
        ]
    axes.axhline(1 - delta, color=SOFT, linewidth=0.9, linestyle=":")
    axes.plot(epsilon, share, color=MARK, linewidth=2.6, drawstyle="steps-post", zorder=4)
    if at is not None and epsilon.min() <= threshold <= epsilon.max():
        axes.scatter([threshold], [at], s=70, color=MARK, edgecolors="white", zorder=5)
        right = at < 0.5
        axes.annotate(
            f"epsilon {threshold:g}: {at:.0%}", (threshold, at), fontsize=9.5, weight="bold",
            color=MARK, xytext=(8, 8 if right else -8), textcoords="offset points",
            ha="left", va="bottom" if right else "top", zorder=6,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8},
        )  # fmt: skip
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.5f}".rstrip("0").rstrip(".")))
    labelled(axes, "epsilon, nats (logarithmic)", "share of dimensions, or of inputs")
    drawn.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return drawn


def _inputs_below(axes: Axes, kl: Tensor, epsilon: np.ndarray, threshold: float) -> None:
    """P_x[KL_j < epsilon] of each dimension of kl (N, Z), faint."""
    nats = np.sort(kl.detach().double().cpu().numpy(), axis=0)  # (N, Z); NaN sorts last
    along = np.geomspace(epsilon.min(), epsilon.max(), 240)
    lines, colours = [], []
    for column in nats.T:
        below = np.searchsorted(column, along, side="left") / len(column)
        lines.append(np.column_stack([along, below]))
        colours.append(ACTIVE if column.mean() > threshold else COLLAPSED)
    alpha = float(np.clip(12 / len(lines), 0.2, 0.5))
    axes.add_collection(
        LineCollection(lines, colors=colours, linewidths=1.0, alpha=alpha, zorder=2)
    )


def latent_use(diagnosis: dict) -> Figure:
    """KL_j of each dimension, above the rise of distortion when only z_j comes from another x.

    Beside them the rises when the whole code is another example's, a draw of the prior, or 0.
    """
    drawn, frame = figure(5.0)
    drawn.set_layout_engine("none")
    frame.set_position((0.09, 0.13, 0.88, 0.68))
    shuffled, rate = value(diagnosis, "latent_use", "shuffled"), value(diagnosis, "rate")
    finding = "What the decoder uses"
    if shuffled is not None:
        finding = f"Another example's code: {shuffled:+z.2f} nats of distortion"
        finding += "" if rate is None else f"; rate {rate:z.2f}"
    titled(
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
        empty(frame, "no finite rise was measured")
        return drawn
    frame.set_axis_off()
    threshold = float(diagnosis.get("threshold") or 0.01)
    order = np.argsort(-np.nan_to_num(kl, nan=-1.0), kind="stable")
    colours = [ACTIVE if kl[j] > threshold else COLLAPSED for j in order]
    whole = [key for key in ("shuffled", "prior", "zeroed") if _measured(diagnosis, key)]
    wide = 0.66 if whole else 1.0
    upper = _clean(frame.inset_axes((0, 0.55, wide, 0.45)))
    lower = _clean(frame.inset_axes((0, 0, wide, 0.45)))
    finite = np.concatenate([kl[np.isfinite(kl)], rise[np.isfinite(rise)], [LEAST_SCALE]])
    low, high = min(0.0, 1.3 * float(finite.min())), 1.6 * float(finite.max())
    for axes, nats, words in (
        (upper, kl, "KL_j, nats"),
        (lower, rise, "rise, nats"),
    ):
        axes.bar(range(len(order)), np.nan_to_num(nats[order]), color=colours,
                 width=0.82 if len(order) <= 100 else 1.0)  # fmt: skip
        axes.set_yscale("symlog", linthresh=LINEAR_BELOW, linscale=0.5)
        axes.set_ylim(low, high)
        axes.set_xlim(-0.7, max(len(order), 4) - 0.3)
        axes.axhline(0, color=SOFT, linewidth=0.8)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        axes.set_ylabel(words, fontsize=9.5, color=INK)
    upper.set_xticks([])
    named = len(order) <= 24  # more numbers would run into each other
    if named:
        lower.set_xticks(range(len(order)), [str(j) for j in order], fontsize=8)
    else:
        lower.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    under = "latent dimension j, sorted by KL" if named else "latent dimensions, ranked by KL"
    lower.set_xlabel(under, fontsize=9.5, color=INK)
    if whole:
        _whole_code(_clean(frame.inset_axes((0.76, 0, 0.24, 1))), diagnosis, whole)
    return drawn


def _whole_code(axes: Axes, diagnosis: dict, keys: list[str]) -> None:
    """The rises of distortion when the whole code is replaced, with their standard errors."""
    names = {"shuffled": "another's", "prior": "the prior", "zeroed": "zero"}
    rises = [value(diagnosis, "latent_use", key) or 0.0 for key in keys]
    errors = [error(diagnosis, "latent_use", key) or 0.0 for key in keys]
    axes.bar(range(len(keys)), rises, yerr=errors, width=0.7, color=SECOND, ecolor=INK, capsize=3)
    both = list(zip(rises, errors, strict=True))
    low, high = min(r - e for r, e in both), max(r + e for r, e in both)
    axes.set_ylim(min(1.2 * low, 0), 1.16 * max(high, LEAST_SCALE))
    for place, (rise, spread) in enumerate(both):
        words = f"{rise:.1f}" if abs(rise) >= 10 else f"{rise:z.2f}"
        axes.annotate(words, (place, max(rise + spread, 0)), xytext=(0, 3), ha="center",
                      textcoords="offset points", fontsize=9, weight="bold", color=INK)  # fmt: skip
    axes.set_xticks(range(len(keys)), [names[key] for key in keys], fontsize=8)
    axes.axhline(0, color=SOFT, linewidth=0.8)
    axes.set_xlabel("whole code taken from", fontsize=9.5, color=INK)
    axes.set_ylabel("rise, nats", fontsize=9.5, color=INK)


def rate_split(diagnosis: dict) -> Figure:
    """One bar: the rate as information, total correlation and the marginals' distance from p(z).

    Source: Chen et al. 2018, "Isolating sources of disentanglement in VAEs", equation 2.
    """
    drawn, axes = figure(2.7)
    parts = [
        ("mutual_information", "information about x", ACTIVE),
        ("total_correlation", "dependence of dimensions", DEPENDENCE),
        ("marginal_kl", "single dimensions", COLLAPSED),
    ]
    nats = {key: value(diagnosis, "information", "rate_split", key) for key, _, _ in parts}
    known = [n for n in nats.values() if n is not None]
    total, held = sum(known), nats["mutual_information"]
    saturated = bool(leaf(diagnosis, "information", "saturated"))
    finding = f"There is hardly a rate to divide: {total:z.2f} nats"
    if total > HARDLY_A_RATE and held is not None:
        share = min(max(held / total, 0.0), 1.0)
        finding = f"{'At least ' if saturated else ''}{share:.0%} of the rate is information"
    titled(
        axes,
        finding,
        "The blue part is at its ceiling, log N: more examples would show more of the rate to be "
        "information, and less of it grey."
        if saturated
        else "Only the blue part tells examples apart. Grey is the distance of all codes together "
        "from the prior: their dimensions depend on each other, or single ones are not N(0, 1). A "
        "rate that a floor holds up (free bits, say) can be all grey.",
    )
    if len(known) < len(parts):
        empty(axes, "the parts were not measured")
        return drawn
    left = 0.0
    for key, _, colour in parts:
        length = max(nats[key] or 0.0, 0.0)  # an estimate of 0 can fall below it by chance
        axes.barh(0, length, left=left, height=0.7, color=colour, edgecolor="white")
        left += length
    axes.set_xlim(0, 1.02 * max(left, HARDLY_A_RATE))
    axes.set_ylim(-0.5, 0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    labelled(axes, "nats per example", "")
    handles = []
    for key, words, colour in parts:
        bound = "≥ " if saturated and key == "mutual_information" else ""
        handles.append(Patch(color=colour, label=f"{words}: {bound}{nats[key]:z.2f}"))
    drawn.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return drawn


def use_by_position(diagnosis: dict) -> Figure:
    """The rise of distortion at each position of a sequence that gets another one's code."""
    drawn, axes = figure(3.4)
    rise = np.array(leaf(diagnosis, "sequences", "rise_by_position") or [], float)  # (L,)
    count = np.array(leaf(diagnosis, "sequences", "sequences_at_position") or [], float)
    total = float((rise * count).sum() / count.max()) if len(rise) else 0.0
    titled(
        axes,
        f"Another sequence's code: {total:+z.2f} nats at the first {len(rise)} positions",
        "Tall at the left: the code says how the sequence begins, and the decoder goes on from "
        "what it has written. Even: it is read throughout. Near 0: it is not read.",
    )
    if not np.isfinite(rise).any():
        empty(axes, "no rise was measured")
        return drawn
    axes.bar(range(1, len(rise) + 1), rise, color=ACTIVE, width=0.82)
    axes.axhline(0, color=SOFT, linewidth=0.8)
    low, high = min(0.0, 1.2 * float(rise.min())), 1.2 * float(rise.max())
    axes.set_ylim(low, max(high, LEAST_SCALE / 10))
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    labelled(axes, "position of the token", "rise of its distortion, nats")
    return drawn


def _measured(diagnosis: dict, key: str) -> bool:
    return value(diagnosis, "latent_use", key) is not None


def _clean(axes: Axes) -> Axes:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(SOFT)
    axes.tick_params(colors=SOFT, labelcolor=INK, labelsize=8.5)
    return axes
