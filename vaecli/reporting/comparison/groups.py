"""Runs side by side: what was swept, and mean and spread of every figure over seeds."""

from __future__ import annotations

import os
import statistics
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from vaecli.diagnosis.status import Status
from vaecli.reporting.comparison.runs import RunRecord, read_run
from vaecli.reporting.comparison.swept import GROUPS, Swept, canonical, number, order, text

BETA = "schedule.beta"
LATENT_DIM = "model.latent_dim"
# Keys of data that leave alone what density a model of it has to match: its name, which is said
# anyway, where it lies, how much of it is used, labels.
_NO_MATTER = {"data.name", "data.root", "data.path", "data.download", "data.memory_limit_gb"}
_NO_MATTER |= {"data.limit", "data.val_fraction", "data.label_key", "data.test_label_key"}


class Spread(NamedTuple):
    """A figure over the runs of a setting that have it."""

    mean: float
    deviation: float | None  # sample standard deviation (n - 1); None of a single run
    n: int


@dataclass(frozen=True)
class Setting:
    """Runs that agree in everything but their seed."""

    values: dict[str, Any]  # swept key -> value; None where a run has none
    runs: tuple[RunRecord, ...]
    choices: dict[str, str] = field(default_factory=dict)  # group -> option

    @cached_property
    def done(self) -> tuple[RunRecord, ...]:
        """The runs that finished: all figures are over them."""
        return tuple(run for run in self.runs if run.done)

    @cached_property
    def unfinished(self) -> tuple[RunRecord, ...]:
        """The others."""
        return tuple(run for run in self.runs if not run.done)

    @property
    def statuses(self) -> list[tuple[str, int]]:
        """How often each status occurs: diagnoses from healthy to collapsed, then other ends."""
        counts = Counter(run.status for run in self.runs)
        known = [status for status in Status if status in counts]
        return [(s, counts[s]) for s in (*known, *sorted(set(counts) - set(known)))]

    def known(self, key: str) -> list[float]:
        """A figure of each finished run that has it."""
        return [found for run in self.done if (found := run.figure(key)) is not None]

    def figure(self, key: str) -> Spread | None:
        """Mean and spread of a figure; None if no finished run has it."""
        return spread(self.known(key))

    def mean(self, key: str) -> float | None:
        """The mean alone."""
        found = self.figure(key)
        return None if found is None else found.mean

    @cached_property
    def first(self) -> RunRecord | None:
        """The finished run with the lowest seed."""
        return min(self.done, key=lambda run: order(run.seed), default=None)


@dataclass(frozen=True)
class Comparison:
    """Runs, the keys in which they differ, and the settings that these make."""

    runs: tuple[RunRecord, ...]
    keys: tuple[str, ...]  # swept, without the seed
    settings: tuple[Setting, ...]
    values: tuple[dict[str, Any], ...]  # of each run

    @property
    def repeated(self) -> bool:
        """Whether some setting has several runs."""
        return len(self.settings) < len(self.runs)

    @cached_property
    def done(self) -> tuple[RunRecord, ...]:
        """The runs that finished."""
        return tuple(run for run in self.runs if run.done)

    @cached_property
    def unfinished(self) -> tuple[RunRecord, ...]:
        """The others."""
        return tuple(run for run in self.runs if not run.done)

    def told(self, run: RunRecord) -> str:
        """What tells a run from the others, "beta=4, seed=1", from its config; "" if nothing."""
        called = zip(self.settings, names(list(self.settings)), strict=True)
        words = [name for setting, name in called if any(r is run for r in setting.runs)]
        if len({canonical(run.seed) for run in self.runs}) > 1:
            words.append(f"seed={text(run.seed)}")
        return ", ".join(filter(None, words))

    def options(self, key: str) -> list[Any]:
        """The values of a swept key: numbers by size, then words as they first appear."""
        found = [values[key] for values in self.values]
        places = _places(found)
        distinct = {canonical(v): v for v in found if v is not None}
        return [distinct[name] for name in sorted(distinct, key=lambda name: places[name])]

    def lines(self, *along: str, least: int = 1) -> list[tuple[str, list[Setting]]]:
        """Settings by what they have beside the keys `along`: the lines of a plot, with names.

        least: lines with fewer settings are left out. Those with most come first.
        """
        found: dict[tuple, list[Setting]] = {}
        for setting in self.settings:
            rest = tuple(canonical(v) for k, v in setting.values.items() if k not in along)
            found.setdefault(rest, []).append(setting)
        kept = [settings for settings in found.values() if len(settings) >= least]
        kept.sort(key=len, reverse=True)
        called = names([settings[0] for settings in kept], without=along)
        return list(zip(called, kept, strict=True))

    def comparable(self) -> list[tuple[str, list[Setting]]]:
        """Finished settings whose losses have one meaning: of one data, of one density of pixels.

        With what tells the groups apart, in words; "" if all can be compared.
        """
        found: dict[tuple, list[Setting]] = {}
        told: dict[tuple, dict[str, str]] = {}
        for setting in self.settings:
            if setting.done:  # the others have no losses
                measure = _measure(setting)
                key = tuple(sorted(measure.items()))
                found.setdefault(key, []).append(setting)
                told[key] = measure
        return list(zip(_apart(list(told.values())), found.values(), strict=True))

    def rankings(self) -> list[tuple[str, list[Setting]]]:
        """Settings by rising validation loss where losses can be compared: one data, one beta.

        Settings without the loss are left out, and groups of fewer than two.
        """
        ranked = []
        groups = self.comparable()
        for where, settings in groups:
            betas: dict[str, list[Setting]] = {}
            for setting in settings:
                if setting.mean("validation_loss") is not None:
                    betas.setdefault(canonical(beta(setting.runs[0])), []).append(setting)
            for same in sorted(betas.values(), key=lambda s: order(beta(s[0].runs[0]))):
                if len(same) > 1:
                    same = sorted(same, key=lambda s: s.mean("validation_loss") or 0.0)
                    known = beta(same[0].runs[0])
                    words = [where] if len(groups) > 1 else []
                    words += [] if known is None else [f"beta {known:g}"]
                    ranked.append((", ".join(words), same))
        return ranked


