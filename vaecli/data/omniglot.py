"""Omniglot: 19,280 + 13,180 drawings of 1,623 characters (Lake et al. 2015).

The background alphabets are for training, the evaluation alphabets are the test part.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from vaecli.core.errors import UsageError
from vaecli.data.files.decoding import decode, image_files
from vaecli.data.files.images import Binarise
from vaecli.data.sets.base import Split
from vaecli.data.sets.downloaded import DownloadedSet

FOLDERS = ("images_background", "images_evaluation")
SIDE = 105  # pixels


@dataclass(frozen=True, kw_only=True)
class Omniglot(DownloadedSet):
    """Omniglot in <root>/omniglot-py, as the unzipped trees alphabet/character/drawing.png."""

    binarise: Binarise = Binarise.dynamic
    image_size: int | None = 28  # the size at which results are published; null keeps 105

    def missing(self) -> Path | None:
        """The first of the two folders that is not there, or None."""
        return next((path for path in self._folders() if not path.is_dir()), None)

    def fetch(self) -> None:
        """Download and unzip through torchvision, which checks MD5 sums."""
        from torchvision.datasets import Omniglot as Archive  # slow to import

        for background in (True, False):
            Archive(self.directory, background=background, download=True)

    def read(self) -> tuple[Split, Split]:
        """Training and test part, strokes white on black; no character is in both."""
        background, evaluation = self._folders()
        train, classes = self._part(background, first_class=0)
        return train, self._part(evaluation, first_class=classes)[0]

    def _part(self, folder: Path, *, first_class: int) -> tuple[Split, int]:
        """The images of one folder, and the first class number that they leave free."""
        files = image_files(folder)
        if not files:
            raise UsageError(
                "data.root",
                self.root,
                f"{folder} holds no images",
                "delete it and set data.download=true, or restore it from a good copy",
            )
        # 28x28 drawings of all 1,623 characters take 25 MB, the originals 358 MB, so each is
        # brought to its final size as it is decoded.
        side = SIDE if self.image_size is None else self.image_size
        x = torch.empty((len(files), 1, side, side), dtype=torch.uint8)
        for row, file in enumerate(files):
            x[row] = decode(file, channels=1, size=side, key="data.root", value=self.root)
        characters = sorted({file.parent for file in files})
        number = {character: first_class + i for i, character in enumerate(characters)}
        y = torch.tensor([number[file.parent] for file in files])
        # Ink is 0 in the files; ~v = 255 - v.
        return Split(x.bitwise_not_(), y), first_class + len(characters)

    def _folders(self) -> tuple[Path, Path]:
        background, evaluation = (self.directory / "omniglot-py" / name for name in FOLDERS)
        return background, evaluation
