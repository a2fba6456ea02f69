"""The swept settings: those in which runs differ, without those that follow from others."""

from __future__ import annotations

from collections.abc import Iterable
from os.path import commonprefix
from pathlib import PurePath
from typing import Any

from vaecli.reporting.comparison.runs import RunRecord

# Group -> the key of the config that names its option. A strategy is the set that is switched on.
GROUPS = {
    "data": "data.name",
    "model": "model.name",
    "decoder": "decoder.size",
    "likelihood": "likelihood.name",
    "schedule": "schedule.name",
    "strategy": "strategy.use",
}
# Keys that have no part in training, or that say only where the data lies.
_NEVER = {"device", "resume", "data.root", "data.path", "data.download"}
_NEVER |= {"data.memory_limit_gb", "trainer.checkpoint_every", "experiment", "trainer", "diagnosis"}
_NEVER_WITHIN = ("diagnosis.", "extend", "sweep.", "hydra.", "strategy.use.", "data.suggested.")


class Swept:
    """The swept keys of some runs, and each run's values of them.

    First come group choices under the group's name, then dotted keys. `seed` is none of them: runs
    that agree in all keys are one setting, made with several seeds.
    """

    def __init__(self, runs: list[RunRecord]):
        self.choices = _choices(runs)  # of each run: group -> option
        self._others = [_others(run) for run in runs]
        typed = {key for run in runs for key in run.overrides}
        groups = [g for g in GROUPS if len({c[g] for c in self.choices if g in c}) > 1]
        if "likelihood" in groups and "likelihood" not in typed and self._follows("likelihood"):
            groups.remove("likelihood")
        keys = dict.fromkeys(key for others in self._others for key in others)
        swept = [key for key in keys if self._is_swept(key, key in typed)]
        # Typed keys stand first, in the order in which they were typed.
        order = list(dict.fromkeys(key for run in runs for key in run.overrides))
        swept.sort(key=lambda key: order.index(key) if key in order else len(order))
        self.keys: tuple[str, ...] = (*groups, *swept)
        self.values: list[dict[str, Any]] = [
            {key: (c if key in GROUPS else o).get(key) for key in self.keys}
            for c, o in zip(self.choices, self._others, strict=True)
        ]

    def _is_swept(self, key: str, typed: bool) -> bool:
        """True if runs of the same choices differ in `key`; of a typed key, if any runs do."""
        return _differ(
            (() if typed else [chosen.get(group) for group in GROUPS], others[key])
            for chosen, others in zip(self.choices, self._others, strict=True)
            if key in others
        )

    def _follows(self, group: str) -> bool:
        """True if the other choices decide this one."""
        return not _differ(
            ([chosen.get(g) for g in GROUPS if g != group], chosen.get(group))
            for chosen in self.choices
        )


def _differ(pairs: Iterable[tuple[Any, Any]]) -> bool:
    """True if some first element stands beside different second elements."""
    seconds: dict[str, set[str]] = {}
    for first, second in pairs:
        seconds.setdefault(canonical(first), set()).add(canonical(second))
    return any(len(different) > 1 for different in seconds.values())


def _choices(runs: list[RunRecord]) -> list[dict[str, str]]:
    """The option of each group of every run; of one without a config, those that were typed."""
    choices = []
    for run, file in zip(runs, _files(runs), strict=True):
        config = run.config or {}
        typed = {g: run.overrides[g] for g in GROUPS if g in run.overrides}
        resolved = {g: config[k] for g, k in GROUPS.items() if config.get(k) is not None}
        chosen = {g: format_value(option) for g, option in (typed | resolved).items()}
        switched_on = [key for key, on in config.items() if on is True]
        used = [key.rpartition(".")[2] for key in switched_on if key.startswith("strategy.use.")]
        if used:
            chosen["strategy"] = "+".join(sorted(used))
        if file and "data" in chosen:
            chosen["data"] += f":{file}"
        choices.append(chosen)
    return choices


def _files(runs: list[RunRecord]) -> list[str]:
    """The path of each run's own data, without the directories that all share; "" of other data.

    Copies, whose digests are equal, get the path of the first. A path at which the data changed
    gets the digest, too. A digest is of the training split: only runs that split alike can differ.
    """
    files = [(_path(run), str(run.summary.get("data_digest") or "")) for run in runs]
    first = {path: path for path, _ in files}  # each path -> the first path of the same data
    for digest in dict.fromkeys(digest for _, digest in files if digest):
        copies = [first[path] for path, other in files if path and other == digest]
        first = {path: copies[0] if at in copies else at for path, at in first.items()}
    digests: dict[tuple, set[str]] = {}  # path and split -> the digests of the data there
    for run, (path, digest) in zip(runs, files, strict=True):
        if path and digest:
            config = sorted((run.config or {}).items())
            split = [(k, canonical(v)) for k, v in config if k[:5] == "data." and k not in _NEVER]
            digests.setdefault((path, *split), set()).add(digest)
    changed = {first[path] for (path, *_), several in digests.items() if len(several) > 1}
    shared = len(commonprefix([PurePath(path).parts[:-1] for path in first.values() if path]))
    return [
        str(PurePath(*PurePath(first[path]).parts[shared:])) * bool(path)
        + f" ({digest or 'unknown'})" * (first[path] in changed)
        for path, digest in files
    ]


def _path(run: RunRecord) -> str:
    path = (run.config or {}).get("data.path")
    return str(PurePath(str(path))) if path else ""


def canonical(value: Any) -> str:
    """A text that is equal for equal values: 1 and 1.0 are, 1 and True are not."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(canonical(item) for item in value)}]"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(float(value))
    return f"{type(value).__name__} {value}"


def format_value(value: Any) -> str:
    """A value of a config as one would type it, on one line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(format_value(item) for item in value)}]"
    return " ".join(str(value).split())


def as_number(value: Any) -> float | None:
    """A value of a config as a finite number; None if it is none."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < float("inf") else None


def sort_key(value: Any) -> tuple:
    """A key that sorts numbers by size, then words, then None."""
    size = as_number(value)
    if size is not None:
        return (0, size, "")
    return (2, 0.0, "") if value is None else (1, 0.0, format_value(value))


def _others(run: RunRecord) -> dict[str, Any]:
    """The values of a run beside choices of groups, its seed and keys without effect."""
    excluded = {*GROUPS, *GROUPS.values(), *_NEVER, "seed"}
    values = run.overrides if run.config is None else run.config
    return {
        key: value
        for key, value in values.items()
        if key not in excluded
        and not key.startswith(_NEVER_WITHIN)
        and (run.config is not None or "." in key)
    }
