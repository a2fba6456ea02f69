"""Base of the sets of the user's files: a path, a random test part, a memory limit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from vaecli.core.errors import UsageError, require
from vaecli.data.files.images import Binarise
from vaecli.data.files.memory_map import Block, Rows, exceeds, gather
from vaecli.data.sets.image_set import ImageSet
from vaecli.data.sets.place import place
from vaecli.data.sets.split_set import require_fraction
from vaecli.data.sets.splits import Plan, plan_splits


@dataclass(frozen=True, kw_only=True)
class LocalSet(ImageSet):
    """Data at `data.path`; larger than `memory_limit_gb` (10^9 bytes), it is memory-mapped."""

    path: str | None = None
    test_fraction: float = 0.2
    memory_limit_gb: float = 4.0

    @property
    def location(self) -> Path:
        """`path`: ~ expanded, relative to the working directory."""
        return place("data.path", self.path or "")

    def validate(self) -> None:
        """Raise UsageError for keys outside their range, or no path."""
        super().validate()
        require(
            bool(self.path),
            "data.path",
            "" if self.path is None else self.path,
            f"data={self.name} needs to know where the data is",
            "add data.path=WHERE",
        )
        require_fraction("data.test_fraction", self.test_fraction)
        require(
            self.memory_limit_gb >= 0,
            "data.memory_limit_gb",
            self.memory_limit_gb,
            "must be at least 0, which maps everything",
            "try data.memory_limit_gb=4",
        )

    def plan(self, n: int, test_fraction: float) -> Plan:
        """Divide n examples."""
        return plan_splits(
            n,
            seed=self.seed,
            val_fraction=self.val_fraction,
            test_fraction=test_fraction,
            limit=self.limit,
            key="data.path",
            value=self.path,
        )

    def fault(self, rule: str, remedy: str) -> NoReturn:
        """Refuse the files at `path`."""
        raise UsageError("data.path", self.path, rule, remedy)

    def gather(
        self, blocks: Iterable[Block], shape: tuple[int, ...], dtype: np.dtype, *, facts: object
    ) -> Rows:
        """Gather rows by `memory_map.gather`, after a check of `binarise`.

        Binarised images are a copy, so they have to fit in memory.

        Args:
            blocks: positions and rows.
            shape: (M, C, H, W) of the result.
            dtype: of its numbers.
            facts: everything that determines the rows.

        Returns:
            The rows, and where they lie.

        Raises:
            UsageError: the images cannot be binarised, or the cache cannot be written.
        """
        self.require_binarisable(shape[1], real=dtype.kind == "f")
        require(
            self.binarise is Binarise.none or not exceeds(shape, dtype, self.memory_limit_gb),
            "data.binarise",
            self.binarise.name,
            f"binarised images are held in memory, and {self.path} exceeds data.memory_limit_gb="
            f"{self.memory_limit_gb:g}",
            "raise data.memory_limit_gb, set data.limit or data.image_size, or binarise=none",
        )
        return gather(blocks, shape, dtype, limit_gb=self.memory_limit_gb, facts=facts)
