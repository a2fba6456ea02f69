"""The text that `vae-predict` prints."""

from __future__ import annotations

import textwrap
from typing import Any

WIDTH = 100


def prediction_lines(
    facts: dict[str, str], prediction: dict[str, Any], limits: list[str]
) -> list[str]:
    """The content of prediction.json as a table with its explanation.

    facts: data and likelihood. limits: sentences on what the theory leaves out here.
    """
    critical, beta, k = (prediction[key] for key in ("critical_beta", "beta", "latent_dim"))
    facts = {**facts, "Critical beta": f"{critical:.1f}"}
    lines = [f"{name:<13}  {fact}" for name, fact in facts.items()]
    lines += ["", f"{'beta':>8}  directions that can leave collapse   of {k} latents at most"]
    for row in prediction["table"]:
        count = row["unstable_directions"]
        shown = f"at least {count}" if row["at_least"] else f"{count}"
        mark = "  <- schedule.beta" if row["beta"] == beta else ""
        most = k if row["at_least"] else min(count, k)
        lines.append(f"{row['beta']:>8g}  {shown:>34}   {most:>19}{mark}")
    sentences = [
        f"At beta {critical:.1f} and above, a VAE that ignores its code is stable: training that "
        "gets there stays there. Below it, so many directions of the data can leave collapse. The "
        "theory is local: away from the collapsed point a nonlinear decoder may keep more "
        "dimensions, or find that fewer pay.",
        *limits,
    ]
    expected = prediction["expected_active"]
    if expected > min(prediction["unstable_directions"], k):
        sentences.append(
            "The learned sigma shrinks as dimensions come into use, which lets more follow: in a "
            f"linear VAE, {expected} of {k} at beta {beta:g}."
        )
    lines += ["", *(line for sentence in sentences for line in textwrap.wrap(sentence, WIDTH))]
    closed_form = textwrap.wrap(_closed_form(prediction["optimum"], beta), WIDTH)
    return [*lines, *([""] * bool(closed_form)), *closed_form]


def _closed_form(optimum: dict[str, Any] | None, beta: float) -> str:
    """A sentence on the optimum of a linear VAE; "" where there is none."""
    if optimum is None:
        return ""
    if "reason" in optimum:
        return f"Closed form: {optimum['reason']}"
    return (
        f"Optimum of the linear VAE in closed form at beta {beta:g} (training split): "
        f"{optimum['active']} active dimensions, rate {optimum['rate']:.3f}, distortion "
        f"{optimum['distortion']:.3f}, ELBO {optimum['elbo']:.3f}, log p(x) "
        f"{-optimum['neg_log_px']:.3f} nats, sigma^2 {optimum['sigma2']:.5g}."
    )
