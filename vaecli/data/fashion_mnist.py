"""Fashion-MNIST: 60,000 + 10,000 grey pictures of clothes of 28x28 (Xiao et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vaecli.data.sets.downloaded import IdxSet, mnist_files


@dataclass(frozen=True, kw_only=True)
class FashionMnist(IdxSet):
    """Fashion-MNIST in <root>/FashionMNIST/raw; grey by default, as its shades carry texture."""

    def files(self) -> tuple[tuple[Path, str, str], tuple[Path, str, str]]:
        """Folder, images and labels of the training part, and of the test part."""
        return mnist_files(self.directory / "FashionMNIST" / "raw")

    def fetch(self) -> None:
        """Download through torchvision, which checks MD5 sums."""
        from torchvision.datasets import FashionMNIST  # slow to import

        FashionMNIST(self.directory, download=True)
