"""What was swept: the settings in which runs differ, without those that merely follow from them."""

from __future__ import annotations

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
# What has no part in training, or says only where the data lies.
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
        groups = [g for g in GROUPS if _differs([c.get(g) for c in self.choices])]
        if "likelihood" in groups and "likelihood" not in typed and self._follows("likelihood"):
            groups.remove("likelihood")
        keys = dict.fromkeys(key for others in self._others for key in others)
        swept = [key for key in keys if self._is_swept(key, key in typed)]
        # What was typed stands in the order in which it was typed.
        order = list(dict.fromkeys(key for run in runs for key in run.overrides))
        swept.sort(key=lambda key: order.index(key) if key in order else len(order))
        self.keys: tuple[str, ...] = (*groups, *swept)
        self.values: list[dict[str, Any]] = [
            {key: (c if key in GROUPS else o).get(key) for key in self.keys}
            for c, o in zip(self.choices, self._others, strict=True)
        ]

    def _is_swept(self, key: str, typed: bool) -> bool:
        by_choice: dict[tuple, set[str]] = {}
        for chosen, others in zip(self.choices, self._others, strict=True):
            if key in others:
                # What was typed may differ from one choice to the next.
                agreeing = () if typed else tuple(chosen.get(group) for group in GROUPS)
                by_choice.setdefault(agreeing, set()).add(canonical(others[key]))
        return any(len(values) > 1 for values in by_choice.values())

    def _follows(self, group: str) -> bool:
        """Whether the other choices decide this one."""
        decided: dict[tuple, set[Any]] = {}
        for chosen in self.choices:
            rest = tuple(chosen.get(g) for g in GROUPS if g != group)
            decided.setdefault(rest, set()).add(chosen.get(group))
        return all(len(values) == 1 for values in decided.values())


def _choices(runs: list[RunRecord]) -> list[dict[str, str]]:
    """The option of each group of every run; of one without a config, those that were typed."""
    files = _files(runs)
    found = []
    for run, file in zip(runs, files, strict=True):
        chosen = {g: text(run.overrides[g]) for g in GROUPS if g in run.overrides}
        config = run.config or {}
        for group, key in GROUPS.items():
            if config.get(key) is not None:
                chosen[group] = text(config[key])
        used = [key.rpartition(".")[2] for key, on in config.items() if _switched_on(key, on)]
        if used:
            chosen["strategy"] = "+".join(sorted(used))
        if file and "data" in chosen:
            chosen["data"] += f":{file}"
        found.append(chosen)
    return found


def _files(runs: list[RunRecord]) -> list[str]:
    """Which of the user's own data each run had; "" of other data.

    Files are the same data if their paths or the digests that runs recorded are equal. Data is
    called by as much of the end of its path as tells it from the others.
    """
    paths = [_path(run) for run in runs]
    digests = [str(run.summary.get("data_digest") or "") for run in runs]
    same = {path: path for path in paths if path}  # each path -> the first of the same data
    for digest in dict.fromkeys(filter(None, digests)):
        found = [same[p] for p, d in zip(paths, digests, strict=True) if p and d == digest]
        same = {p: found[0] if first in found else first for p, first in same.items()}
    rewritten = {same[path] for path in _rewritten(runs, paths, digests)}
    called = _ends(set(same.values())) | {"": ""}
    return [
        called[first] + (f" ({digest or 'unknown'})" if first in rewritten else "")
        for first, digest in zip((same.get(path, "") for path in paths), digests, strict=True)
    ]


def _path(run: RunRecord) -> str:
    path = (run.config or {}).get("data.path")
    return str(PurePath(str(path))) if path else ""


def _rewritten(runs: list[RunRecord], paths: list[str], digests: list[str]) -> set[str]:
    """Paths at which there was other data later; only the digest then tells it apart.

    A digest is of the training split, so only those of runs that split alike can be compared.
    """
    found: dict[tuple, set[str]] = {}
    for run, path, digest in zip(runs, paths, digests, strict=True):
        keys = [k for k in run.config or {} if k.startswith("data.") and k not in _NEVER]
        alike = tuple((k, canonical((run.config or {})[k])) for k in sorted(keys))
        if path and digest:
            found.setdefault((path, alike), set()).add(digest)
    return {path for (path, _), several in found.items() if len(several) > 1}


def _ends(paths: set[str]) -> dict[str, str]:
    """Every path's last parts, as few as tell all of them apart."""
    parts = {path: PurePath(path).parts for path in paths}
    count, ends = 0, {}
    while len(set(ends.values())) < len(paths):
        count += 1
        ends = {path: str(PurePath(*part[-count:])) for path, part in parts.items()}
    return ends


def canonical(value: Any) -> str:
    """Equal for equal values: 1 and 1.0 are, 1 and True are not."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(canonical(item) for item in value)}]"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(float(value))
    return f"{type(value).__name__} {value}"


def text(value: Any) -> str:
    """A value of a config as one would type it, on one line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(text(item) for item in value)}]"
    return " ".join(str(value).split())


def number(value: Any) -> float | None:
    """A value of a config as a number; None if it is none."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known and abs(value) < float("inf") else None


def order(value: Any) -> tuple:
    """A key that sorts numbers by size, before words; what is missing comes last."""
    size = number(value)
    if size is not None:
        return (0, size, "")
    return (2, 0.0, "") if value is None else (1, 0.0, text(value))


def _others(run: RunRecord) -> dict[str, Any]:
    named = set(GROUPS.values()) | set(GROUPS) | _NEVER | {"seed"}
    known = run.overrides if run.config is None else run.config
    return {
        key: value
        for key, value in known.items()
        if key not in named
        and not key.startswith(_NEVER_WITHIN)
        and (run.config is not None or "." in key)
    }


def _switched_on(key: str, value: Any) -> bool:
    return key.startswith("strategy.use.") and value is True


def _differs(values: list[Any]) -> bool:
    return len({value for value in values if value is not None}) > 1
