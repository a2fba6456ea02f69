"""scikit-learn's handwritten digits: 1,797 real images of 8x8, embedded, so no network is needed.

Source: Alpaydin & Kaynak 1998, Optical Recognition of Handwritten Digits, UCI (its test part).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from vaecli.data.base import Split
from vaecli.data.image_set import SmallImageSet
from vaecli.data.images import Binarise
from vaecli.data.split_set import require_fraction


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
        """All images as uint8 (1797, 1, 8, 8) and their labels."""
        from sklearn.datasets import load_digits  # slow to import

        digits = load_digits()
        images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, None]
        return Split(
            torch.from_numpy(images), torch.from_numpy(digits.target.astype(np.int64))
        ), None
