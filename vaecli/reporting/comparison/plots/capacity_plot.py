"""How much of the capacity that is offered a model takes."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from vaecli.reporting.comparison.groups import LATENT_DIM, Comparison
from vaecli.reporting.comparison.plots.axes import aside, legend, lines
from vaecli.reporting.comparison.swept import number
from vaecli.reporting.plots.figure import SOFT, figure, labelled, titled


def active_against_latent_dim(comparison: Comparison) -> Figure:
    """Active dimensions and units over the number of dimensions that were offered."""
    drawn, axes = figure(4.8)
    titled(
        axes,
        "Dimensions in use against dimensions offered",
        "On the dotted line every dimension is in use. Where the curve leaves it, the data fills "
        "no more at this beta. Solid: active dimensions; dashed: units (means; points: runs).",
    )
    offered = [z for z in map(number, comparison.options(LATENT_DIM)) if z is not None and z > 0]
    top = 1.0
    ends = [min(offered), max(offered)]
    # The same scale on both axes, so that the dotted line is straight; it can show 0.
    for scale in (axes.set_xscale, axes.set_yscale):
        scale("symlog", base=2, linthresh=1)
    axes.set_xlim(0.8 * ends[0], 1.25 * ends[1])
    drawn_lines = lines(comparison, LATENT_DIM, least=2)
    for place, line in enumerate(drawn_lines):
        shift = aside(axes, place, len(drawn_lines))
        settings = [s for s in line.settings if number(s.values[LATENT_DIM])]
        for key, style in (("active_units", "--"), ("active_dimensions", "-")):
            pairs = [(number(s.values[LATENT_DIM]), s.mean(key)) for s in settings]
            pairs = sorted((z * shift, mean) for z, mean in pairs if z and mean is not None)
            if not pairs:
                continue
            top = max(top, *(mean for _, mean in pairs))
            label = line.label or "active dimensions" if style == "-" else None
            axes.plot(*zip(*pairs, strict=True), color=line.colour, linestyle=style, linewidth=1.9,
                      label=label if line.marker != "." else None)  # fmt: skip
        dots = [(z * shift, count) for s in settings if (z := number(s.values[LATENT_DIM]))
                for count in s.known("active_dimensions")]  # fmt: skip
        if dots:
            axes.scatter(*zip(*dots, strict=True), color=line.colour, marker=line.marker, s=28,
                         alpha=0.75, linewidths=0, zorder=4)  # fmt: skip
    axes.plot(ends, ends, color=SOFT, linestyle=(0, (1, 2)), linewidth=1.3, zorder=1,
              label="all that were offered")  # fmt: skip
    axes.set_ylim(-0.2, 1.4 * max(top, ends[1]))
    counts = [0, *(2**power for power in range(int(max(top, ends[1])).bit_length())), ends[1]]
    for axis, ticks in ((axes.xaxis, offered), (axes.yaxis, counts)):
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_major_formatter(FixedFormatter([f"{z:g}" for z in ticks]))
        axis.set_minor_locator(NullLocator())
    labelled(axes, "latent dimensions offered (logarithmic)", "in use (logarithmic)")
    legend(drawn, axes)
    return drawn
