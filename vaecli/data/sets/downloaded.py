"""Bases of the downloadable data sets: the place of their files, and the download."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from vaecli.core.errors import UsageError, require
from vaecli.data.files import idx
from vaecli.data.sets.base import Data, Split
from vaecli.data.sets.image_set import SmallImageSet
from vaecli.data.sets.place import place


def default_root() -> str:
    """The environment's VAECLI_DATA, else a cache folder in the user's home."""
    return os.environ.get("VAECLI_DATA", "~/.cache/vaecli")


@dataclass(frozen=True, kw_only=True)
class DownloadedSet(SmallImageSet):
    """Files under `data.root` in torchvision's layout. Nothing is written unless `download`."""

    root: str = field(default_factory=default_root)
    download: bool = False

    @property
    def directory(self) -> Path:
        """`root` as a path: ~ expanded, relative to the working directory."""
        return place("data.root", self.root)

    @abstractmethod
    def missing(self) -> Path | None:
        """The first file that is needed and not there, or None."""

    @abstractmethod
    def fetch(self) -> None:
        """Download through torchvision, which checks MD5 sums."""

    def check_files(self) -> None:
        """Raise UsageError if files are missing and may not be downloaded."""
        missing = self.missing()
        require(
            missing is None or self.download,
            "data.root",
            self.root,
            f"{missing} does not exist",
            "set data.download=true, or point data.root at a copy of the data",
        )

    def load(self) -> Data:
        """Fetch what is missing, if allowed, then read, divide, resize and binarise."""
        self.check_files()
        if self.missing() is not None:
            try:
                self.fetch()
            except (OSError, RuntimeError) as error:  # URLError is an OSError
                raise UsageError(
                    "data.download",
                    self.download,
                    f"{self.name} could not be downloaded ({_first_line(error)})",
                    f"check the network, or put the files under data.root={self.root}",
                ) from error
        return super().load()

    def through_torchvision(self, read: Callable[[], Split]) -> Split:
        """Call `read`; its failures become a UsageError about `data.root`."""
        try:
            return read()
        except MemoryError:
            raise
        except Exception as error:  # damaged pickles and .mat files fail in many ways
            raise UsageError(
                "data.root",
                self.root,
                f"{self.damaged() or self.name} is damaged ({_first_line(error)})",
                "delete it and set data.download=true, or restore it from a good copy",
            ) from error

    def damaged(self) -> Path | None:
        """The first file whose MD5 sum is wrong; None here, where there are no sums."""
        return None


@dataclass(frozen=True, kw_only=True)
class IdxSet(DownloadedSet):
    """MNIST or a relative: four IDX files in <root>/<torchvision's class name>/raw."""

    @abstractmethod
    def files(self) -> tuple[tuple[Path, str, str], tuple[Path, str, str]]:
        """Folder, images and labels of the training part, and of the test part."""

    def missing(self) -> Path | None:
        """The first file that is there neither plain nor gzipped, or None."""
        for folder, *names in self.files():
            for name in names:
                if idx.find(folder, name) is None:
                    return folder / name
        return None

    def read(self) -> tuple[Split, Split]:
        """Training and test part, uint8 (N, 1, 28, 28)."""
        train, test = (
            idx.read_images_and_labels(
                idx.find(folder, images) or folder / images,
                idx.find(folder, labels) or folder / labels,
                root=self.root,
            )
            for folder, images, labels in self.files()
        )
        return train, test


def mnist_files(folder: Path) -> tuple[tuple[Path, str, str], tuple[Path, str, str]]:
    """The file names of MNIST, which KMNIST and Fashion-MNIST use too."""
    train, test = (
        (folder, f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte")
        for part in ("train", "t10k")
    )
    return train, test


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
