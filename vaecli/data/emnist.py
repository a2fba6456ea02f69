"""EMNIST: handwritten letters and digits of 28x28 (Cohen et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from vaecli.data.files.images import Binarise
from vaecli.data.sets.base import Split
from vaecli.data.sets.downloaded import IdxSet


class EmnistSplit(Enum):
    """The ways in which EMNIST is divided into classes; the names are the words of `data.split`."""

    byclass = "byclass"
    bymerge = "bymerge"
    balanced = "balanced"
    letters = "letters"
    digits = "digits"
    mnist = "mnist"


@dataclass(frozen=True, kw_only=True)
class Emnist(IdxSet):
    """One of EMNIST's selections, in <root>/EMNIST/raw."""

    binarise: Binarise = Binarise.dynamic
    split: EmnistSplit = EmnistSplit.balanced

    def files(self) -> tuple[tuple[Path, str, str], tuple[Path, str, str]]:
        """Folder, images and labels of the training part, and of the test part."""
        train, test = (
            (
                self.directory / "EMNIST" / "raw",
                f"emnist-{self.split.name}-{part}-images-idx3-ubyte",
                f"emnist-{self.split.name}-{part}-labels-idx1-ubyte",
            )
            for part in ("train", "test")
        )
        return train, test

    def fetch(self) -> None:
        """Download all selections through torchvision, which checks MD5 sums."""
        from torchvision.datasets import EMNIST  # slow to import

        EMNIST(self.directory, split=self.split.name, download=True)

    def read(self) -> tuple[Split, Split]:
        """Training and test part, upright, with classes counted from 0."""
        train, test = (self._upright(part) for part in super().read())
        return train, test

    def _upright(self, part: Split) -> Split:
        # The files hold each image transposed, and number the letters a..z from 1.
        first = 1 if self.split is EmnistSplit.letters else 0
        return Split(part.x.transpose(2, 3), None if part.y is None else part.y - first)
