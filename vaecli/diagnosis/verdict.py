"""From figures to words: the status, the warnings, and what to try next."""

from __future__ import annotations

import shlex

# Below this rate (nats) there is hardly a code to speak of, used or not.
LITTLE_RATE = 0.1
# Many dimensions can each pass the threshold of 0.01 nats and still add up to less than log 2, one
# binary distinction.
HARDLY_A_CODE = 0.69


def status(active: int, total: int) -> str:
    """The status by the share of active dimensions; none, below 10 %, below 50 %, or more."""
    if active == 0:
        return "FULL COLLAPSE"
    if active < 0.1 * total:
        return "SEVERE COLLAPSE"
    if active < 0.5 * total:
        return "PARTIAL COLLAPSE"
    return "HEALTHY"


def warnings(diagnosis: dict) -> list[str]:
    """Patterns in which a figure alone would mislead, each with its evidence."""
    found = []
    rate, rise = diagnosis["rate"], _rise(diagnosis)
    if rise is not None and rate > LITTLE_RATE and rise < 0.5 * rate:
        found.append(
            f"rate without use: KL is {rate:.2f} nats, yet giving each example another one's code "
            f"raises the distortion by only {rise:.2f} nats. The decoder ignores most of what the "
            "KL pays for; rate is not information."
        )
    if diagnosis["status"] == "HEALTHY" and rate < HARDLY_A_CODE:
        found.append(
            f"healthy by count only: all dimensions together carry {rate:.2f} nats, too little to "
            "tell examples apart."
        )
    units, active = diagnosis["active_units"], diagnosis["active_dimensions"]
    if active - units > 0.25 * diagnosis["total_dimensions"]:
        found.append(
            f"{active} dimensions have KL above the threshold, but the mean of only {units} moves "
            "with x: the rest pay KL for a posterior that is the same for every input."
        )
    return found


def verdict(diagnosis: dict) -> list[str]:
    """What the figures say, a sentence each, for a reader who is new to collapse."""
    active, total = diagnosis["active_dimensions"], diagnosis["total_dimensions"]
    lines = [
        {
            "FULL COLLAPSE": "No latent dimension differs from the prior: q(z|x) is the same for "
            "every x, and the decoder models the data without a code.",
            "SEVERE COLLAPSE": f"Only {active} of {total} latent dimensions carry anything; the "
            "others equal the prior for every x.",
            "PARTIAL COLLAPSE": f"{active} of {total} latent dimensions are in use; more than half "
            "equal the prior for every x.",
            "HEALTHY": f"{active} of {total} latent dimensions are in use.",
        }[diagnosis["status"]]
    ]
    if diagnosis["status"] == "PARTIAL COLLAPSE":
        lines.append(
            "That need not be a fault: a VAE prunes dimensions it has no use for. It is one if the "
            "distortion is worse than that of a model with a higher rate."
        )
    rise = _rise(diagnosis)
    if rise is not None:
        used = rise > 0.5 * diagnosis["rate"] > 0.5 * LITTLE_RATE
        use = "uses z" if used else "hardly uses z"
        lines.append(
            f"The decoder {use}: with another example's code the distortion rises by "
            f"{rise:.2f} nats (rate: {diagnosis['rate']:.2f} nats)."
        )
    return lines


def next_commands(
    diagnosis: dict, overrides: list[str], *, beta: float, in_use: set[str]
) -> list[tuple[str, str]]:
    """What to try next: (command, reason) pairs that change one thing of this run.

    beta: the run's target. in_use: its choices as overrides, e.g. {"decoder=large"}, which are not
    proposed again.
    """
    if diagnosis["status"] == "HEALTHY" and not diagnosis["warnings"]:
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
        if beta > 1:
            tries.insert(0, ("schedule.beta=1", "beta above 1 pays for collapse"))
    return [(_command(overrides, t), why) for t, why in tries if t not in in_use][:3]


def _rise(diagnosis: dict) -> float | None:
    found = diagnosis.get("latent_use", {}).get("shuffled")
    return None if found is None else found["value"]


def _command(overrides: list[str], change: str) -> str:
    key = change.split("=", 1)[0]
    kept = [o for o in overrides if o.split("=", 1)[0] != key]
    # A strategy's or schedule's own keys do not exist under another one.
    if key in ("strategy", "schedule"):
        kept = [o for o in kept if not o.startswith(f"{key}.") or o.startswith("schedule.beta=")]
    return shlex.join(["vae-train", *kept, change])
