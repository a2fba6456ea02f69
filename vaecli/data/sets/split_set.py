"""Base of the sets that are divided by a seed: their common keys, and checks of keys."""

from __future__ import annotations

from dataclasses import dataclass

from vaecli.core.errors import require
from vaecli.core.options import option_name
from vaecli.data.sets.base import DataSet


@dataclass(frozen=True, kw_only=True)
class SplitSet(DataSet):
    """The keys common to sets of images and of sequences."""

    val_fraction: float = 0.1
    limit: int | None = None  # most training examples; None uses all
    seed: int = 0

    @property
    def name(self) -> str:
        """The option's name, as in `data=mnist`."""
        return option_name(self)

    def validate(self) -> None:
        """Raise UsageError for keys outside their range."""
        require_fraction("data.val_fraction", self.val_fraction)
        require_least("data.limit", self.limit, 1, example=1000)
        require_least("data.seed", self.seed, 0, example=0)


def require_fraction(key: str, value: float) -> None:
    """Raise UsageError unless 0 < value < 1 (which also refuses NaN)."""
    require(0 < value < 1, key, value, "must lie between 0 and 1", f"try {key}=0.1")


def require_least(key: str, value: int | None, least: int, *, example: int) -> None:
    """Raise UsageError for a number that is too small.

    Args:
        key: the config key.
        value: its value; None is no limit, and passes.
        least: smallest value allowed.
        example: a value to propose.
    """
    require(
        value is None or value >= least,
        key,
        value,
        f"must be at least {least}",
        f"try {key}={example}",
    )
