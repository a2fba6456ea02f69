"""Colour sets that torchvision reads after it has checked their MD5 sums."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

from vaecli.data.sets.downloaded import DownloadedSet


@dataclass(frozen=True, kw_only=True)
class ChecksummedSet(DownloadedSet):
    """Files listed with their MD5 sums by torchvision; three channels, so not binarisable."""

    @abstractmethod
    def sums(self) -> list[tuple[Path, str]]:
        """Every file that is needed, with its MD5 sum."""

    def validate(self) -> None:
        """Raise UsageError for keys outside their range, or binarisation."""
        super().validate()
        self.require_binarisable(3)

    def missing(self) -> Path | None:
        """The first file that is needed and not there, or None."""
        return next((path for path, _ in self.sums() if not path.is_file()), None)

    def damaged(self) -> Path | None:
        """The first file whose MD5 sum is wrong, or None."""
        from torchvision.datasets.utils import check_integrity

        return next((path for path, md5 in self.sums() if not check_integrity(path, md5)), None)
