"""The figures of a comparison: their order, names, digits and definitions, for every format."""

from __future__ import annotations

from typing import NamedTuple

from vaecli.reporting.comparison.groups import Comparison, Setting, Spread
from vaecli.reporting.comparison.runs import RunRecord

SHORT_STATUS = {
    "HEALTHY": "HEALTHY",
    "PARTIAL COLLAPSE": "PARTIAL",
    "SEVERE COLLAPSE": "SEVERE",
    "FULL COLLAPSE": "FULL",
}


class Column(NamedTuple):
    """One figure: key in the summary, name, short name, digits after the point, definition."""

    key: str
    name: str
    short: str
    digits: int
    meaning: str


COLUMNS = (
    Column(
        "active_dimensions", "Active dims", "active", 0,
        "dimensions whose mean KL is above the threshold (0.01 nats unless diagnosis.threshold "
        "says otherwise)",
    ),
    Column("total_dimensions", "Dims", "of", 0, "latent dimensions that the model has"),
    Column(
        "active_units", "Active units", "units", 0,
        "dimensions whose mean moves with x: Var_x[mu_j] > 0.01 (Burda et al.)",
    ),
    Column(
        "active_directions", "Active directions", "directions", 0,
        "directions of z-space in which the mean moves: eigenvalues of Cov_x[mu] > 0.01. Training "
        "turns them onto dimensions late; theory counts these",
    ),
    Column("rate", "Rate", "rate", 2, "E_x KL(q(z|x) || p(z)): what the code costs"),
    Column("distortion", "Distortion", "distortion", 2,
           "-E log p(x|z): what is still wrong with x given its code"),
    Column("elbo", "ELBO", "elbo", 2, "-(rate + distortion), a lower bound on log p(x), whatever "
           "beta was trained with"),
    Column("nll", "NLL (IW)", "NLL", 2,
           "-log p(x) by importance weighting, an upper bound that is tighter than -ELBO; its K is "
           "diagnosis.importance_samples (20 under diagnosis=quick)"),
    Column("mutual_information", "MI", "MI", 2,
           "information about x that is in z; no more than the rate, and it cannot be seen above "
           "log N of the N examples it was measured on"),
    Column("shuffle_rise", "Use of z", "use", 2,
           "by how much the distortion rises when codes are exchanged between examples: 0 if the "
           "decoder does not read z"),
    Column("gain_over_no_code", "Gain", "gain", 2,
           "ELBO above that of the best model without a code"),
    Column("validation_loss", "Val. loss", "val loss", 2,
           "lowest validation distortion + schedule.beta x rate over training, without any "
           "strategy's floor: what rankings use, on validation data"),
    Column("collapsed_at_step", "Collapsed at", "collapsed at", 0,
           "step at which no dimension had been active for three evaluations"),
    Column("seconds", "Seconds", "seconds", 1,
           "training time; of runs trained in one stack, each one's share"),
    Column("encoder_updates", "Encoder updates", "enc", 0, "optimiser steps of the encoder"),
    Column("decoder_updates", "Decoder updates", "dec", 0, "optimiser steps of the decoder"),
)  # fmt: skip
KNOWN = {column.key: column for column in COLUMNS}
UNIT = (
    "Figures are in nats per example: summed over pixels or tokens, and over latent dimensions, "
    "averaged over examples."
)


def present(comparison: Comparison) -> list[Column]:
    """The columns that some finished run has a figure for."""
    return [c for c in COLUMNS if any(run.figure(c.key) is not None for run in comparison.done)]


def only(comparison: Comparison, key: str) -> float | None:
    """The figure that all finished runs agree in; None if they do not, or one lacks it."""
    found = {run.figure(key) for run in comparison.done}
    return found.pop() if len(found) == 1 else None


def shown(value: float | None, column: Column, *, missing: str = "") -> str:
    """A figure of one run with its column's digits."""
    return missing if value is None else f"{value:z.{column.digits}f}"


def shown_spread(
    found: Spread | None, column: Column, *, of: int = 1, missing: str = "", sign: str = " ± "
) -> str:
    """Mean and standard deviation; "(n of m)" if fewer than the `of` finished runs have it.

    A count that all runs agree in stands alone.
    """
    if found is None:
        return missing
    digits = column.digits
    if digits == 0 and found.deviation:  # a count has no digits, the mean of several has
        digits = 1
    words = f"{found.mean:z.{digits}f}"
    if found.deviation is not None and (found.deviation > 0 or column.digits > 0):
        words += f"{sign}{found.deviation:z.{digits}f}"
    return words if found.n >= of else f"{words} ({found.n} of {of})"


def counted(setting: Setting, *, brief: bool = False) -> str:
    """The statuses of a setting: "HEALTHY 2, PARTIAL COLLAPSE 1", or the one of its only run."""
    names = [(SHORT_STATUS.get(s, s) if brief else s, n) for s, n in setting.statuses]
    if len(setting.runs) == 1:
        return setting.statuses[0][0]
    return ", ".join(f"{name} {count}" for name, count in names)


def why(run: RunRecord) -> str:
    """How a run ended that did not finish."""
    return f"{run.state}: {run.reason}" if run.reason else run.state
