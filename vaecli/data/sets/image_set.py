"""Bases of the sets of images: their common keys, and the way from raw images to Data."""

# N examples, C channels, H height, W width

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor

from vaecli.core.errors import require
from vaecli.core.machine import free_bytes
from vaecli.data.files.images import Binarise, draw, kind_of, resize, threshold
from vaecli.data.sets.base import Data, Kind, Split
from vaecli.data.sets.split_set import SplitSet, require_least
from vaecli.data.sets.splits import plan_splits

MOST_PIXELS = 1024  # a side: a batch of 128 such images takes 1.6 GB as floats


@dataclass(frozen=True, kw_only=True)
class ImageSet(SplitSet):
    """The keys common to all sets of images."""

    binarise: Binarise = Binarise.none
    image_size: int | None = None  # side in pixels; None keeps the size

    def validate(self) -> None:
        """Raise UsageError for keys outside their range."""
        super().validate()
        require_least("data.image_size", self.image_size, 2, example=28)
        require(
            self.image_size is None or self.image_size <= MOST_PIXELS,
            "data.image_size",
            self.image_size,
            f"must be at most {MOST_PIXELS:,}",
            "try data.image_size=64",
        )

    def require_binarisable(self, channels: int, *, real: bool = False) -> None:
        """Raise UsageError if images of so many channels, or real numbers, are to be binarised."""
        require(
            self.binarise is Binarise.none or (channels == 1 and not real),
            "data.binarise",
            self.binarise.name,
            "only grey images have grey levels to binarise, and "
            f"{self.name} holds {'real numbers' if real else 'colour images'} here",
            "use data.binarise=none",
        )

    def assemble(self, train: Split, val: Split, test: Split) -> Data:
        """Binarise the splits if `binarise` says so, and put them together.

        Args:
            train: images (N, C, H, W), as are those of the other two.
            val: the validation part.
            test: the test part.

        Returns:
            The data, with its kind.

        Raises:
            UsageError: colour images or real numbers cannot be binarised.
        """
        C, H, W = train.x.shape[1:]
        shape = C, H, W
        real = train.x.is_floating_point()
        self.require_binarisable(shape[0], real=real)
        if self.binarise is not Binarise.none:
            train, val, test = (
                part._replace(x=self._binarised(part.x, name))
                for part, name in ((train, "train"), (val, "val"), (test, "test"))
            )
        return Data(
            name=self.name,
            shape=shape,
            kind=Kind.REAL if real else kind_of(shape[0], self.binarise),
            train=train,
            val=val,
            test=test,
            dynamic=self.binarise is Binarise.dynamic,
        )

    def _binarised(self, x: Tensor, part: str) -> Tensor:
        if self.binarise is Binarise.threshold:
            return threshold(x)
        if self.binarise is Binarise.dynamic and part == "train":
            return x  # drawn afresh in every batch
        return draw(x, self.seed, part)


@dataclass(frozen=True, kw_only=True)
class SmallImageSet(ImageSet):
    """A set of images that fits into memory."""

    @abstractmethod
    def read(self) -> tuple[Split, Split | None]:
        """Read uint8 images (N, C, H, W): the training part and the official test part, if any."""

    @property
    def held_out(self) -> float:
        """The share of the images to test on where there is no official test part."""
        return 0.0

    def load(self) -> Data:
        """Read, divide, resize and binarise. Raises UsageError naming the file at fault."""
        images, test = self.read()
        plan = plan_splits(
            len(images.x),
            seed=self.seed,
            val_fraction=self.val_fraction,
            test_fraction=self.held_out if test is None else 0.0,
            limit=self.limit,
            key="data",
            value=self.name,
        )
        y = None if images.y is None else images.y[plan.order]
        train, val, drawn = plan.parts(self._resized(images.x[plan.order]), y)
        test = drawn if test is None else test._replace(x=self._resized(test.x))
        return self.assemble(train, val, test)

    def _resized(self, x: Tensor) -> Tensor:
        if self.image_size is None:
            return x.contiguous()
        need, free = x.shape[0] * x.shape[1] * self.image_size**2, free_bytes(x.device)
        require(
            free is None or need <= free,
            "data.image_size",
            self.image_size,
            f"{len(x):,} images of that size need {need / 2**30:.3g} GiB, and there are "
            f"{(free or 0) / 2**30:.3g}",
            "make them smaller, or use fewer: data.limit",
        )
        return resize(x, self.image_size)