def collect(directories: list[Path]) -> Comparison:
    """The runs at `directories`, read as far as they can be."""
    directories = list(dict.fromkeys(path.absolute() for path in directories))
    parents = {str(path.parent) for path in directories}
    root = os.path.commonpath(parents) if parents else "."
    return compared([read_run(p, p.relative_to(root).as_posix()) for p in directories])


def compared(runs: list[RunRecord]) -> Comparison:
    """`runs` side by side; settings by size of their values, words as they first appear."""
    swept = Swept(runs)
    by_setting: dict[tuple, list[int]] = {}
    for place, values in enumerate(swept.values):
        by_setting.setdefault(tuple(map(canonical, values.values())), []).append(place)
    settings = [
        Setting(swept.values[p[0]], tuple(runs[place] for place in p), swept.choices[p[0]])
        for p in by_setting.values()
    ]
    places = {key: _places([values[key] for values in swept.values]) for key in swept.keys}
    settings = sorted(
        settings, key=lambda s: [places[k][canonical(v)] for k, v in s.values.items()]
    )
    return Comparison(tuple(runs), swept.keys, tuple(settings), tuple(swept.values))


def _measure(setting: Setting) -> dict[str, str]:
    """All that decides what a setting's losses are losses of."""
    found = {g: setting.choices[g] for g in ("data", "likelihood") if g in setting.choices}
    config = setting.done[0].config or {}
    for key in sorted(set(config) - _NO_MATTER):
        if key.startswith("data.") and not key.startswith("data.suggested."):
            found[key] = text(config[key])
    return found


def _apart(measures: list[dict[str, str]]) -> list[str]:
    """What tells each from the others; keys that follow from the data's name are left out."""
    keys = list(dict.fromkeys(key for measure in measures for key in measure))
    kept = []
    for key in keys:
        values = {(m.get("data") if key.startswith("data.") else "", m.get(key)) for m in measures}
        if len(values) > len({data for data, _ in values}):
            kept.append(key)
    return [", ".join(f"{key} {m[key]}" for key in kept if key in m) for m in measures]


def names(settings: list[Setting], *, without: tuple[str, ...] = ()) -> list[str]:
    """What tells settings apart, "strategy=none, beta=4", without some keys; "" if nothing does.

    With more than two keys, choices of groups stand without their group.
    """
    keys = [k for k in (settings[0].values if settings else ()) if k not in without]
    keys = [k for k in keys if len({canonical(s.values[k]) for s in settings}) > 1]
    return [_name(setting, keys) for setting in settings]


def _name(setting: Setting, keys: list[str]) -> str:
    parts = []
    for key in keys:
        value = setting.values[key]
        if value is None:
            continue
        if len(keys) <= 2 or key not in GROUPS:
            parts.append(f"{short(key, keys)}={text(value)}")
        else:
            parts.append(f"{text(value)} {key}" if key == "decoder" else text(value))
    return ", ".join(parts)


def _places(values: list[Any]) -> dict[str, tuple]:
    """For each value, canonical, what it sorts by."""
    met = {}
    for value in values:
        met.setdefault(canonical(value), (*order(value)[:2], len(met)))
    return met


def spread(values: list[float]) -> Spread | None:
    """Mean and sample standard deviation; None of no values."""
    if not values:
        return None
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), deviation, len(values))


def beta(run: RunRecord) -> float | None:
    """The run's target weight of the KL; None if it is not known."""
    return number((run.config or run.overrides).get(BETA))


def short(key: str, among: Any) -> str:
    """The last part of a key if no other of `among` ends in it, else the key."""
    last = key.rpartition(".")[2]
    return last if [k.rpartition(".")[2] for k in among].count(last) <= 1 else key
