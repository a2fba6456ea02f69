"""scikit-learn's handwritten digits: 1,797 real images of 8x8, embedded, so no network is needed.

Source: Alpaydin & Kaynak 1998, Optical Recognition of Handwritten Digits, UCI (its test part).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from vaecli.data.files.images import Binarise
from vaecli.data.sets.base import Split
from vaecli.data.sets.image_set import SmallImageSet
from vaecli.data.sets.split_set import require_fraction


@dataclass(frozen=True, kw_only=True)
class Digits(SmallImageSet):
    """The embedded digits; their 17 grey levels are spread over 0..255."""

    binarise: Binarise = Binarise.dynamic
    test_fraction: float = 0.2

    @property
    def held_out(self) -> float:
        """There is no official test part."""
        return self.test_fraction

    def validate(self) -> None:
        """Raise UsageError for keys outside their range."""
        super().validate()
        require_fraction("data.test_fraction", self.test_fraction)

    def read(self) -> tuple[Split, None]:
        """Read all images as uint8 (1797, 1, 8, 8) and their labels."""
        rows = np.loadtxt(_file(), delimiter=",", dtype=np.uint8)  # (1797, 65): pixels, label
        images = np.rint(rows[:, :-1] * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
        return Split(torch.from_numpy(images), torch.from_numpy(rows[:, -1].astype(np.int64))), None


def _file() -> Path:
    """The file within scikit-learn, whose import would take longer than everything else here."""
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("data=digits needs scikit-learn")
    return Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
