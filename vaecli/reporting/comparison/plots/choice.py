"""The plots of a comparison: chosen by the keys that were swept, each with a caption."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from vaecli.reporting.comparison.groups import BETA, LATENT_DIM, Comparison, Setting
from vaecli.reporting.comparison.plots import beta_plots as beta
from vaecli.reporting.comparison.plots import capacity_plot, kl_panels, parts
from vaecli.reporting.comparison.plots import tradeoff_plots as tradeoff
from vaecli.reporting.comparison.predicted import missing_note, predictions
from vaecli.reporting.comparison.swept import as_number
from vaecli.reporting.plots import look

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RANKED_BY = ("strategy", "schedule")  # the ways to keep a code alive
MANY = 4  # planes and rankings
APART = " Lines are shifted a little to the side, so that none hides another."
_OF_MEANS = (
    " Where a setting has several seeds, the mean of each rank is drawn: grey then says that this "
    "mean is below the threshold, though one seed may still use a dimension, and colour that it is "
    "above, though one may have collapsed."
)


class Plot(NamedTuple):
    """One plot of a comparison."""

    name: str  # unique, for links
    title: str
    caption: str  # how to read it
    draw: Callable[[], Figure]

    def png(self) -> str:
        """The drawing as base64 of a PNG."""
        out = io.BytesIO()
        with warnings.catch_warnings():
            # A character that the font lacks is drawn as a box.
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            look.write_png(self.draw(), out)
        return base64.b64encode(out.getvalue()).decode("ascii")


def choose(comparison: Comparison) -> list[Plot]:
    """The plots that fit the swept keys; none without a finished run."""
    makers = (_over_beta, _phases, _capacity, _rankings, _planes, _training)
    return [plot for maker in makers for plot in maker(comparison)]


def _over_beta(comparison: Comparison) -> Iterator[Plot]:
    if len(_measured(comparison, BETA)) < 2:
        return
    curves, lines = predictions(comparison), parts.lines(comparison, BETA)
    caption = _join(
        "Follow a line to the right: where it reaches 0, the price of a nat of code is more "
        "than the code is worth.",
        curves
        and " Dashed: min(latent dimensions, directions of the data that can leave collapse at "
        "this beta), from the spectrum of the data alone. It counts directions and is local: "
        "training need not have gone so far, or may hold one direction in several dimensions"
        " (hollow points: the directions, of a single line)."
        " Vertical: the critical beta, from which collapse is stable.",
        any(curve.at_betas is not None for curve in curves)
        and " With a learned sigma the count is known at the runs' own betas only: bars.",
        len(lines) > 1 and APART,
        missing_note(comparison),
        parts.grey_lines_note(lines),
    )
    draw = partial(beta.active_against_beta, comparison)
    yield Plot("active_against_beta", "Active dimensions against beta", caption, draw)

    several = comparison.lines(BETA, least=2)
    settings = [s for _, line in several for s in line if as_number(s.values[BETA]) is not None]
    if any(run.kl_per_dim for setting in settings for run in setting.done):
        more = len(comparison.lines(BETA)) - len(several[: beta.PANELS])
        caption = _join(
            "A column is a beta, a row the dimension of that rank by KL. Colour: in use; grey: "
            "collapsed. A cliff from colour to grey within a column means that the code is pruned "
            "to a few dimensions; a grey column is full collapse.",
            comparison.repeated and _OF_MEANS,
            more > 0 and f" Settings without a panel here: {more}.",
        )
        draw = partial(beta.kl_against_beta, comparison)
        yield Plot("kl_against_beta", "KL per dimension against beta", caption, draw)


def _phases(comparison: Comparison) -> Iterator[Plot]:
    others = [k for k in comparison.keys if k != BETA and len(_measured(comparison, k)) > 1]
    if len(_measured(comparison, BETA)) < 2 or not others:
        return
    # The key that spans most of the grid; of the others each combination is a panel.
    cells = {k: sum(len(settings) for _, settings in beta.planes(comparison, k)) for k in others}
    key = max(others, key=lambda k: (cells[k], len(comparison.options(k))))
    if not cells[key]:
        return
    more = len(comparison.lines(BETA, key)) - len(beta.planes(comparison, key)[: beta.PANELS])
    caption = _join(
        "Each cell: the mean number of active dimensions over seeds; grey 0 is full collapse of "
        "every run that finished, × a setting without a finished run, white one that was not run.",
        predictions(comparison)
        and " Orange: the predicted boundary. Columns right of it are at or above the critical "
        "beta, where collapse is stable.",
        missing_note(comparison),
        more > 0 and f" Combinations of settings without a panel here: {more}.",
    )
    draw = partial(beta.phase_diagram, comparison, key)
    yield Plot("phase_diagram", f"Phase diagram over beta and {key}", caption, draw)


def _capacity(comparison: Comparison) -> Iterator[Plot]:
    lines = comparison.lines(LATENT_DIM, least=2)
    if lines and len([z for z in _measured(comparison, LATENT_DIM) if as_number(z)]) > 1:
        caption = _join(
            "As long as a curve stays on the dotted line, the model takes what it is given. Where "
            "it turns flat, more dimensions change nothing: that is how many the data fills at "
            "this beta. Units below dimensions: KL is paid in dimensions whose mean does not move.",
            len(lines) > 1 and APART,
        )
        title = "Dimensions in use against dimensions offered"
        draw = partial(capacity_plot.active_against_latent_dim, comparison)
        yield Plot("active_against_latent_dim", title, caption, draw)


def _rankings(comparison: Comparison) -> Iterator[Plot]:
    if not any(key in comparison.keys for key in RANKED_BY):
        return
    rankings = [(w, s) for w, s in comparison.rankings() if _several(s)]
    for place, (where, settings) in enumerate(rankings[:MANY], 1):
        more = len(settings) - tradeoff.RANKED
        caption = _join(
            "Ordered by validation distortion + beta x rate, lowest first (validation data); the "
            "other panels, on the diagnosis's split, are not what the order is by. A lower loss "
            "and a used code are different goals: a strategy may raise mutual information and the "
            "use of z and still lose a little in the loss, and the best loss may have no code at "
            "all. Bars: means; points: single runs.",
            more > 0 and f" Settings that are not drawn: {more}.",
        )
        title = "Strategies ranked" + (f" at {where}" if where else "")
        yield Plot(f"ranked_{place}", title, caption, partial(tradeoff.ranked, where, settings))


def _planes(comparison: Comparison) -> Iterator[Plot]:
    groups = comparison.comparable()
    for place, (where, settings) in enumerate(groups[:MANY], 1):
        split, others = tradeoff.split_of(settings)
        if split is None:
            continue
        where = where if len(groups) > 1 else ""
        caption = _join(
            f"All runs on the {split} split. The black line joins the runs beside which no other "
            "one is as good in both and better in one. Runs on one grey line have the same ELBO, "
            "whether their code is rich (right) or empty (left edge), so the ELBO alone cannot "
            "show collapse.",
            others and f" Runs left out, measured on another split: {others}.",
        )
        title = "Rate and distortion" + (f": {where}" if where else "")
        draw = partial(tradeoff.rate_distortion_plane, comparison, settings, where)
        yield Plot(f"rate_distortion_{place}", title, caption, draw)


def _training(comparison: Comparison) -> Iterator[Plot]:
    histories = kl_panels.kl_histories(comparison)
    if histories:
        more = len(comparison.settings) - len(histories)
        caption = _join(
            "One panel a setting, of its run with the lowest seed. A row is a dimension, most used "
            "at the end on top; a row that turns grey dies. One scale of colours for all.",
            more and f" Settings not drawn, for want of room or of a history: {more}.",
        )
        draw = partial(kl_panels.kl_multiples, histories)
        yield Plot("kl_over_training", "KL per dimension over training", caption, draw)


def _join(*sentences: Any) -> str:
    """The sentences that apply: the others are empty, or whatever else is false."""
    return "".join(sentence for sentence in sentences if sentence)


def _measured(comparison: Comparison, key: str) -> list[Any]:
    """The values of a swept key for which some run has a count of active dimensions."""
    if key not in comparison.keys:
        return []
    settings = [s for s in comparison.settings if s.mean("active_dimensions") is not None]
    return beta.options_of(comparison, key, settings)


def _several(settings: list[Setting]) -> bool:
    """True if the settings have more than one strategy or schedule."""
    return len({tuple(s.values.get(key) for key in RANKED_BY) for s in settings}) > 1
