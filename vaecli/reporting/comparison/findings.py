"""Sentences about a comparison, made from its figures by rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from vaecli.core.rundir import RunState
from vaecli.diagnosis.reading import value
from vaecli.diagnosis.status import Status
from vaecli.reporting.comparison.groups import BETA, LATENT_DIM, Comparison, Setting, label_settings
from vaecli.reporting.comparison.runs import RunRecord
from vaecli.reporting.comparison.swept import as_number, format_value

MANY = 4  # lines or rankings beyond which a sentence would be a list
_CRITICAL = ("prediction", "critical_beta")
# A rate worth speaking of, nats, of which less than this share is information.
PAID_NATS, INFORMED_SHARE, INFORMED_NATS = 0.5, 0.1, 1.0


def introduction(comparison: Comparison) -> str:
    """The swept keys, and how many runs ended how."""
    runs = len(comparison.runs)
    words = "One run" if runs == 1 else f"{runs} runs"
    if comparison.keys:
        swept = [f"{key} ({_options(comparison, key)})" for key in comparison.keys]
        words += f" over {_join(swept)}"
    elif runs > 1:
        words += " of one setting"
    seeds = {format_value(run.seed) for run in comparison.runs if run.seed is not None}
    if comparison.repeated and len(seeds) > 1:
        words += f", with {len(seeds)} seeds"
    ends = Counter(run.state for run in comparison.runs)
    done = ends.pop(RunState.DONE, 0)
    if not ends:
        ended = "It finished" if runs == 1 else f"All {runs} finished"
    else:
        ended = f"{done} finished" if done else "None finished"
        ended += "".join(f", {count} {_state(state)}" for state, count in sorted(ends.items()))
    counts = Counter(run.status for run in comparison.done)
    statuses = [f"{counts[s]} {s}" for s in list(Status) if s in counts]
    if statuses and runs > 1:
        ended += f"; their diagnoses: {_join(statuses)}"
    elif statuses:
        ended += f"; its diagnosis: {counts.most_common(1)[0][0]}"
    return f"{words}. {ended}."


def findings(comparison: Comparison) -> list[str]:
    """The sentences that the figures allow, the most important first."""
    rules = (_collapse, _without_information, _best, _capacity, _repeats)
    return [sentence for rule in rules for sentence in rule(comparison)]


def _collapse(comparison: Comparison) -> Iterator[str]:
    """The beta at which the last dimension collapses, and the theory's."""
    if len(comparison.options(BETA) if BETA in comparison.keys else []) < 2:
        return
    lines = comparison.lines(BETA, least=2)
    by_end: dict[str, list[str]] = {}
    for label, settings in lines:
        by_end.setdefault(_end(settings), []).append(label)
    for end, labels in list(by_end.items())[:MANY]:
        everywhere = len(by_end) == 1 or not any(labels)
        where = "" if everywhere else f" with {_join_some(labels)}"
        if end:
            yield f"{end}{where}.{_theory(comparison) if everywhere else ''}"
    if len(by_end) > 1:
        theory = _theory(comparison)
        if theory:
            yield theory.strip()


def _end(settings: list[Setting]) -> str:
    """The end of the active dimensions along beta, for settings that differ in beta alone."""
    by_beta: list[tuple[float, list[float]]] = []  # beta, the counts of its runs
    for setting in settings:
        beta, counts = as_number(setting.values[BETA]), setting.run_figures("active_dimensions")
        if beta is not None and counts:
            by_beta.append((beta, counts))
    by_beta.sort()
    if len(by_beta) < 2:
        return ""
    (lowest, _), (highest, last) = by_beta[0], by_beta[-1]
    alive = [place for place, (_, counts) in enumerate(by_beta) if any(counts)]
    if not alive:
        return f"No dimension is active in any run that finished, from beta {lowest:g} on"
    if all(all(counts) for _, counts in by_beta):
        return f"Up to beta {highest:g}, the highest that finished, every run has active dimensions"
    if any(last):
        return f"At beta {highest:g}, the highest that finished, {_who_has(last)} active dimensions"
    (before, some), (dead, _) = by_beta[alive[-1]], by_beta[alive[-1] + 1]
    words = f"Active dimensions fall to 0 in every run between beta {before:g} and {dead:g}"
    return words if all(some) else f"{words}, but at {before:g} only {_who_has(some)} any"


