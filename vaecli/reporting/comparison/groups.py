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
from vaecli.reporting.comparison.swept import (
    GROUPS,
    Swept,
    as_number,
    canonical,
    format_value,
    sort_key,
)

BETA = "schedule.beta"
LATENT_DIM = "model.latent_dim"
# Keys of data that do not change the density that a model of it has to match: its name, which is
# shown anyway, where it lies, how much of it is used, labels.
_IRRELEVANT = {"data.name", "data.root", "data.path", "data.download", "data.memory_limit_gb"}
_IRRELEVANT |= {"data.limit", "data.val_fraction", "data.label_key", "data.test_label_key"}


class Spread(NamedTuple):
    """A figure over the runs of a setting that have it."""

    mean: float
    deviation: float | None  # sample standard deviation (n - 1); None of a single run
    n: int


class _Ended:
    """Runs by their end."""

    runs: tuple[RunRecord, ...]

    @cached_property
    def done(self) -> tuple[RunRecord, ...]:
        """The runs that finished: all figures are over them."""
        return tuple(run for run in self.runs if run.done)

    @cached_property
    def unfinished(self) -> tuple[RunRecord, ...]:
        """The runs that did not."""
        return tuple(run for run in self.runs if not run.done)


@dataclass(frozen=True)
class Setting(_Ended):
    """Runs that agree in everything but their seed."""

    values: dict[str, Any]  # swept key -> value; None where a run has none
    runs: tuple[RunRecord, ...]
    choices: dict[str, str] = field(default_factory=dict)  # group -> option

    @property
    def statuses(self) -> list[tuple[str, int]]:
        """The count of each status: diagnoses from healthy to collapsed, then other ends."""
        counts = Counter(run.status for run in self.runs)
        diagnoses = [status for status in Status if status in counts]
        return [(s, counts[s]) for s in (*diagnoses, *sorted(set(counts) - set(diagnoses)))]

    def run_figures(self, key: str) -> list[float]:
        """A figure of each finished run that has it."""
        return [figure for run in self.done if (figure := run.figure(key)) is not None]

    def figure(self, key: str) -> Spread | None:
        """Mean and spread of a figure; None if no finished run has it."""
        return spread(self.run_figures(key))

    def mean(self, key: str) -> float | None:
        """The mean alone."""
        figure = self.figure(key)
        return None if figure is None else figure.mean

    @cached_property
    def first(self) -> RunRecord | None:
        """The finished run with the lowest seed."""
        return min(self.done, key=lambda run: sort_key(run.seed), default=None)


@dataclass(frozen=True)
class Comparison(_Ended):
    """Runs, the keys in which they differ, and the settings that these make."""

    runs: tuple[RunRecord, ...]
    keys: tuple[str, ...]  # swept, without the seed
    settings: tuple[Setting, ...]
    values: tuple[dict[str, Any], ...]  # of each run

    @property
    def repeated(self) -> bool:
        """True if some setting has several runs."""
        return len(self.settings) < len(self.runs)

    def label_of(self, run: RunRecord) -> str:
        """The values that distinguish a run, "beta=4, seed=1"; "" if none do."""
        labels = label_settings(list(self.settings))
        pairs = zip(self.settings, labels, strict=True)
        words = [label for setting, label in pairs if any(r is run for r in setting.runs)]
        if len({canonical(run.seed) for run in self.runs}) > 1:
            words.append(f"seed={format_value(run.seed)}")
        return ", ".join(filter(None, words))

    def options(self, key: str) -> list[Any]:
        """The values of a swept key: numbers by size, then words as they first appear."""
        values = [of_run[key] for of_run in self.values]
        sort_keys = _sort_keys(values)
        distinct = {canonical(value): value for value in values if value is not None}
        return [distinct[name] for name in sorted(distinct, key=lambda name: sort_keys[name])]

    def lines(self, *along: str, least: int = 1) -> list[tuple[str, list[Setting]]]:
        """Settings that agree in all keys but `along`: the lines of a plot, with labels.

        least: lines with fewer settings are left out. Those with most come first.
        """
        by_rest: dict[tuple, list[Setting]] = {}
        for setting in self.settings:
            rest = tuple(canonical(v) for k, v in setting.values.items() if k not in along)
            by_rest.setdefault(rest, []).append(setting)
        lines = [settings for settings in by_rest.values() if len(settings) >= least]
        lines.sort(key=len, reverse=True)
        labels = label_settings([settings[0] for settings in lines], without=along)
        return list(zip(labels, lines, strict=True))

    def comparable(self) -> list[tuple[str, list[Setting]]]:
        """Groups of finished settings whose losses have one meaning: one data, one density.

        Each with a label, its differences from the other groups; "" if there is one group.
        """
        groups: dict[tuple, list[Setting]] = {}
        definitions: dict[tuple, dict[str, str]] = {}
        for setting in self.settings:
            if setting.done:  # the others have no losses
                definition = _loss_definition(setting)
                key = tuple(sorted(definition.items()))
                groups.setdefault(key, []).append(setting)
                definitions[key] = definition
        return list(zip(_differences(list(definitions.values())), groups.values(), strict=True))

    def rankings(self) -> list[tuple[str, list[Setting]]]:
        """Settings by rising validation loss where losses can be compared: one data, one beta.

        Settings without the loss are left out, and groups of fewer than two.
        """
        rankings = []
        groups = self.comparable()
        for where, settings in groups:
            betas: dict[str, list[Setting]] = {}
            for setting in settings:
                if setting.mean("validation_loss") is not None:
                    betas.setdefault(canonical(beta_of(setting.runs[0])), []).append(setting)
            for same in sorted(betas.values(), key=lambda s: sort_key(beta_of(s[0].runs[0]))):
                if len(same) > 1:
                    same = sorted(same, key=lambda s: s.mean("validation_loss") or 0.0)
                    beta = beta_of(same[0].runs[0])
                    words = [where] if len(groups) > 1 else []
                    words += [] if beta is None else [f"beta {beta:g}"]
                    rankings.append((", ".join(words), same))
        return rankings


