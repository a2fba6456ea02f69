"""Texts of the report: the explanation of collapse, the states, the captions of the plots."""

from __future__ import annotations

from vaecli.core.rundir import RunState
from vaecli.diagnosis.status import Status

COLLAPSE = (
    "A variational autoencoder squeezes each example x through a code z. Training charges for "
    "every nat by which the code's distribution q(z|x) differs from the prior p(z). Posterior "
    "collapse is what happens when paying is not worth it: q(z|x) becomes the prior for every x, "
    "the code carries nothing about the data, and the decoder works without it."
)

STATUSES: dict[str, str] = {
    Status.FULL: "No dimension is active: the code says nothing about x.",
    Status.SEVERE: "Fewer than 10 % of the dimensions are active.",
    Status.PARTIAL: "Fewer than half of the dimensions are active.",
    Status.HEALTHY: "At least half of the dimensions are active.",
}

# Said in the banner; the page of a run that ends well is written while its state is "running".
RUN_STATES: dict[str, str] = {
    RunState.DIVERGED: "This run diverged: the loss stopped being a number. The figures describe "
    "the last good weights, if there are any.",
    RunState.FAILED: "This run failed before its end. The figures describe what it had reached.",
    RunState.INTERRUPTED: "This run was interrupted. The figures describe what it had reached.",
}

CAPTIONS = {
    "use_by_position": "Where in a sequence the code matters. A decoder that is good at going on "
    "from what it has written needs the code least where most is written.",
    "kl_heatmap": "Follow a row from left to right: colour that turns grey is a dimension dying. "
    "If many die together as beta rises, the warm-up or the target beta is the place to act.",
    "active_over_training": "The same history as a count. Two lines that part mean KL paid for "
    "nothing: active dimensions above active units is the mark of a floor on the KL (free bits, "
    "delta-VAE) that the decoder does not use.",
    "rate_distortion": "Dashed lines join points of equal ELBO: two models on one line are equally "
    "good by that measure, although one may have a rich code and the other none. That is why the "
    "ELBO alone cannot show collapse.",
    "kl_per_dim": "The end of training. A cliff between a few tall bars and many grey ones means "
    "that the objective pruned the code; all grey is full collapse.",
    "latent_variance": "For a collapsed dimension the encoder answers mean 0 and variance 1 for "
    "every x: no blue, grey up to the dashed line. The more precise the code, the more of the bar "
    "is blue.",
    "latent_use": "KL above, use below, on one scale. The KL says what the encoder writes, the "
    "rise what the decoder reads. Green: what it costs to replace the whole code. Zero is often "
    "cheapest: the decoder answers it with something like the average of the data.",
    "rate_split": "Two models with one rate can differ in all of this. A floor on the KL sees only "
    "the length of the bar, not its colours.",
    "aggregate_posterior": "Draws from the prior decode well only where codes lie: bars that leave "
    "the dashed curve are codes the decoder never sees in sampling, or gaps that sampling hits. "
    "The orange curves are stretched to one height.",
    "collapse_curve": "The mean KL of a dimension can hide that few inputs use it, or that all use "
    "it a little. Here a dimension counts as collapsed only if nearly no input uses it.",
    "tsne": "Neighbours in the map have similar codes. The labels were not used in training. "
    "The map has no scale: means that differ by a thousandth of the posterior's noise can still "
    "form clusters, although no decoder could read them. Trust the KL.",
    "reconstructions": "The simplest test: does what comes out depend on what goes in?",
    "samples": "What the model makes up. Good samples are no proof of a live code: a strong "
    "decoder can do without one.",
    "traversals": "One dimension is moved, all others are held. The label gives its KL: a row "
    "with a small KL should stay the same picture.",
}
