"""Which plots a comparison gets: chosen by what was swept, each with the words to read it by."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from vaecli.reporting.comparison.groups import BETA, LATENT_DIM, Comparison, Setting
from vaecli.reporting.comparison.predicted import learned_points, predictions, silent
from vaecli.reporting.comparison.swept import canonical, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RANKED_BY = ("strategy", "schedule")  # what is ranked: ways to keep a code alive
MANY = 4  # planes, rankings and phase diagrams
APART = " Lines are shifted a little to the side, so that none hides another."
_OF_MEANS = (
    " Where a setting has several seeds, the mean of each rank is drawn: grey then says that this "
    "mean is below the threshold, though one seed may still use a dimension, and colour that it is "
    "above, though one may have collapsed."
)


class Plot(NamedTuple):
    """One plot: a name (unique, for links), what it shows and how to read it, and its drawing."""

    name: str
    title: str
    caption: str
    draw: Callable[[], Figure]

    def png(self) -> str:
        """The drawing as base64 of a PNG."""
        out = io.BytesIO()
        with warnings.catch_warnings():
            # A sign of a script that the font lacks is drawn as a box.
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            self.draw().canvas.print_png(out)
        return base64.b64encode(out.getvalue()).decode("ascii")


def choose(comparison: Comparison) -> list[Plot]:
    """The plots that fit: none without a finished run."""
    return [
        *_beta(comparison),
        *_phases(comparison),
        *_capacity(comparison),
        *_ranked(comparison),
        *_planes(comparison),
        *_training(comparison),
    ]


def _beta(comparison: Comparison) -> Iterator[Plot]:
    from vaecli.reporting.comparison.plots import beta_plots as plots
    from vaecli.reporting.comparison.plots.axes import grey_lines, lines

    if len(_measured(comparison, BETA)) < 2:
        return
    caption = "Follow a line to the right: where it reaches 0, the price of a nat of code is more "
    caption += "than the code is worth."
    if predictions(comparison):
        caption += (
            " Dashed: min(latent dimensions, directions of the data that can leave collapse at "
            "this beta), from the spectrum of the data alone. It counts directions and is local: "
            "training need not have gone so far, or may hold one direction in several dimensions"
            " (hollow points: the directions, of a single line)."
            " Vertical: the critical beta, from which collapse is stable."
        )
    if learned_points(comparison):
        caption += " With a learned sigma the count is known at the runs' own betas only: bars."
    drawn = lines(comparison, BETA)
    if len(drawn) > 1:
        caption += APART
    caption += silent(comparison) + grey_lines(drawn)
    yield Plot("active_against_beta", "Active dimensions against beta", caption,
               lambda: plots.active_against_beta(comparison))  # fmt: skip
    pairs = [s for _, settings in comparison.lines(BETA, least=2) for s in settings]
    if any(r.kl_per_dim for s in pairs for r in s.done if number(s.values[BETA]) is not None):
        shown = len(comparison.lines(BETA, least=2)[: plots.PANELS])
        more = len(comparison.lines(BETA)) - shown
        yield Plot(
            "kl_against_beta", "KL per dimension against beta",
            "A column is a beta, a row the dimension of that rank by KL. Colour: in use; grey: "
            "collapsed. A cliff from colour to grey within a column means that the code is pruned "
            "to a few dimensions; a grey column is full collapse."
            + (_OF_MEANS if comparison.repeated else "")
            + (f" Settings without a panel here: {more}." if more > 0 else ""),
            lambda: plots.kl_against_beta(comparison),
        )  # fmt: skip


def _phases(comparison: Comparison) -> Iterator[Plot]:
    from vaecli.reporting.comparison.plots import beta_plots as plots

    others = [k for k in comparison.keys if k != BETA and len(_measured(comparison, k)) > 1]
    if len(_measured(comparison, BETA)) < 2 or not others:
        return
    # The key that spans most of the grid; of the others each combination is a panel.
    cells = {k: sum(len(settings) for _, settings in plots.planes(comparison, k)) for k in others}
    key = max(others, key=lambda k: (cells[k], len(comparison.options(k))))
    if not cells[key]:
        return
    left_out = len(comparison.lines(BETA, key)) - len(plots.planes(comparison, key)[: plots.PANELS])
    caption = (
        "Each cell: the mean number of active dimensions over seeds; grey 0 is full collapse of "
        "every run that finished, × a setting without a finished run, white one that was not run."
    )
    if predictions(comparison):
        caption += (
            " Orange: the predicted boundary. Columns right of it are at or above the critical "
            "beta, where collapse is stable."
        )
    caption += silent(comparison)
    caption += (
        f" Combinations of settings without a panel here: {left_out}." if left_out > 0 else ""
    )
    yield Plot("phase_diagram", f"Phase diagram over beta and {key}", caption,
               lambda: plots.phase_diagram(comparison, key))  # fmt: skip


def _capacity(comparison: Comparison) -> Iterator[Plot]:
    from vaecli.reporting.comparison.plots import capacity_plot as plots

    offered = [z for z in _measured(comparison, LATENT_DIM) if number(z)]
    drawn = comparison.lines(LATENT_DIM, least=2)
    if len(offered) > 1 and drawn:
        yield Plot(
            "active_against_latent_dim", "Dimensions in use against dimensions offered",
            "As long as a curve stays on the dotted line, the model takes what it is given. Where "
            "it turns flat, more dimensions change nothing: that is how many the data fills at "
            "this beta. Units below dimensions: KL is paid in dimensions whose mean does not move."
            + (APART if len(drawn) > 1 else ""),
            lambda: plots.active_against_latent_dim(comparison),
        )  # fmt: skip


def _ranked(comparison: Comparison) -> Iterator[Plot]:
    from vaecli.reporting.comparison.plots import tradeoff_plots as plots

    if not any(key in comparison.keys for key in RANKED_BY):
        return
    rankings = [(w, s) for w, s in comparison.rankings() if _several(s)]
    for place, (where, settings) in enumerate(rankings[:MANY]):
        more = len(settings) - plots.RANKED
        yield Plot(
            f"ranked_{place + 1}", "Strategies ranked" + (f" at {where}" if where else ""),
            "Ordered by validation distortion + beta x rate, lowest first (validation data); the "
            "other panels, on the diagnosis's split, are not what the order is by. A lower loss "
            "and a used code are different goals: a strategy may raise mutual information and the "
            "use of z and still lose a little in the loss, and the best loss may have no code at "
            "all. Bars: means; points: single runs."
            + (f" Settings that are not drawn: {more}." if more > 0 else ""),
            lambda where=where, settings=settings: plots.ranked(where, settings),
        )  # fmt: skip


def _planes(comparison: Comparison) -> Iterator[Plot]:
    from vaecli.reporting.comparison.plots import tradeoff_plots as plots

    groups = comparison.comparable()
    for place, (where, settings) in enumerate(groups[:MANY]):
        split, others = plots.split_of(settings)
        if split is None:
            continue
        where = where if len(groups) > 1 else ""
        left_out = f" Runs left out, measured on another split: {others}." if others else ""
        yield Plot(
            f"rate_distortion_{place + 1}",
            "Rate and distortion" + (f": {where}" if where else ""),
            f"All runs on the {split} split. The black line joins the runs beside which no other "
            "one is as good in both and better in one. Runs on one grey line have the same ELBO, "
            "whether their code is rich (right) or empty (left edge), so the ELBO alone cannot "
            f"show collapse.{left_out}",
            lambda w=where, s=settings: plots.rate_distortion_plane(comparison, s, w),
        )  # fmt: skip


def _training(comparison: Comparison) -> Iterator[Plot]:
    from vaecli.reporting.comparison.plots import training_plots as plots

    found = plots.with_history(comparison)
    if not found:
        return
    left_out = len(comparison.settings) - len(found)
    caption = (
        "One panel a setting, of its run with the lowest seed. A row is a dimension, most used at "
        "the end on top; a row that turns grey dies. One scale of colours for all."
    )
    if left_out:
        caption += f" Settings not drawn, for want of room or of a history: {left_out}."
    yield Plot("kl_over_training", "KL per dimension over training", caption,
               lambda: plots.kl_multiples(found))  # fmt: skip


def _measured(comparison: Comparison, key: str) -> list:
    """The values of a swept key for which some run has a count of active dimensions."""
    if key not in comparison.keys:
        return []
    alive = [s for s in comparison.settings if s.mean("active_dimensions") is not None]
    have = {canonical(s.values[key]) for s in alive}
    return [option for option in comparison.options(key) if canonical(option) in have]


def _several(settings: list[Setting]) -> bool:
    """Whether more than one strategy or schedule is among them."""
    return len({tuple(s.values.get(key) for key in RANKED_BY) for s in settings}) > 1