def _who_has(counts: list[float]) -> str:
    alive = sum(count > 0 for count in counts)
    if alive == len(counts):
        return f"{'the run' if alive == 1 else 'every run'} has"
    return f"{alive} of {len(counts)} runs {'has' if alive == 1 else 'have'}"


def _theory(comparison: Comparison) -> str:
    critical = critical_betas(comparison.done)
    if len(critical) != 1:
        return ""
    without = [r for r in comparison.done if value(r.diagnosis, *_CRITICAL) is None]
    have = "run has" if len(without) == 1 else "runs have"
    some = f" ({len(without)} {have} no prediction)" if without else ""
    where = f"{critical[0]:.3g}{some}"
    return f" Theory puts the critical beta, from which collapse is stable, at {where}."


def critical_betas(runs: tuple[RunRecord, ...] | list[RunRecord]) -> list[float]:
    """The different critical betas that the runs' predictions name, ascending."""
    betas = (value(run.diagnosis, *_CRITICAL) for run in runs)
    return sorted({float(f"{beta:.4g}") for beta in betas if beta is not None})


def _without_information(comparison: Comparison) -> Iterator[str]:
    """The settings whose rate is no information, with both figures."""
    settings = []
    labels = label_settings(list(comparison.settings))
    for setting, label in zip(comparison.settings, labels, strict=True):
        pairs = [pair for run in setting.done if (pair := _wasted(run))]
        if pairs:
            rate, information = (sum(each) / len(pairs) for each in zip(*pairs, strict=True))
            figures = f"rate {rate:.2f}, mutual information {information:z.2f} nats"
            if len(setting.done) > 1:
                figures = f"{len(pairs)} of {len(setting.done)} runs; on average {figures}"
            settings.append(f"{label or 'the runs'} ({figures})")
    if settings:
        yield (
            f"Rate without information: {_join_some(settings)}. The code is paid for and says next "
            "to nothing about x; active dimensions alone would hide that."
        )


def _wasted(run: RunRecord) -> tuple[float, float] | None:
    """Rate and mutual information of a run whose code says next to nothing about x; else None."""
    rate, information = run.figure("rate"), run.figure("mutual_information")
    if rate is None or information is None or rate <= PAID_NATS:
        return None
    # The second bound: information cannot be seen above log N, however high the rate.
    wasted = information < min(INFORMED_SHARE * rate, INFORMED_NATS)
    return (rate, information) if wasted else None


def _best(comparison: Comparison) -> Iterator[str]:
    """The lowest validation loss, wherever losses can be compared."""
    rankings = comparison.rankings()
    if len(rankings) > 2:
        yield from _winners(rankings)
        return
    for where, ranked in rankings:
        one, other = (s.figure("validation_loss") for s in ranked[:2])
        if one is None or other is None:
            continue
        best, second = label_settings(ranked)[:2]
        words = f"At {where}, the" if where else "The"
        words += " lowest validation loss"
        words += ", mean over runs," if max(one.n, other.n) > 1 else ""
        words += f" is that of {best} ({one.mean:.2f}, next {second} with {other.mean:.2f})"
        spreads = [s.deviation for s in (one, other) if s.deviation is not None]
        if spreads and other.mean - one.mean < max(spreads):
            words += "; the lead is within the spread over seeds"
        elif not spreads:
            words += "; of one run each, so how much of the lead is chance cannot be said"
        yield f"{words}."


