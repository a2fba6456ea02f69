"""The catalogue of figures: everything that is said of a figure, in one entry.

report.html, the comparison, the console's table, TensorBoard, summary.json and docs/diagnosis.md
read it; the functions that measure lie in `evaluation/measures.py` and in the modules of this room.
A figure without an entry is shown in the report under its own key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

DEFAULT_THRESHOLD = 0.01  # nats, of an active dimension
ALWAYS = 100  # rank of a figure that the console never drops


# Places beside the report: a tile at its top; a curve, or a final figure, of TensorBoard; LaTeX.
Place = Literal["tile", "curve", "final", "latex"]


@dataclass(frozen=True)
class Figure:
    """One figure, as every page names and explains it."""

    path: str  # where it lies in diagnosis.json, parts joined by "."; "" if only in summary.json
    title: str
    meaning: str = ""
    unit: str = ""  # nats, or "" for counts and shares
    better: str = ""  # "higher" or "lower"
    source: str = ""  # estimator, or the paper
    # What follows is empty for a figure of one run's report only.
    key: str = ""  # its name in summary.json, in the comparison and in TensorBoard
    short: str = ""  # column of the comparison on the console; "" for none
    heading: str = ""  # column on the comparison's page; the title if it is empty
    digits: int = 2  # behind the point, in the comparison
    sign: int = 1  # -1: the comparison shows the negative
    rank: int = 0  # a console that is too narrow drops the lowest rank first
    if_constant: bool = True  # the console shows it even if all runs agree
    shown_in: tuple[Place, ...] = ()

    @property
    def place(self) -> tuple[str, ...]:
        """The path in diagnosis.json as keys; () if it lies in summary.json only."""
        return tuple(self.path.split(".")) if self.path else ()

    @property
    def name(self) -> str:
        """The key, or the path of a figure that has none."""
        return self.key or self.path

    @property
    def column(self) -> str:
        """The heading of its column on the comparison's page."""
        return self.heading or self.title

    @property
    def explanation(self) -> str:
        """Meaning, unit and source, as far as there are any."""
        words = [self.meaning] + ([f"{self.better} is better"] if self.better else [])
        text = "; ".join(filter(None, words)) + (f" [{self.unit}]" if self.unit else "")
        return f"{text} ({self.source})" if self.source else text


def _nats(path: str, title: str, meaning: str, **more: Any) -> Figure:
    return Figure(path, title, meaning, unit="nats", **more)


