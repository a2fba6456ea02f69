"""The diagnosis: one pass over a split, and everything that is said about it."""

from __future__ import annotations

import torch
from torch import Tensor

from vaecli.data.sets.base import Data
from vaecli.diagnosis import latent_use, verdict
from vaecli.diagnosis.baseline import baseline
from vaecli.diagnosis.collapse_curve import collapse_curve
from vaecli.diagnosis.foreign_model import ForeignModel
from vaecli.diagnosis.inference import refine
from vaecli.diagnosis.information import information
from vaecli.diagnosis.likelihood import importance_weighted
from vaecli.diagnosis.mode import evaluation_mode
from vaecli.diagnosis.probes import probes
from vaecli.diagnosis.pruning import prune, pruning
from vaecli.diagnosis.sequences import sequences
from vaecli.diagnosis.settings import DiagnosisConfig
from vaecli.diagnosis.status import Status
from vaecli.diagnosis.texts import texts
from vaecli.evaluation.estimate import mean_of, plain
from vaecli.evaluation.measures import figures, mean_variance, with_distortion
from vaecli.evaluation.passes import Encoded, NotFinite, encode, first_rows, look
from vaecli.models.parts.sequences import SequenceVAE
from vaecli.models.priors.base import Prior
from vaecli.models.vae import VAE

REFINED = 128  # examples whose posteriors are optimised one by one
REFINED_AUTOREGRESSIVE = 32


def diagnose(
    model: VAE | ForeignModel,
    data: Data,
    settings: DiagnosisConfig,
    *,
    seed: int,
    beta: float | None = None,
) -> tuple[dict, Encoded]:
    """The content of diagnosis.json (docs/diagnosis.md) and the encoded split.

    beta: what the model was trained with, where that is known; one warning depends on it.
    The model is put into evaluation mode for the pass and then back.
    """
    split = settings.split.value
    with evaluation_mode(model):
        if isinstance(model, ForeignModel) and not model.decodes:
            encoded = encode(model, data, split, samples=settings.samples)
            diagnosis = describe(encoded, settings, seed=seed, prior=model.prior)
        else:
            encoded, per_example = look(model, data, split, seed=seed, samples=settings.samples)
            _require_finite(encoded, per_example)
            diagnosis = describe(encoded, settings, seed=seed, prior=model.prior)
            diagnosis = with_distortion(diagnosis, per_example)
            diagnosis["estimators"] |= {
                "distortion": "one z ~ q(z|x) per example",
                "elbo": "-(distortion + rate)",
            }
            diagnosis["standard_errors"] |= _errors(encoded, per_example)
            diagnosis |= _groups(model, data, encoded, per_example, settings, seed)
    diagnosis |= probes_of(encoded, settings, seed=seed)
    return judged(diagnosis, beta=beta), encoded


def _require_finite(encoded: Encoded, per_example: Tensor) -> None:
    for name, values in (("q(z|x)", encoded.kl_per_dim.sum(1)), ("log p(x|z)", per_example)):
        bad = int((~values.isfinite()).sum())
        if bad:
            raise NotFinite(f"{name} is not a finite number for {bad} of {len(values)} examples")


def describe(
    encoded: Encoded,
    settings: DiagnosisConfig,
    *,
    seed: int,
    prior: Prior | None = None,
) -> dict:
    """The figures that need q(z|x) alone: flat keys without a decoder's, and two groups."""
    flat = figures(encoded, threshold=settings.threshold, prior=prior)
    n = len(encoded.mu)
    diagnosis = conclude(flat, threshold=settings.threshold, split=encoded.split, examples=n)
    diagnosis["mu_variance_per_dim"] = mean_variance(encoded).tolist()
    diagnosis["standard_errors"] = {"rate": _error(encoded.kl_per_dim.sum(1))}
    if n > 1:
        most = settings.aggregate
        diagnosis["information"] = information(encoded, seed=seed, most=most, prior=prior)
    diagnosis["collapse_curve"] = collapse_curve(encoded, threshold=settings.threshold)
    return diagnosis


def judged(diagnosis: dict, *, beta: float | None) -> dict:
    """`diagnosis` in plain types, with the patterns in it: diseases as `warnings`, then `notes`."""
    diagnosis = plain(diagnosis)
    findings = verdict.findings(diagnosis, beta=beta)
    diagnosis["patterns"] = [finding.pattern for finding in findings]
    for key, disease in (("warnings", True), ("notes", False)):
        words = [f"{f.pattern}: {f.evidence}" for f in findings if f.disease is disease]
        diagnosis[key] = diagnosis.get(key, []) + words
    return diagnosis


