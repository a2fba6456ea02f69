"""What `vae-predict` says."""

from __future__ import annotations

import textwrap
from typing import Any

WIDTH = 100


def prediction_lines(
    facts: dict[str, str], prediction: dict[str, Any], limits: list[str]
) -> list[str]:
    """The content of prediction.json as a table with its explanation.

    facts: what was looked at. limits: sentences on what the theory does not speak of here.
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
        *_learned(prediction),
    ]
    lines.append("")
    for sentence in sentences:
        lines += textwrap.wrap(sentence, WIDTH)
    return lines + _closed_form(prediction)


def _learned(prediction: dict[str, Any]) -> list[str]:
    expected, k = prediction["expected_active"], prediction["latent_dim"]
    if expected <= min(prediction["unstable_directions"], k):
        return []
    return [
        "The learned sigma shrinks as dimensions come into use, which lets more follow: in a "
        f"linear VAE, {expected} of {k} at beta {prediction['beta']:g}."
    ]


def _closed_form(prediction: dict[str, Any]) -> list[str]:
    best = prediction["optimum"]
    if best is None:
        return []
    if "reason" in best:
        return ["", *textwrap.wrap(f"Closed form: {best['reason']}", WIDTH)]
    words = (
        f"Optimum of the linear VAE in closed form at beta {prediction['beta']:g} (training "
        f"split): {best['active']} active dimensions, rate {best['rate']:.3f}, distortion "
        f"{best['distortion']:.3f}, ELBO {best['elbo']:.3f}, log p(x) {-best['neg_log_px']:.3f} "
        f"nats, sigma^2 {best['sigma2']:.5g}."
    )
    return ["", *textwrap.wrap(words, WIDTH)]