def _winners(rankings: list[tuple[str, list[Setting]]]) -> Iterator[str]:
    """The best settings where there are many rankings, each with the places of its victories."""
    settings = [setting for _, ranked in rankings for setting in ranked]
    labels = dict(zip(map(id, settings), label_settings(settings, without=(BETA,)), strict=True))
    places: dict[str, list[str]] = {}
    for where, ranked in rankings:
        places.setdefault(labels[id(ranked[0])], []).append(where)
    winners = [f"{label} (at {_join(at[:MANY])})" for label, at in places.items()]
    more = f", and {len(winners) - MANY} more" if len(winners) > MANY else ""
    single = [len(ranked[0].done) == 1 for _, ranked in rankings]
    which = "Of one run each" if all(single) else "Some are of one run"
    chance = f" {which}, so how much of a lead is chance cannot be said." if any(single) else ""
    of = "" if all(len(s.done) == 1 for s in settings) else ", mean over runs"
    yield f"Lowest validation loss{of}: {_join(winners[:MANY])}{more}.{chance}"


def _capacity(comparison: Comparison) -> Iterator[str]:
    """Active dimensions beside the dimensions that the model has, by setting."""
    if LATENT_DIM not in comparison.keys:
        return
    by_use: dict[str, list[str]] = {}
    for label, settings in comparison.lines(LATENT_DIM, least=2):
        pairs = [(as_number(s.values[LATENT_DIM]), s.mean("active_dimensions")) for s in settings]
        pairs = sorted((z, a) for z, a in pairs if z is not None and a is not None)
        if len(pairs) > 1:
            used = _join([f"{active:.3g} of {z:g}" for z, active in pairs])
            by_use.setdefault(used, []).append(label)
    mean = ", mean over runs" if comparison.repeated else ""
    for used, labels in list(by_use.items())[:MANY]:
        where = f" with {_join_some(labels)}" if any(labels) else ""
        yield f"Active of the dimensions that were offered{mean}: {used}{where}."


def _repeats(comparison: Comparison) -> Iterator[str]:
    """A sentence on runs that repeat another one's setting and seed."""
    twice = 0
    for setting in comparison.settings:
        seeds = [format_value(run.seed) for run in setting.runs if run.seed is not None]
        twice += len(seeds) - len(set(seeds))
    if twice:
        plural = "s repeat" if twice > 1 else " repeats"
        yield (
            f"{twice} run{plural} setting and seed of another one: of these the spread is not one "
            "over seeds."
        )


def cautions(comparison: Comparison) -> list[str]:
    """Reasons why figures of these runs cannot be compared."""
    reasons = []
    for key, words in (
        ("diagnosis.split", "on different splits"),
        ("diagnosis.checkpoint", "of different weights (best and last)"),
        ("diagnosis.threshold", "with different thresholds of an active dimension"),
        ("diagnosis.samples", "on different numbers of examples"),
    ):
        values = {
            format_value(r.config[key]) for r in comparison.done if r.config and key in r.config
        }
        if len(values) > 1:
            reasons.append(f"The runs were diagnosed {words}: {key} is {_join(sorted(values))}.")
    if len(comparison.comparable()) > 1:
        reasons.append(
            "Different data, or different densities of pixels: rate and active dimensions can be "
            "compared, but distortion, ELBO, NLL and validation loss only within one of them."
        )
    return reasons


def _options(comparison: Comparison, key: str) -> str:
    options = [format_value(option) for option in comparison.options(key)]
    if len(options) > 12:
        return f"{len(options)} values from {options[0]} to {options[-1]}"
    return ", ".join(options)


def _state(state: str) -> str:
    return "still running or killed" if state == RunState.RUNNING else state


def _join_some(words: list[str]) -> str:
    more = len(words) - MANY
    plural = "s" if more > 1 else ""
    return _join(words[:MANY] + ([f"{more} more setting{plural}"] if more > 0 else []))


def _join(words: list[str]) -> str:
    if len(words) == 1:
        return words[0]
    if any(", " in word.partition(" (")[0] for word in words):  # words with commas of their own
        return f"{'; '.join(words[:-1])}; and {words[-1]}"
    return f"{', '.join(words[:-1])} and {words[-1]}"
