"""Pairs of options as parameters of a test, of which a few are enough for every day."""

from collections.abc import Callable, Sequence

import pytest


def pairs(
    firsts: Sequence[str], seconds: Sequence[str], valid: Callable = lambda first, second: True
) -> list:
    """Every valid pair; one that shows no value of its own is slow, and left to `make test-all`.

    Pairs are taken along the diagonals, so that every value has another partner.
    """
    made, shown = [], set()
    for shift in range(len(seconds)):
        for place, first in enumerate(firsts):
            second = seconds[(place + shift) % len(seconds)]
            if valid(first, second):
                new = {(0, first), (1, second)} - shown
                shown |= new
                made.append(pytest.param(first, second, marks=() if new else pytest.mark.slow))
    return made
