"""CIFAR-10: 50,000 + 10,000 colour photographs of 32x32 in ten classes (Krizhevsky 2009)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vaecli.data.sets.base import Split
from vaecli.data.sets.checksummed import ChecksummedSet


@dataclass(frozen=True, kw_only=True)
class Cifar10(ChecksummedSet):
    """CIFAR-10 in <root>/cifar-10-batches-py, unpickled only if torchvision's MD5 sums hold."""

    def fetch(self) -> None:
        """Download through torchvision, which checks MD5 sums."""
        from torchvision.datasets import CIFAR10  # slow to import

        CIFAR10(self.directory, download=True)

    def read(self) -> tuple[Split, Split]:
        """Training and test part, uint8 (N, 3, 32, 32)."""
        train, test = (
            self.through_torchvision(lambda part=part: self._part(train=part))
            for part in (True, False)
        )
        return train, test

    def _part(self, *, train: bool) -> Split:
        from torchvision.datasets import CIFAR10

        part = CIFAR10(self.directory, train=train)
        x = np.ascontiguousarray(part.data.transpose(0, 3, 1, 2))  # (N, 32, 32, 3) before
        return Split(torch.from_numpy(x), torch.tensor(part.targets, dtype=torch.int64))

    def sums(self) -> list[tuple[Path, str]]:
        """Every file that is needed, with its MD5 sum."""
        from torchvision.datasets import CIFAR10

        listed = [*CIFAR10.train_list, *CIFAR10.test_list]
        listed.append([CIFAR10.meta["filename"], CIFAR10.meta["md5"]])
        return [(self.directory / CIFAR10.base_folder / name, md5) for name, md5 in listed]