# In the order in which the report and the comparison show them.
FIGURES: tuple[Figure, ...] = (
    Figure(
        "active_dimensions",
        "Active dimensions",
        "dimensions whose mean KL is above the threshold (0.01 nats unless diagnosis.threshold "
        "says otherwise)",
        key="active_dimensions",
        short="active",
        heading="Active dims",
        digits=0,
        rank=ALWAYS,
        shown_in=("tile", "final", "latex"),
    ),
    Figure(
        "total_dimensions",
        "Latent dimensions",
        "latent dimensions of the model",
        key="total_dimensions",
        short="of",
        heading="Dims",
        digits=0,
        rank=11,
        if_constant=False,
        shown_in=("latex",),
    ),
    Figure(
        "active_units",
        "Active units",
        "dimensions whose mean moves with x: Var_x[mu_j] > 0.01",
        source="Burda et al. 2016",
        key="active_units",
        short="units",
        digits=0,
        rank=10,
        shown_in=("tile", "final", "latex"),
    ),
    Figure(
        "active_directions",
        "Active directions",
        "directions of z-space in which the mean moves: eigenvalues of Cov_x[mu] > 0.01. Training "
        "turns them onto dimensions late; theory counts these",
        key="active_directions",
        short="directions",
        digits=0,
        rank=3,
        shown_in=("latex",),
    ),
    Figure(
        "utilization",
        "Utilisation",
        "active dimensions as a share of all",
        shown_in=("final",),
    ),
    _nats(
        "rate",
        "Rate",
        "E_x KL(q(z|x) || p(z)): KL between posterior and prior; 0 in full collapse",
        key="rate",
        short="rate",
        rank=ALWAYS,
        shown_in=("tile", "curve", "final", "latex"),
    ),
    _nats(
        "distortion",
        "Distortion",
        "-E log p(x|z): reconstruction loss",
        better="lower",
        key="distortion",
        short="distortion",
        rank=ALWAYS,
        shown_in=("tile", "curve", "final", "latex"),
    ),
    _nats(
        "elbo",
        "ELBO",
        "-(rate + distortion): a lower bound on log p(x), whatever beta was trained with",
        better="higher",
        key="elbo",
        short="elbo",
        rank=5,
        shown_in=("tile", "curve", "final", "latex"),
    ),
    _nats("total_kl", "Total KL", "the KL summed over all dimensions", shown_in=("final",)),
    Figure(
        "mu_variance",
        "Variance of mu",
        "mean over dimensions of Var_x[mu_j]; 0: the encoder ignores x, near 1: it uses its range",
        key="mu_variance",
        shown_in=("curve", "final"),
    ),
    Figure(
        "mean_logvar",
        "Mean log-variance",
        "mean of log sigma_j(x)^2; 0: as wide as the prior, negative: a precise code",
        key="mean_logvar",
        shown_in=("curve", "final"),
    ),
    _nats(
        "mean_offset_kl",
        "KL of the average mean",
        "the part of the rate that is the same for every x: under N(0, I) 1/2 sum_j (E_x mu_j)^2",
    ),
    _nats("threshold", "Threshold", "KL above which a dimension counts as active"),
    _nats(
        "likelihood.importance_weighted",
        "log p(x), lower bound",
        "importance-weighted bound: at least the ELBO, rises with K",
        better="higher",
        source="Burda et al. 2016",
        key="log_px",
        shown_in=("final",),
    ),
    _nats(
        "likelihood.importance_weighted",
        "NLL (IW)",
        "-log p(x) by importance weighting, an upper bound that is tighter than -ELBO; its K is "
        "diagnosis.importance_samples (20 under diagnosis=quick)",
        better="lower",
        key="nll",
        short="NLL",
        sign=-1,
        rank=9,
        shown_in=("latex",),
    ),
    _nats(
        "information.mutual_information",
        "Mutual information",
        "I(x; z) under q: information about x that is in z. It is no more than the rate, and an "
        "estimate cannot exceed log N of its N examples",
        key="mutual_information",
        short="MI",
        heading="MI",
        rank=ALWAYS,
        shown_in=("curve", "final", "latex"),
    ),
    _nats(
        "latent_use.shuffled",
        "Another example's code",
        "rise of the distortion when codes are exchanged between examples; near 0: the decoder "
        "does not use z",
        key="shuffle_rise",
        short="use",
        heading="Use of z",
        rank=8,
        shown_in=("final", "latex"),
    ),
    _nats(
        "baseline.gain",
        "Gain",
        "ELBO above that of the best model without a code; below 0 the code costs more than it is "
        "worth",
        better="higher",
        key="gain_over_no_code",
        short="gain",
        rank=1,
    ),
    _nats(
        "",
        "Val. loss",
        "lowest validation distortion + schedule.beta x rate over training, without any "
        "strategy's floor: what rankings use",
        better="lower",
        key="validation_loss",
        short="val loss",
        rank=ALWAYS,
        shown_in=("latex",),
    ),
    Figure(
        "",
        "Collapsed at",
        "step at which no dimension had been active for three evaluations",
        key="collapsed_at_step",
        short="collapsed at",
        digits=0,
        rank=2,
        if_constant=False,
    ),
    Figure(
        "",
        "Seconds",
        "training time; of runs trained in one stack, each one's share",
        key="seconds",
        short="seconds",
        digits=1,
        rank=4,
        shown_in=("latex",),
    ),
    Figure(
        "",
        "Encoder updates",
        "optimiser steps of the encoder",
        key="encoder_updates",
        short="enc",
        digits=0,
        rank=7,
        if_constant=False,
        shown_in=("latex",),
    ),
    Figure(
        "",
        "Decoder updates",
        "optimiser steps of the decoder",
        key="decoder_updates",
        short="dec",
        digits=0,
        rank=6,
        if_constant=False,
        shown_in=("latex",),
    ),
    _nats(
        "information.own_included",
        "Lower bound",
        "q(z) with each code's own example in it: at most log N",
    ),
    _nats("information.leave_one_out", "Upper bound", "q(z) with each code's own example left out"),
    _nats("information.ceiling", "Ceiling", "log N: no estimate from N examples can exceed it"),
    Figure(
        "information.saturated",
        "Saturated",
        "yes: too near the ceiling, or the bounds too far apart, to be more than a lower bound",
    ),
    _nats(
        "information.minibatch",
        "Minibatch estimate",
        "as in He et al. 2019: for comparison with published figures only",
    ),
    _nats(
        "information.minibatch_ceiling",
        "Ceiling of the minibatch estimate",
        "log of the batch size",
    ),
    _nats(
        "information.aggregate_kl",
        "KL of all codes together",
        "KL(q(z) || p(z)): rate less mutual information; 0 where the codes fill the prior",
    ),
    _nats(
        "information.rate_split.mutual_information",
        "Mutual information",
        "the part of the rate that tells examples apart",
    ),
    _nats(
        "information.rate_split.total_correlation",
        "Total correlation",
        "how much the dimensions of the code depend on each other",
    ),
    _nats(
        "information.rate_split.marginal_kl",
        "Marginal KLs",
        "sum over dimensions of KL(q(z_j) || p(z_j))",
    ),
    _nats(
        "information.rate_split.residual",
        "Residual",
        "the three parts less the rate in closed form: error of one sampled code per example",
    ),
    _nats(
        "latent_use.prior",
        "A draw from the prior",
        "rise of distortion when the code is drawn from p(z)",
    ),
    _nats("latent_use.zeroed", "Zero", "rise of distortion when the code is replaced by 0"),
    _nats(
        "baseline.no_code",
        "Distortion without a code",
        "the best that was found with no code at all",
    ),
    Figure("likelihood.importance_samples", "Samples K", "codes drawn for each example"),
    Figure(
        "likelihood.effective_sample_size",
        "Effective sample size",
        "how many of the K samples count: between 1 and K",
    ),
    _nats(
        "likelihood.gain_over_elbo",
        "Gain over the ELBO",
        "bound - ELBO: a part of the gap KL(q(z|x) || p(z|x))",
    ),
    Figure(
        "sequences.tokens_per_sequence", "Tokens in a sequence", "its end among them, padding not"
    ),
    Figure(
        "sequences.cut", "Cut sequences", "share of them that lost their end to data.max_length"
    ),
    Figure("sequences.unknown", "Unknown tokens", "share of tokens that are not in the vocabulary"),
    _nats(
        "sequences.above_source",
        "Above the source",
        "distortion + rate less the sequences' own -log p(x): at least the divergence of "
        "the model from the source they were drawn from; never below 0 on average",
    ),
    Figure(
        "sequences.perplexity_source",
        "Perplexity of the source",
        "of the sequences under what they were drawn from: no model does better on average",
    ),
    Figure(
        "sequences.perplexity_same_sequences",
        "Perplexity per token, of those",
        "as above, but of the sequences of the importance-weighted one alone",
    ),
    Figure(
        "sequences.perplexity",
        "Perplexity per token",
        "exp of (distortion + rate) / tokens: at least that of the model",
        better="lower",
    ),
    Figure(
        "sequences.perplexity_importance_weighted",
        "Perplexity, importance-weighted",
        "from the bound on log p(x): nearer to the model's own",
    ),
    Figure(
        "sequences.perplexity_no_code",
        "Perplexity without a code",
        "of the decoder as a language model alone",
    ),
    _nats(
        "inference.gain",
        "ELBO gained",
        "by gradient steps on q(z|x) of single examples, the model fixed: how far the "
        "encoder lags behind",
    ),
    _nats("inference.refined_rate", "Rate after the steps", "E_x KL(q(z|x) || p(z))"),
    Figure("inference.steps", "Steps", "gradient steps on each posterior"),
    Figure("pruning.dead_units", "Dead units", "dimensions with Var_x[mu_j] at most 0.01"),
    _nats("pruning.elbo", "ELBO without them", "dead units drawn from the prior, at no KL"),
    _nats("pruning.change", "Change", "ELBO without the dead units - ELBO"),
    _nats(
        "pruning.importance_weighted",
        "log p(x) without them, lower bound",
        "the importance-weighted bound with dead units drawn from the prior",
    ),
    Figure(
        "latent_space.knn", "Nearest neighbours", "share of classes found from the nearest codes"
    ),
    Figure(
        "latent_space.knn_shuffled_labels",
        "Nearest neighbours, shuffled labels",
        "the same with shuffled labels: what guessing reaches",
    ),
    Figure("latent_space.linear_probe", "Linear probe", "share of classes found by a linear rule"),
    Figure(
        "latent_space.linear_probe_shuffled_labels",
        "Linear probe, shuffled labels",
        "the same with shuffled labels: what guessing reaches",
    ),
    Figure("collapse_curve.delta", "Delta", "share of the inputs that may stay outside"),
    Figure(
        "collapse_curve.collapsed_at_threshold",
        "Collapsed dimensions",
        "share of dimensions that are (threshold, delta)-collapsed; the picture has every epsilon",
    ),
    Figure(
        "prediction.critical_beta",
        "Critical beta",
        "largest eigenvalue of the whitened score's covariance: at and above it collapse is stable",
    ),
    Figure("prediction.beta", "Beta", "the run's target weight of the KL"),
    Figure(
        "prediction.unstable_directions",
        "Directions that can leave collapse",
        "eigenvalues above beta",
    ),
    Figure(
        "prediction.expected_active",
        "Expected",
        "dimensions that can be in use: no more than the model has",
    ),
    Figure(
        "prediction.measured_directions",
        "Measured",
        "directions of z-space in which the posterior mean moves",
    ),
    Figure(
        "prediction.measured_active", "In dimensions", "active ones, over which they are spread"
    ),
    Figure("prediction.agrees", "Agrees", "within a quarter, or one"),
    Figure("kl_per_dim", "KL, nats", "mean over examples of KL(q(z_j|x) || p(z_j))"),
    Figure("mu_variance_per_dim", "Var[mu_j]", "variance of the posterior mean over examples"),
    _nats(
        "information.marginal_kl_per_dim",
        "Marginal KL",
        "KL(q(z_j) || p(z_j)) of all codes together; estimates of 0 may fall below it",
    ),
    _nats(
        "latent_use.rise_per_dim",
        "Rise when shuffled",
        "rise of distortion when only this dimension comes from another example",
    ),
    Figure(
        "collapse_curve.epsilon_per_dim",
        "Collapsed from",
        "epsilon, nats, below which its KL lies for 99 % of the examples",
    ),
)