def probes_of(encoded: Encoded, settings: DiagnosisConfig, *, seed: int) -> dict:
    """The group `latent_space`, or nothing where there are no labels to probe for."""
    scores = probes(encoded, seed=seed) if settings.probes else {}
    return {"latent_space": scores} if scores else {}


def _groups(
    vae: VAE | ForeignModel,
    data: Data,
    encoded: Encoded,
    per_example: Tensor,
    settings: DiagnosisConfig,
    seed: int,
) -> dict:
    """The groups that need the decoder."""
    few = settings.autoregressive_examples if vae.autoregressive else len(per_example)
    single = len(per_example) == 1  # there is no other example's code
    use = {}
    if not single:
        use["shuffled"] = latent_use.shuffled(vae, data, encoded, per_example, seed=seed)
    use |= latent_use.replaced(vae, data, encoded, per_example, seed=seed)
    if settings.ablation and not single:
        most = min(settings.ablation, few)
        use |= latent_use.ablation(vae, data, encoded, per_example, most=most, seed=seed)
    neg_elbo = per_example + encoded.kl_per_dim.sum(1)
    nats = {"perplexity": neg_elbo}  # of sequences
    groups = {"latent_use": use}
    if vae.prior.factorised:  # else a dead dimension cannot be taken out alone
        groups["pruning"] = pruning(vae, data, encoded, neg_elbo, seed=seed)
    if settings.importance_samples:
        part = first_rows(encoded, few)
        K = settings.importance_samples
        groups["likelihood"], bound = importance_weighted(vae, data, part, samples=K, seed=seed)
        nats["perplexity_importance_weighted"] = -bound
        if len(bound) < len(neg_elbo):  # to be compared with
            nats["perplexity_same_sequences"] = neg_elbo[: len(bound)]
        if groups.get("pruning", {}).get("dead_units"):
            again, _ = importance_weighted(vae, data, prune(part), samples=K, seed=seed)
            groups["pruning"]["importance_weighted"] = again["importance_weighted"]
    if isinstance(vae, VAE):
        steps = settings.baseline_steps
        without_code = baseline(vae, data, encoded.split, neg_elbo, steps=steps, seed=seed)
        if without_code is not None:
            groups["baseline"], nats["perplexity_no_code"] = without_code
    if settings.refine_steps:
        most = REFINED_AUTOREGRESSIVE if vae.autoregressive else REFINED
        steps = settings.refine_steps
        refined = refine(vae, data, encoded, most=most, steps=steps, seed=seed)
        groups |= {} if refined is None else {"inference": refined[0]}
    if isinstance(vae, SequenceVAE):
        groups["sequences"] = sequences(vae, data, encoded, nats, seed=seed)
        groups["texts"] = texts(vae, data, encoded, seed=seed)
    return groups


def conclude(flat: dict, *, threshold: float, split: str, examples: int) -> dict:
    """The figures of `measures.figures` with status, estimators and an empty list of warnings."""
    return {
        "status": Status.of(flat["active_dimensions"], flat["total_dimensions"]),
        **flat,
        "total_kl": flat["rate"],
        "threshold": threshold,
        "split": split,
        "examples": examples,
        "estimators": {
            "rate": "closed form, mean over examples",
            "kl_per_dim": "closed form, mean over examples",
            "active_dimensions": f"mean KL_j > {threshold:g} nats",
            "active_units": "Var_x[mu_j] > 0.01, population variance (Burda et al. 2016)",
            "active_directions": "eigenvalues of Cov_x[mu] > 0.01, population covariance",
            "mu_variance": "mean over dimensions of Var_x[mu_j]",
            "mean_offset_kl": "KL that the average mean adds: 1/2 sum_j (E_x mu_j)^2 under N(0, I)",
        },
        "warnings": [],
    }


def _errors(encoded: Encoded, per_example: Tensor) -> dict[str, float | None]:
    rate = encoded.kl_per_dim.sum(1)
    return {"distortion": _error(per_example), "elbo": _error(per_example + rate)}


def _error(values: torch.Tensor) -> float | None:
    return mean_of(values, "", "").standard_error
