"""SVHN: 73,257 + 26,032 colour photographs of house numbers of 32x32 (Netzer et al. 2011)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vaecli.data.sets.base import Split
from vaecli.data.sets.checksummed import ChecksummedSet

PARTS = ("train", "test")  # without `extra`, which is of easier images


@dataclass(frozen=True, kw_only=True)
class Svhn(ChecksummedSet):
    """SVHN as <root>/train_32x32.mat and test_32x32.mat, where torchvision puts them."""

    def fetch(self) -> None:
        """Download through torchvision, which checks MD5 sums."""
        from torchvision.datasets import SVHN  # slow to import

        for part in PARTS:
            SVHN(self.directory, split=part, download=True)

    def read(self) -> tuple[Split, Split]:
        """Training and test part, uint8 (N, 3, 32, 32); torchvision makes the digit 0 class 0."""
        train, test = (
            self.through_torchvision(lambda part=part: self._part(part)) for part in PARTS
        )
        return train, test

    def _part(self, part: str) -> Split:
        from torchvision.datasets import SVHN

        loaded = SVHN(self.directory, split=part)
        x = np.ascontiguousarray(loaded.data)  # (N, 3, 32, 32), a view of (32, 32, 3, N)
        return Split(torch.from_numpy(x), torch.from_numpy(loaded.labels))

    def sums(self) -> list[tuple[Path, str]]:
        """Every file that is needed, with its MD5 sum."""
        from torchvision.datasets import SVHN

        listed = [SVHN.split_list[part] for part in PARTS]
        return [(self.directory / name, md5) for _, name, md5 in listed]