def collect(directories: list[Path]) -> Comparison:
    """The runs at `directories`, read as far as they can be."""
    directories = list(dict.fromkeys(path.absolute() for path in directories))
    parents = {str(path.parent) for path in directories}
    root = os.path.commonpath(parents) if parents else "."
    return compare([read_run(p, p.relative_to(root).as_posix()) for p in directories])


def compare(runs: list[RunRecord]) -> Comparison:
    """`runs` side by side; settings by size of their values, words as they first appear."""
    swept = Swept(runs)
    by_setting: dict[tuple, list[int]] = {}
    for place, values in enumerate(swept.values):
        by_setting.setdefault(tuple(map(canonical, values.values())), []).append(place)
    settings = [
        Setting(swept.values[p[0]], tuple(runs[place] for place in p), swept.choices[p[0]])
        for p in by_setting.values()
    ]
    sort_keys = {key: _sort_keys([values[key] for values in swept.values]) for key in swept.keys}
    settings = sorted(
        settings, key=lambda s: [sort_keys[k][canonical(v)] for k, v in s.values.items()]
    )
    return Comparison(tuple(runs), swept.keys, tuple(settings), tuple(swept.values))


def _loss_definition(setting: Setting) -> dict[str, str]:
    """The choices and keys that a loss depends on by definition: data and likelihood."""
    definition = {g: setting.choices[g] for g in ("data", "likelihood") if g in setting.choices}
    config = setting.done[0].config or {}
    for key in sorted(set(config) - _IRRELEVANT):
        if key.startswith("data.") and not key.startswith("data.suggested."):
            definition[key] = format_value(config[key])
    return definition


def _differences(definitions: list[dict[str, str]]) -> list[str]:
    """The values of each that others do not have; keys that follow from the data's name not."""
    differing = []
    for key in dict.fromkeys(key for definition in definitions for key in definition):
        of_data = key.startswith("data.")
        values = {(d.get("data") if of_data else "", d.get(key)) for d in definitions}
        if len(values) > len({data for data, _ in values}):
            differing.append(key)
    return [", ".join(f"{key} {d[key]}" for key in differing if key in d) for d in definitions]


def label_settings(settings: list[Setting], *, without: tuple[str, ...] = ()) -> list[str]:
    """The values that distinguish each setting, "strategy=none, beta=4"; "" if none do.

    without: keys to leave out. With more than two keys, choices of groups stand without their
    group.
    """
    keys = [k for k in (settings[0].values if settings else ()) if k not in without]
    keys = [k for k in keys if len({canonical(s.values[k]) for s in settings}) > 1]
    return [_label(setting, keys) for setting in settings]


def _label(setting: Setting, keys: list[str]) -> str:
    parts = []
    for key in keys:
        value = setting.values[key]
        if value is None:
            continue
        if len(keys) <= 2 or key not in GROUPS:
            parts.append(f"{short_key(key, keys)}={format_value(value)}")
        else:
            parts.append(format_value(value) + (" decoder" if key == "decoder" else ""))
    return ", ".join(parts)


def _sort_keys(values: list[Any]) -> dict[str, tuple]:
    """The sort key of each canonical value: numbers by size, words as they first appear."""
    sort_keys: dict[str, tuple] = {}
    for value in values:
        sort_keys.setdefault(canonical(value), (*sort_key(value)[:2], len(sort_keys)))
    return sort_keys


def spread(values: list[float]) -> Spread | None:
    """Mean and sample standard deviation; None of no values."""
    if not values:
        return None
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), deviation, len(values))


def beta_of(run: RunRecord) -> float | None:
    """The run's target weight of the KL; None if it is not known."""
    return as_number((run.config or run.overrides).get(BETA))


def short_key(key: str, among: Any) -> str:
    """The last part of a key if no other of `among` ends in it, else the key."""
    last = key.rpartition(".")[2]
    return last if [k.rpartition(".")[2] for k in among].count(last) <= 1 else key
