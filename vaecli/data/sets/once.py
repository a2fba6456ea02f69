"""Figures that take seconds and depend on the data alone: each is computed once a data set."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from vaecli.data.sets.base import Data

Keys = ParamSpec("Keys")
Figure = TypeVar("Figure")


def once(
    compute: Callable[Concatenate[Data, Keys], Figure],
) -> Callable[Concatenate[Data, Keys], Figure]:
    """Let `compute(data, *keys)` run once for each data set and each value of the keys.

    The figures are dropped with the data set. The runs of a sweep share a data set and nothing
    else, and each of them asks more than once: at its start, in its report.

    Args:
        compute: gets a data set and hashable keys; its result must not refer to the data set.

    Returns:
        The same function, which looks first whether the figure is there.
    """
    figures: WeakKeyDictionary[Data, dict[tuple, Figure]] = WeakKeyDictionary()

    @wraps(compute)
    def look_up(data: Data, *args: Keys.args, **kwargs: Keys.kwargs) -> Figure:
        of_data = figures.setdefault(data, {})
        key = (args, tuple(sorted(kwargs.items())))
        if key not in of_data:
            of_data[key] = compute(data, *args, **kwargs)
        return of_data[key]

    return look_up
