"""KMNIST: 60,000 + 10,000 cursive Japanese characters of 28x28 (Clanuwat et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vaecli.data.files.images import Binarise
from vaecli.data.sets.downloaded import IdxSet, mnist_files


@dataclass(frozen=True, kw_only=True)
class Kmnist(IdxSet):
    """KMNIST in <root>/KMNIST/raw."""

    binarise: Binarise = Binarise.dynamic

    def files(self) -> tuple[tuple[Path, str, str], tuple[Path, str, str]]:
        """Folder, images and labels of the training part, and of the test part."""
        return mnist_files(self.directory / "KMNIST" / "raw")

    def fetch(self) -> None:
        """Download through torchvision, which checks MD5 sums."""
        from torchvision.datasets import KMNIST  # slow to import

        KMNIST(self.directory, download=True)
