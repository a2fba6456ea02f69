"""Dimensions that a model uses, of those that it is offered."""

from __future__ import annotations

from matplotlib.figure import Figure

from vaecli.reporting.comparison.groups import LATENT_DIM, Comparison
from vaecli.reporting.comparison.plots import parts
from vaecli.reporting.comparison.swept import as_number
from vaecli.reporting.plots import look


def active_against_latent_dim(comparison: Comparison) -> Figure:
    """Active dimensions and units over the number of dimensions that were offered."""
    fig, axes = look.figure(
        4.8,
        "Dimensions in use against dimensions offered",
        "On the dotted line every dimension is in use. Where the curve leaves it, the data fills "
        "no more at this beta. Solid: active dimensions; dashed: units (means; points: runs).",
    )
    offered = [z for z in map(as_number, comparison.options(LATENT_DIM)) if z is not None and z > 0]
    fewest, most = min(offered), max(offered)
    # The same scale on both axes, so that the dotted line is straight; it can show 0.
    axes.set_xscale("symlog", base=2, linthresh=1)
    axes.set_yscale("symlog", base=2, linthresh=1)
    axes.set_xlim(0.8 * fewest, 1.25 * most)
    top = most
    all_lines = parts.lines(comparison, LATENT_DIM, least=2)
    for place, line in enumerate(all_lines):
        shift = parts.shift_of(axes, place, len(all_lines))
        at = [(z * shift, s) for s in line.settings if (z := as_number(s.values[LATENT_DIM]))]
        for key, style in (("active_units", "--"), ("active_dimensions", "-")):
            means = [(x, mean) for x, s in at if (mean := s.mean(key)) is not None]
            top = max([top, *(mean for _, mean in means)])
            label = line.label or "active dimensions" if style == "-" else None
            line.draw(axes, means, label, linestyle=style)
        dots = [(x, count) for x, s in at for count in s.run_figures("active_dimensions")]
        line.dot(axes, dots, 28)
    style = {"color": look.SOFT, "linestyle": (0, (1, 2)), "linewidth": 1.3, "zorder": 1}
    axes.plot([fewest, most], [fewest, most], label="all that were offered", **style)
    axes.set_ylim(-0.2, 1.4 * top)
    counts = [0, *(2**power for power in range(int(top).bit_length())), most]
    for axis, places in ((axes.xaxis, offered), (axes.yaxis, counts)):
        look.ticks(axis, places, [f"{z:g}" for z in places])
    look.label_axes(axes, "latent dimensions offered (logarithmic)", "in use (logarithmic)")
    parts.legend(fig, axes)
    return fig
