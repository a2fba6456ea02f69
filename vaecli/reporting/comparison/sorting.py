"""A comparison in another order."""

from __future__ import annotations

import dataclasses
from typing import Any

from vaecli.core.errors import require
from vaecli.diagnosis.figures import compared
from vaecli.reporting.comparison.groups import Comparison
from vaecli.reporting.comparison.swept import sort_key


def sorted_by(comparison: Comparison, key: str) -> Comparison:
    """Settings and runs ordered by a swept key, a figure or the seed; `-key`: falling.

    What has no such figure comes last. Raises UsageError for a key that is none of these.
    """
    name = key.removeprefix("-")
    names = [*comparison.keys, *(figure.key for figure in compared()), "seed"]
    require(
        name in names, "--sort", key, "is no swept key and no figure", f"try {', '.join(names)}"
    )
    falling = key.startswith("-")
    values = {id(run): v for run, v in zip(comparison.runs, comparison.values, strict=True)}

    def of_run(run: Any) -> Any:
        if name == "seed":
            return run.seed
        return values[id(run)][name] if name in comparison.keys else run.figure(name)

    def of_setting(setting: Any) -> Any:
        if name == "seed":
            return None  # runs are sorted by it, settings have several
        return setting.values[name] if name in comparison.keys else setting.mean(name)

    runs = _ordered(list(comparison.runs), of_run, falling=falling)
    settings = [
        dataclasses.replace(s, runs=tuple(_ordered(list(s.runs), of_run, falling=falling)))
        for s in _ordered(list(comparison.settings), of_setting, falling=falling)
    ]
    return dataclasses.replace(
        comparison,
        runs=tuple(runs),
        settings=tuple(settings),
        values=tuple(values[id(run)] for run in runs),
    )


def _ordered(items: list, value_of: Any, *, falling: bool) -> list:
    with_value = [item for item in items if value_of(item) is not None]
    without = [item for item in items if value_of(item) is None]
    with_value.sort(key=lambda item: sort_key(value_of(item)), reverse=falling)
    return with_value + without
