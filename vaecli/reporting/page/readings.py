"""What a group of figures says, in sentences that stand under its heading. Nats per example.

Each reading takes the whole diagnosis and says only what its figures carry: a sentence whose
figures were not measured is left out. Not escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vaecli.reporting.reading import error, information_bounds, leaf, per_dim, value

MOST_USED = 5  # dimensions that are named


def readings(group: str, diagnosis: dict) -> list[str]:
    """The sentences of the group called `group`; none for a group unknown to this module."""
    return list(_READINGS[group](diagnosis)) if group in _READINGS else []


def _information(d: dict) -> Iterator[str]:
    (below, above), ceiling = information_bounds(d), value(d, "information", "ceiling")
    n = leaf(d, "information", "mutual_information", "n")
    saturated = bool(leaf(d, "information", "saturated"))
    if below is not None:
        bound = "" if above is None else f" (upper bound: {above:z.2f})"
        words = f"The code holds at least {below:z.2f} nats about x{bound}."
        if above is not None and not saturated:
            words = f"The code holds between {below:z.2f} and {above:z.2f} nats about x."
        yield words
    if ceiling is not None:
        words = f"An estimate over {n} examples cannot exceed log {n} = {ceiling:z.2f} nats."
        if saturated:
            words += " This one is saturated: take it as a lower bound, more examples can show more"
            words += "."
        yield words
    parts = [
        value(d, "information", "rate_split", key)
        for key in ("mutual_information", "total_correlation", "marginal_kl")
    ]
    if None not in parts and sum(parts) > 0.05:
        least, most = ("at least ", "at most ") if saturated else ("", "")
        yield (
            f"Of the rate, {least}{parts[0]:z.2f} nats tell examples apart, {most}{parts[1]:z.2f} "
            f"are spent on dimensions that depend on each other and {parts[2]:z.2f} on single "
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
        named = [j for j in ranking[:MOST_USED] if j < len(rises) and rises[j] > 0]
        if named:
            most = ", ".join(f"{j} ({rises[j]:.2g})" for j in named)
            yield f"Dimensions that are used most, with the rise when only they are taken: {most}."


def _baseline(d: dict) -> Iterator[str]:
    alone, gain = value(d, "baseline", "no_code"), value(d, "baseline", "gain")
    distortion, rate = value(d, "distortion"), value(d, "rate")
    if None in (alone, gain, distortion, rate):
        return
    words = "earns its price" if gain > 0 else "costs more than it buys"
    yield (
        f"Without a code: {alone:z.2f} nats of distortion. With it: {distortion:z.2f} of "
        f"distortion and {rate:z.2f} of rate. The code {words}, by {abs(gain):z.2f} nats."
    )


def _likelihood(d: dict) -> Iterator[str]:
    bound, samples = value(d, "likelihood", "importance_weighted"), _samples(d)
    effective = value(d, "likelihood", "effective_sample_size")
    if bound is None:
        return
    spread = error(d, "likelihood", "importance_weighted")
    yield f"log p(x) is at least {bound:z.2f}{'' if spread is None else f' ± {spread:z.2f}'} nats."
    if effective is not None and samples is not None:
        yield (
            f"Of {samples} samples an example, {effective:.1f} count. Near 1 a single sample "
            "carries the figure, and log p(x) may lie well above it; more samples raise it."
        )


def _inference(d: dict) -> Iterator[str]:
    gain, refined = value(d, "inference", "gain"), value(d, "inference", "refined_rate")
    rate = value(d, "rate")
    if gain is not None:
        yield (
            f"Fitting q(z|x) to single examples changes the ELBO by {gain:+z.2f} nats. Near 0: "
            "these steps find nothing better than what the encoder answers."
        )
    if refined is not None and rate is not None:
        yield (
            f"The rate goes from the encoder's {rate:z.2f} to {refined:z.2f} nats. From near 0 to "
            "well above: the encoder has collapsed, the model has not."
        )


def _pruning(d: dict) -> Iterator[str]:
    dead, change = leaf(d, "pruning", "dead_units"), value(d, "pruning", "change")
    if dead == 0:
        yield "The mean of every dimension moves with x: there is nothing to prune."
    elif dead is not None and change is not None:
        yield (
            f"{dead} of {leaf(d, 'total_dimensions')} dimensions have a mean that hardly moves. "
            f"Drawn from the prior instead, they change the ELBO by {change:+z.2f} nats. Near 0 or "
            "above: they were dead indeed, and the model is a smaller VAE of the same quality."
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
    if None not in (share, delta, threshold):
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


def _samples(d: dict) -> int | None:
    return leaf(d, "likelihood", "importance_samples")


_READINGS: dict[str, Callable[[dict], Iterator[str]]] = {
    "information": _information,
    "latent_use": _latent_use,
    "baseline": _baseline,
    "likelihood": _likelihood,
    "inference": _inference,
    "pruning": _pruning,
    "latent_space": _latent_space,
    "collapse_curve": _collapse_curve,
    "prediction": _prediction,
    "theory": _theory,
}
