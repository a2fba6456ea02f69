"""The diagnosis: one pass over a split, and everything that is said about it."""

from __future__ import annotations

from vaecli.data.base import Data
from vaecli.diagnosis import verdict
from vaecli.diagnosis.latent_use import shuffled
from vaecli.diagnosis.mode import evaluation_mode
from vaecli.diagnosis.rate import Encoded, evaluate
from vaecli.models.vae import VAE


def diagnose(
    vae: VAE, data: Data, *, split: str, threshold: float, samples: int | None, seed: int
) -> tuple[dict, Encoded]:
    """The content of diagnosis.json (README, "How to read a diagnosis") and the encoded split.

    The model is put into evaluation mode for the pass and then back.
    """
    with evaluation_mode(vae):
        found, encoded, per_example = evaluate(
            vae, data, split, seed=seed, threshold=threshold, samples=samples
        )
        use = shuffled(vae, data, encoded, per_example, seed=seed)
    diagnosis = conclude(found, threshold=threshold, split=split, examples=len(per_example))
    diagnosis["latent_use"] = {"shuffled": use._asdict()}
    diagnosis["estimators"] |= {
        "distortion": "one z ~ q(z|x) per example",
        "elbo": "-(distortion + rate)",
    }
    diagnosis["warnings"] += verdict.warnings(diagnosis)
    return diagnosis, encoded


def conclude(found: dict, *, threshold: float, split: str, examples: int) -> dict:
    """Figures of `rate.figures` with status, provenance and an empty list of warnings."""
    return {
        "status": verdict.status(found["active_dimensions"], found["total_dimensions"]),
        **found,
        "total_kl": found["rate"],
        "threshold": threshold,
        "split": split,
        "examples": examples,
        "estimators": {
            "rate": "closed form, mean over examples",
            "kl_per_dim": "closed form, mean over examples",
            "active_dimensions": f"mean KL_j > {threshold:g} nats",
            "active_units": "Var_x[mu_j] > 0.01, population variance (Burda et al. 2016)",
            "mu_variance": "mean over dimensions of Var_x[mu_j]",
        },
        "warnings": [],
    }
