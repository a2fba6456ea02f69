"""Judgement of a diagnosis: the status, the warnings, and what to try next."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import NamedTuple

from vaecli.diagnosis import sentences
from vaecli.diagnosis.reading import error, value
from vaecli.diagnosis.status import Status
from vaecli.evaluation.measures import VARIANCE_THRESHOLD

# Below this rate (nats) there is hardly a code to speak of, used or not.
LITTLE_RATE = 0.1
# Many dimensions can each pass the threshold of 0.01 nats and still add up to less than log 2, one
# binary distinction.
HARDLY_A_CODE = 0.69
LAG = 0.5  # nats of ELBO that gradient steps on a posterior gain next to a collapsed encoder
# Pruning dead units may cost so many nats of ELBO, or this share of what the code gains.
DEAD_INDEED, DEAD_SHARE = 0.1, 0.01
FEW_EXAMPLES = 10
WORTH = 1.0  # nats that a code must gain over the best model without one to be a good one
# A run is young if its last quarter brought so many nats of the validation loss, and this share of
# all by which it fell.
LATE, LATE_SHARE = 0.1, 0.05


class Finding(NamedTuple):
    """A pattern in the figures that a single one of them would hide."""

    pattern: str
    evidence: str  # a sentence or two with the figures
    disease: bool  # something to mend; else how to read a figure


def findings(diagnosis: dict, *, beta: float | None = None) -> list[Finding]:
    """All patterns that `diagnosis` shows; groups that it lacks raise none.

    beta: the weight of the KL in training, where that is known.
    """
    tested = [(name, evidence(diagnosis, beta), disease) for name, evidence, disease in PATTERNS]
    return [Finding(name, text, disease) for name, text, disease in tested if text is not None]


def verdict(diagnosis: dict, *, beta: float | None = None) -> list[str]:
    """A sentence on each finding, for a reader who is new to collapse."""
    active, total = diagnosis["active_dimensions"], diagnosis["total_dimensions"]
    lines = [
        {
            Status.FULL: "No latent dimension differs from the prior: q(z|x) is the same for "
            "every x, and the decoder models the data without a code.",
            Status.SEVERE: f"Only {active} of {total} latent dimensions carry anything; the "
            "others equal the prior for every x.",
            Status.PARTIAL: f"{active} of {total} latent dimensions are in use; more than half "
            "equal the prior for every x.",
            Status.HEALTHY: f"{active} of {total} latent dimensions are in use.",
        }[diagnosis["status"]]
    ]
    if diagnosis["status"] == Status.PARTIAL and PRUNING not in diagnosis.get("patterns", []):
        lines.append(
            "That need not be a fault: a VAE prunes dimensions it has no use for. It is one if the "
            "distortion is worse than that of a model with a higher rate."
        )
    rise = value(diagnosis, "latent_use", "shuffled")
    if rise is not None:
        holds = _surely_in_code(diagnosis)
        if holds > LITTLE_RATE and rise >= 0.5 * holds * min(1.0, beta or 1.0):
            use = "The decoder uses z"
        elif holds <= LITTLE_RATE < rise:
            use = "z holds little, and the decoder reads it"
        else:
            use = "The decoder hardly uses z"
        lines.append(
            f"{use}: with another example's code the distortion changes by "
            f"{rise:+z.2f} nats (rate: {diagnosis['rate']:z.2f} nats)."
        )
    lines += sentences.baseline(diagnosis)
    return lines


def unfinished(diagnosis: dict, history: list[dict]) -> str | None:
    """A note if what looks like a fault may be the mark of a run that ended while it got better.

    history: the rows of metrics.jsonl, whose loss is that of the target beta throughout.
    """
    loses = (value(diagnosis, "baseline", "gain") or 0.0) < 0
    rows = [row for row in history if isinstance(row.get("loss"), int | float)]  # of anyone's file
    early = [row for row in rows[:-1] if row["step"] <= 0.75 * rows[-1]["step"]]
    if not early or (diagnosis["status"] == Status.HEALTHY and not loses):
        return None
    before, end = early[-1], rows[-1]
    fell, late = early[0]["loss"] - end["loss"], before["loss"] - end["loss"]
    if late <= max(LATE, LATE_SHARE * fell):
        return None
    return (
        f"training ended while it still got better: of the {fell:z.2f} nats by which the "
        f"validation loss fell, {late:z.2f} came after update {before['step']:,} of "
        f"{end['step']:,}. A code often comes late, so this may be a young model and no collapsed "
        "one; a decoder that was trained on without a code, for comparison, is ahead of it."
    )


def next_commands(
    diagnosis: dict, overrides: list[str], *, beta: float, in_use: set[str]
) -> list[tuple[str, str]]:
    """Commands to try next: (command, reason) pairs that change one thing of this run.

    beta: the run's target. in_use: overrides not to propose: its own choices, e.g.
    {"decoder=large"}, and what its model does not have.
    """
    patterns = set(diagnosis.get("patterns", []))
    diseases = {pattern for pattern, _, disease in PATTERNS if disease} & patterns
    if (diagnosis["status"] == Status.HEALTHY or PRUNING in patterns) and not diseases:
        tries = [
            (f"schedule.beta={10 * beta or 1:g}", "press on the code and see what survives"),
            ("decoder=large", "a stronger decoder needs z less"),
        ]
    else:
        tries = [
            ("strategy=free_bits", "a part of the KL costs nothing, so no dimension has to die"),
            ("schedule=cyclical", "let the encoder learn before the KL presses, repeatedly"),
            ("decoder=small", "a decoder that cannot do without z"),
            ("strategy=aggressive", "train the encoder to its optimum before each decoder step"),
        ]
        if LAGGING in diseases:
            tries.insert(0, tries.pop())
        if diseases & {CONSTANT, EMPTY}:
            tries.insert(0, ("strategy=none", "without a floor the KL must earn its price"))
        critical = diagnosis.get("prediction", {}).get("critical_beta")
        if critical and beta >= critical:
            why = f"theory: from beta {critical:.3g} on no direction of this data leaves collapse"
            tries.insert(0, (f"schedule.beta={critical / 4:.2g}", why))
        elif beta > 1:
            tries.insert(0, ("schedule.beta=1", "beta above 1 pays for collapse"))
    return [(_command(overrides, t), why) for t, why in tries if t not in in_use][:3]


# ---------------------------------------------------------------------- the patterns

Evidence = Callable[[dict, float | None], str | None]
CONSTANT, EMPTY = "KL bought by a constant mean", "rate without information"
IGNORED = "decoder ignores z"
LAGGING, PRUNING = "inference lag", "healthy pruning"


def _constant_mean(diagnosis: dict, beta: float | None) -> str | None:
    rate, offset = diagnosis["rate"], diagnosis["mean_offset_kl"]
    if rate <= LITTLE_RATE or offset <= 0.5 * rate:
        return None
    return (
        f"{offset:z.2f} of {rate:z.2f} nats of KL are the distance of the average mean from zero, "
        "which is the same for every input and tells nothing about any."
    )


def _rate_without_information(diagnosis: dict, beta: float | None) -> str | None:
    rate, above = diagnosis["rate"], value(diagnosis, "information", "leave_one_out")
    if above is None or rate <= LITTLE_RATE:
        return None
    most = max(above, 0.0) + _twice_error(diagnosis, "information", "leave_one_out")
    if most >= 0.5 * rate:
        return None
    return (
        f"KL is {rate:z.2f} nats, yet the code holds at most {most:z.2f} nats about x (upper bound "
        "of the mutual information, with two standard errors). The rest is the distance of the "
        "aggregate posterior from the prior. Rate is not information."
    )


def _unused(diagnosis: dict, beta: float | None) -> str | None:
    # At the optimum of a linear model rise_j = beta (l/theta - 1) >= 2 beta MI_j: below beta 1 the
    # decoder may make full use of z at a smaller rise.
    rise, holds = value(diagnosis, "latent_use", "shuffled"), _surely_in_code(diagnosis)
    if rise is None or holds <= LITTLE_RATE or rise >= 0.5 * holds * min(1.0, beta or 1.0):
        return None
    return (
        f"the code holds {holds:z.2f} nats about x, but giving each example another one's code "
        f"raises the distortion by only {rise:z.2f} nats: the decoder ignores most of it."
    )


def _surely_in_code(diagnosis: dict) -> float:
    """Nats that the code surely holds about x; the rate, where that was not measured."""
    below = value(diagnosis, "information", "own_included")
    if below is None:
        return diagnosis["rate"]
    return below - _twice_error(diagnosis, "information", "own_included")


def _twice_error(diagnosis: dict, *path: str) -> float:
    return 2 * (error(diagnosis, *path) or 0.0)


def _few_nats(diagnosis: dict, beta: float | None) -> str | None:
    if diagnosis["status"] != Status.HEALTHY or diagnosis["rate"] >= HARDLY_A_CODE:
        return None
    gain = value(diagnosis, "baseline", "gain")
    if gain is not None and gain > _twice_error(diagnosis, "baseline", "gain"):
        return None  # little, but worth having
    return (
        f"all dimensions together carry {diagnosis['rate']:z.2f} nats, too little to tell examples "
        "apart."
    )


def _never_moves(diagnosis: dict, beta: float | None) -> str | None:
    spread = diagnosis.get("mu_variance_per_dim")
    few = diagnosis["examples"] < FEW_EXAMPLES  # a variance over them says nothing
    if spread is None or few or diagnosis["rate"] <= LITTLE_RATE:
        return None
    pairs = zip(diagnosis["kl_per_dim"], spread, strict=True)
    still = sum(kl > diagnosis["threshold"] and var <= VARIANCE_THRESHOLD for kl, var in pairs)
    if still <= 0.25 * diagnosis["total_dimensions"]:
        return None
    return (
        f"{still} of {diagnosis['active_dimensions']} dimensions with KL above the threshold have "
        "a mean that is the same for every input."
    )


def _lag(diagnosis: dict, beta: float | None) -> str | None:
    gain = value(diagnosis, "inference", "gain")
    collapsed = diagnosis["status"] in (Status.FULL, Status.SEVERE)
    if gain is None or not (collapsed or diagnosis["rate"] < LITTLE_RATE):
        return None
    if gain - _twice_error(diagnosis, "inference", "gain") <= LAG:
        return None
    return (
        "the encoder has collapsed, the model has not. "
        f"{sentences.refined_elbo(diagnosis)} {sentences.refined_rate(diagnosis)}"
    )


def _saturated(diagnosis: dict, beta: float | None) -> str | None:
    return " ".join(sentences.information(diagnosis)) if sentences.is_saturated(diagnosis) else None


def _pruning(diagnosis: dict, beta: float | None) -> str | None:
    change, gain = value(diagnosis, "pruning", "change"), value(diagnosis, "baseline", "gain")
    if diagnosis["status"] not in (Status.PARTIAL, Status.SEVERE):
        return None
    if change is None or gain is None or beta is None or beta > 1:
        return None
    if change < -max(DEAD_INDEED, DEAD_SHARE * gain) or gain < WORTH:
        return None
    if _rate_without_information(diagnosis, beta):
        return None
    return (
        f"{sentences.pruned(diagnosis)} The others gain {gain:z.2f} nats over the best model "
        "without a code. Dimensions that the data has no use for are no disease."
    )


PATTERNS: tuple[tuple[str, Evidence, bool], ...] = (
    (CONSTANT, _constant_mean, True),
    (EMPTY, _rate_without_information, True),
    (IGNORED, _unused, True),
    ("healthy by count only", _few_nats, True),
    ("posteriors that never move", _never_moves, True),
    (LAGGING, _lag, True),
    ("saturated estimate", _saturated, False),
    (PRUNING, _pruning, False),
)


def _command(overrides: list[str], change: str) -> str:
    key = change.split("=", 1)[0]
    kept = [o for o in overrides if o.split("=", 1)[0] != key]
    # A strategy's or schedule's own keys do not exist under another one.
    if key in ("strategy", "schedule"):
        kept = [o for o in kept if not o.startswith(f"{key}.") or o.startswith("schedule.beta=")]
    return shlex.join(["vae-train", *kept, change])