# Heading of each group of diagnosis.json, in the order of the report.
GROUPS = {
    "information": "How much information is in the code?",
    "latent_use": "Does the decoder use the code?",
    "baseline": "What is the code worth?",
    "likelihood": "How well does the model explain the data?",
    "sequences": "How well is each token foretold?",
    "inference": "Does the encoder lag behind?",
    "pruning": "Are the dead dimensions dead?",
    "latent_space": "Is the class in the code?",
    "collapse_curve": "How much of the code is how close to the prior?",
    "prediction": "Was it to be expected?",
    "theory": "Theory beside measurement",
}

# Rows of the group `theory` that no figure of the catalogue is named like.
THEORY = {
    "objective": "Objective: distortion + beta x rate",
    "kl_per_dim": "KL_j",
    "kl_per_dim_sum": "KL_j, summed",
    "mu_variance": "Var_x[mu_j]",
    "mu_variance_sum": "Var_x[mu_j], summed",
    "mutual_information": "Mutual information",
    "log_px_importance_weighted": "log p(x), importance-weighted bound",
    "log_px_exact": "log p(x), exact, of the trained weights",
    "sigma2": "Variance of the likelihood, sigma^2",
}


def by_path(path: str) -> Figure | None:
    """The entry of the figure at `path` of diagnosis.json; None if it has none."""
    return next((figure for figure in FIGURES if path and figure.path == path), None)


def by_key(key: str) -> Figure | None:
    """The entry of the figure whose key is `key`; None if there is none."""
    return next((figure for figure in FIGURES if key and figure.key == key), None)


def compared() -> tuple[Figure, ...]:
    """The columns of a comparison, in order."""
    return tuple(figure for figure in FIGURES if figure.short)


def summarised() -> tuple[Figure, ...]:
    """The figures that summary.json repeats from diagnosis.json."""
    return tuple(figure for figure in FIGURES if figure.key and figure.path and figure.sign > 0)


def shown_in(where: Place) -> tuple[Figure, ...]:
    """The figures whose entry names `where`: tile, curve, final or latex."""
    return tuple(figure for figure in FIGURES if where in figure.shown_in)
