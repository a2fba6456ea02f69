"""MNIST: 60,000 + 10,000 handwritten digits of 28x28 (LeCun, Cortes & Burges)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vaecli.data.files.images import Binarise
from vaecli.data.sets.downloaded import IdxSet, mnist_files


@dataclass(frozen=True, kw_only=True)
class Mnist(IdxSet):
    """MNIST in <root>/MNIST/raw."""

    binarise: Binarise = Binarise.dynamic

    def files(self) -> tuple[tuple[Path, str, str], tuple[Path, str, str]]:
        """Folder, images and labels of the training part, and of the test part."""
        return mnist_files(self.directory / "MNIST" / "raw")

    def fetch(self) -> None:
        """Download through torchvision, which checks MD5 sums."""
        from torchvision.datasets import MNIST  # slow to import

        MNIST(self.directory, download=True)
