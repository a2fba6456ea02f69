"""The training, validation and test parts of a data set, drawn by `data.seed`."""

# N examples of the source, M examples used

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from vaecli.core.errors import require
from vaecli.data.sets.base import Split

FEWEST_EXAMPLES = 10  # below this a split has no meaning


def generator(seed: int, purpose: str) -> torch.Generator:
    """A CPU generator for one purpose; streams of two purposes do not shift each other."""
    digest = hashlib.sha256(f"{purpose}:{seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


@dataclass(frozen=True)
class Plan:
    """The source rows in use, shuffled: first the test part, then validation, then training."""

    order: Tensor  # (M,) int64 rows of the source
    n_test: int
    n_val: int

    def parts(
        self, x: Tensor, y: Tensor | None, *, memory_mapped: bool = False
    ) -> tuple[Split, Split, Split]:
        """Cut examples that are already in `order` into the three parts.

        Args:
            x: examples (M, ...).
            y: their labels (M,), or None.
            memory_mapped: True if x lies in a file.

        Returns:
            (train, val, test), contiguous views of x and y.
        """
        ends = (0, self.n_test, self.n_test + self.n_val, len(self.order))
        test, val, train = (
            Split(x[a:b], None if y is None else y[a:b], memory_mapped=memory_mapped)
            for a, b in zip(ends[:-1], ends[1:], strict=True)
        )
        return train, val, test


def plan_splits(
    n: int,
    *,
    seed: int,
    val_fraction: float,
    test_fraction: float = 0.0,
    limit: int | None = None,
    key: str = "data.name",
    value: object = "",
) -> Plan:
    """Shuffle n examples and divide them.

    Args:
        n: examples of the source.
        seed: of the order.
        val_fraction: share of the examples that are not for testing.
        test_fraction: share of all n. A fraction above 0 gets at least one example.
        limit: use at most this many training examples.
        key: config key to name if there are fewer than FEWEST_EXAMPLES.
        value: its value.

    Returns:
        The rows of each part.

    Raises:
        UsageError: too few examples, or none for training.
    """
    require(
        n >= FEWEST_EXAMPLES,
        key,
        value,
        f"holds {n} examples, and at least {FEWEST_EXAMPLES} are needed",
        "point it at a larger data set",
    )
    order = torch.randperm(n, generator=generator(seed, "split"))
    n_test = _share(n, test_fraction)
    require(
        n - n_test >= 2,
        "data.test_fraction",
        test_fraction,
        f"leaves {n - n_test} of {n} examples to train on and to validate",
        "try 0.1",
    )
    n_val = _share(n - n_test, val_fraction)
    n_train = n - n_test - n_val
    require(
        n_train >= 1,
        "data.val_fraction",
        val_fraction,
        f"leaves nothing to train on of {n} examples",
        "try data.val_fraction=0.1",
    )
    if limit is not None:
        n_train = min(n_train, limit)
    return Plan(order[: n_test + n_val + n_train], n_test, n_val)


def _share(n: int, fraction: float) -> int:
    return max(1, round(n * fraction)) if fraction > 0 else 0
