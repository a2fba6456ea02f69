"""Sentences about the figures of a diagnosis, for the verdict, the console and the report.

A sentence is made here once. It takes the whole diagnosis and is left out where its figures were
not measured. Nats per example; not escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vaecli.diagnosis.reading import error, information_bounds, leaf, per_dim, value

MOST_USED = 5  # dimensions that are named


def sentences(group: str, diagnosis: dict) -> list[str]:
    """The sentences that stand under the heading of `group`; none for an unknown group."""
    return list(_GROUPS[group](diagnosis)) if group in _GROUPS else []


def information(d: dict) -> Iterator[str]:
    """The bounds of the mutual information, then the ceiling of its estimate."""
    (below, above), ceiling = information_bounds(d), value(d, "information", "ceiling")
    n, saturated = leaf(d, "information", "mutual_information", "n"), is_saturated(d)
    if below is not None and above is not None and not saturated:
        yield f"The code holds between {below:z.2f} and {above:z.2f} nats about x."
    elif below is not None:
        bound = "" if above is None else f" (upper bound: {above:z.2f})"
        yield f"The code holds at least {below:z.2f} nats about x{bound}."
    if ceiling is not None:
        more = " This one is saturated: take it as a lower bound, more examples can show more."
        limit = f"An estimate over {n} examples cannot exceed log {n} = {ceiling:z.2f} nats."
        yield limit + (more if saturated else "")


def is_saturated(d: dict) -> bool:
    """True if the estimate of the mutual information is no more than a lower bound."""
    return bool(leaf(d, "information", "saturated"))


def likelihood(d: dict) -> Iterator[str]:
    """The bound on log p(x), then how many samples it rests on."""
    bound, spread = (read(d, "likelihood", "importance_weighted") for read in (value, error))
    if bound is None:
        return
    yield f"log p(x) is at least {bound:z.2f}{'' if spread is None else f' ± {spread:z.2f}'} nats."
    effective = value(d, "likelihood", "effective_sample_size")
    samples = leaf(d, "likelihood", "importance_samples")
    if effective is not None and samples is not None:
        yield (
            f"Of {samples} samples an example, {effective:.1f} count. Near 1 a single sample "
            "carries the figure, and log p(x) may lie well above it; more samples raise it."
        )


def baseline(d: dict) -> Iterator[str]:
    """The ELBO that the code gains over the best model without one."""
    gain, alone = value(d, "baseline", "gain"), value(d, "baseline", "no_code")
    if gain is None or alone is None:
        return
    estimator = leaf(d, "baseline", "no_code", "estimator")
    yield (
        f"With its code the model {'gains' if gain >= 0 else 'loses'} {abs(gain):z.2f} nats of "
        f"ELBO against the best that was found without one ({-alone:z.2f} nats"
        f"{f': {estimator}' if estimator else ''})."
    )


def refined_elbo(d: dict) -> str:
    """The ELBO after gradient steps on single posteriors; "" where that was not measured."""
    gain = value(d, "inference", "gain")
    if gain is None:
        return ""
    return f"Fitting q(z|x) to single examples changes the ELBO by {gain:+z.2f} nats."


def refined_rate(d: dict) -> str:
    """The rate after these steps; "" where that was not measured."""
    rate, after = value(d, "rate"), value(d, "inference", "refined_rate")
    if rate is None or after is None:
        return ""
    return f"The rate goes from the encoder's {rate:z.2f} to {after:z.2f} nats."


def pruned(d: dict) -> str:
    """How many dimensions are dead, and the ELBO without them; "" where that was not measured."""
    dead, change = leaf(d, "pruning", "dead_units"), value(d, "pruning", "change")
    if dead is None or change is None:
        return ""
    return (
        f"{dead} of {leaf(d, 'total_dimensions')} dimensions have a mean that hardly moves. "
        f"Drawn from the prior instead, they change the ELBO by {change:+z.2f} nats."
    )


# ---------------------------------------------------------------------- of single groups


def _information(d: dict) -> Iterator[str]:
    yield from information(d)
    keys = ("mutual_information", "total_correlation", "marginal_kl")
    estimates = [value(d, "information", "rate_split", key) for key in keys]
    parts = [nats for nats in estimates if nats is not None]
    if len(parts) == len(keys) and sum(parts) > 0.05:
        apart, shared, single = parts
        least, most = ("at least ", "at most ") if is_saturated(d) else ("", "")
        yield (
            f"Of the rate, {least}{apart:z.2f} nats tell examples apart, {most}{shared:z.2f} "
            f"are spent on dimensions that depend on each other and {single:z.2f} on single "
            "dimensions whose codes, all together, differ from the prior."
        )


def _latent_use(d: dict) -> Iterator[str]:
    rise, (below, _) = value(d, "latent_use", "shuffled"), information_bounds(d)
    if rise is not None and below is not None:
        yield (
            f"A decoder that reads all that the code holds (at least {max(below, 0.0):z.2f} nats) "
            f"loses at least as much when it gets another example's code; this one loses "
            f"{rise:z.2f}."
        )
    rises, ranking = per_dim(d, "latent_use", "rise_per_dim"), leaf(d, "latent_use", "ranking")
    if rises and isinstance(ranking, list):
        most = [j for j in ranking[:MOST_USED] if j < len(rises) and rises[j] > 0]
        if most:
            names = ", ".join(f"{j} ({rises[j]:.2g})" for j in most)
            yield f"Dimensions that are used most, with the rise when only they are taken: {names}."


def _inference(d: dict) -> Iterator[str]:
    if refined_elbo(d):
        yield (
            f"{refined_elbo(d)} Near 0: these steps find nothing better than what the encoder "
            "answers."
        )
    if refined_rate(d):
        yield (
            f"{refined_rate(d)} From near 0 to well above: the encoder has collapsed, the model "
            "has not."
        )


def _pruning(d: dict) -> Iterator[str]:
    if leaf(d, "pruning", "dead_units") == 0:
        yield "The mean of every dimension moves with x: there is nothing to prune."
    elif pruned(d):
        yield (
            f"{pruned(d)} Near 0 or above: they were dead indeed, and the model is a smaller VAE "
            "of the same quality."
        )


def _latent_space(d: dict) -> Iterator[str]:
    for key, name in (("knn", "the nearest codes"), ("linear_probe", "a linear rule")):
        right = value(d, "latent_space", key)
        guessed = value(d, "latent_space", f"{key}_shuffled_labels")
        if right is not None and guessed is not None:
            yield (
                f"With {name} the class is found for {right:.0%} of the examples, with shuffled "
                f"labels for {guessed:.0%}."
            )


def _collapse_curve(d: dict) -> Iterator[str]:
    share, delta = (value(d, "collapse_curve", k) for k in ("collapsed_at_threshold", "delta"))
    threshold = value(d, "threshold")
    if share is not None and delta is not None and threshold is not None:
        yield (
            f"For {share:.0%} of the dimensions the KL is below {threshold:g} nats for at least "
            f"{1 - delta:.0%} of the examples: they are ({threshold:g}, {delta:g})-collapsed "
            "(Lucas et al. 2019). A dimension that few examples use is not."
        )


def _prediction(d: dict) -> Iterator[str]:
    sentence = leaf(d, "prediction", "sentence")
    if sentence:
        yield str(sentence)


def _theory(d: dict) -> Iterator[str]:
    if leaf(d, "theory", "linear_vae"):
        yield (
            "This model is linear and Gaussian, so its optimum is known in closed form (Lucas et "
            "al. 2019: that of probabilistic PCA). The theory's figures are for the examples that "
            "were measured; standard errors contain the spread between examples, which both sides "
            "share, and so overstate the noise. What is left is training that has not converged, "
            "or a strategy that moves the optimum."
        )


_GROUPS: dict[str, Callable[[dict], Iterator[str]]] = {
    "information": _information,
    "latent_use": _latent_use,
    "baseline": baseline,
    "likelihood": likelihood,
    "inference": _inference,
    "pruning": _pruning,
    "latent_space": _latent_space,
    "collapse_curve": _collapse_curve,
    "prediction": _prediction,
    "theory": _theory,
}
