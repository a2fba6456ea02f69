"""What was swept: the settings in which runs differ, without those that merely follow from them."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from vaecli.reporting.comparison.runs import Run

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
_NEVER |= {"trainer.checkpoint_every", "experiment", "trainer", "diagnosis"}
_NEVER_WITHIN = ("diagnosis.", "extend", "sweep.", "hydra.", "strategy.use.", "data.suggested.")


class Swept:
    """The swept keys of some runs, and each run's values of them.

    First come group choices under the group's name, then dotted keys. `seed` is none of them: runs
    that agree in all keys are one setting, made with several seeds.
    """

    def __init__(self, runs: list[Run]):
        self._choices = [choices(run) for run in runs]
        self._others = [_others(run) for run in runs]
        typed = {key for run in runs for key in run.overrides}
        groups = [g for g in GROUPS if _differs([c.get(g) for c in self._choices])]
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
            for c, o in zip(self._choices, self._others, strict=True)
        ]

    def _is_swept(self, key: str, typed: bool) -> bool:
        by_choice: dict[tuple, set[str]] = {}
        for chosen, others in zip(self._choices, self._others, strict=True):
            if key in others:
                # What was typed may differ from one choice to the next.
                agreeing = () if typed else tuple(chosen.get(group) for group in GROUPS)
                by_choice.setdefault(agreeing, set()).add(canonical(others[key]))
        return any(len(values) > 1 for values in by_choice.values())

    def _follows(self, group: str) -> bool:
        """Whether the other choices decide this one."""
        decided: dict[tuple, set[Any]] = {}
        for chosen in self._choices:
            rest = tuple(chosen.get(g) for g in GROUPS if g != group)
            decided.setdefault(rest, set()).add(chosen.get(group))
        return all(len(values) == 1 for values in decided.values())


def choices(run: Run) -> dict[str, str]:
    """The option of each group of `run`; of one without a config, those that were typed."""
    chosen = {g: text(run.overrides[g]) for g in GROUPS if g in run.overrides}
    config = run.config
    if config is None:
        return chosen
    for group, key in GROUPS.items():
        if config.get(key) is not None:
            chosen[group] = text(config[key])
    used = [key.rpartition(".")[2] for key, on in config.items() if _switched_on(key, on)]
    if used:
        chosen["strategy"] = "+".join(sorted(used))
    # Where the data lies is no choice, which file of one's own it is, is one.
    if config.get("data.path") and "data" in chosen:
        chosen["data"] += f":{PurePath(str(config['data.path'])).name}"
    return chosen


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


def _others(run: Run) -> dict[str, Any]:
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
