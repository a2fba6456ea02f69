"""Data sets: splits held as tensors, and batches gathered from them by index."""

# N examples, B batch, C channels, H height, W width

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from vaecli.data.files.vocabulary import Vocabulary

if TYPE_CHECKING:
    from vaecli.data.sets.sources import LSTMSource, MarkovSource


class Kind(Enum):
    """The kind of values in the data; the automatic likelihood follows from it."""

    BINARY = "binary"  # every pixel 0 or 1
    GREY = "grey"  # one channel in [0, 1]
    COLOUR = "colour"  # several channels of 256 levels, as floats in [0, 1]
    REAL = "real"  # any real number
    TOKENS = "tokens"  # numbers of words in a vocabulary

    @property
    def of_sequences(self) -> bool:
        """True if an example is a sequence, (V, 1, T), and not an image."""
        return self is Kind.TOKENS


class Split(NamedTuple):
    """One part of a data set. Images are uint8 (N, C, H, W); real-valued data is float32.

    Sequences are int16 or int32 (N, 1, 1, T), padded with `vocabulary.PAD`.
    """

    x: Tensor
    y: Tensor | None = None  # (N,) int64 class labels
    length: Tensor | None = None  # (N,) int64, tokens of each sequence without padding
    memory_mapped: bool = False  # x lies in a file, stays there, and must not be copied whole

    def to(self, device: torch.device) -> Split:
        """The split on `device`; one in a memory-mapped file stays there."""
        if self.memory_mapped:
            return self
        y = None if self.y is None else self.y.to(device)
        length = None if self.length is None else self.length.to(device)
        return Split(self.x.to(device), y, length)


@dataclass(frozen=True, eq=False)  # compared and hashed by identity
class Data:
    """A loaded data set, ready to be indexed.

    `dynamic` says that the training images are grey levels to be binarised afresh in every batch
    (Burda et al. 2016); validation and test images are then already binary, drawn once.
    """

    name: str
    shape: tuple[int, int, int]  # (C, H, W); (V, 1, T) for sequences of T out of V tokens
    kind: Kind
    train: Split
    val: Split
    test: Split
    dynamic: bool = False
    device: torch.device = torch.device("cpu")
    vocabulary: Vocabulary | None = None  # of sequences
    dropped: int = 0  # sequences that were too long
    source: LSTMSource | MarkovSource | None = None  # the source of synthetic sequences

    def to(self, device: torch.device) -> Data:
        """Data whose batches arrive on `device`; splits held in a memory-mapped file stay there."""
        train, val, test = (part.to(device) for part in (self.train, self.val, self.test))
        return replace(self, device=device, train=train, val=val, test=test)

    def batch(
        self, split: Split, index: Tensor, binarisation: torch.Generator | None = None
    ) -> Tensor:
        """Gather the examples at `index`.

        Args:
            split: one of this data's splits.
            index: (B,) int64.
            binarisation: draws the pixels of a dynamically binarised training batch; None returns
                the grey levels.

        Returns:
            Images float32 (B, C, H, W), sequences int64 (B, 1, 1, L), on `self.device`. L is the
            length of the longest of them, so that no forward pass is spent on padding.
        """
        index = index.to(split.x.device)
        # index_select: ten times faster than indexing for a batch of small images on a CPU.
        rows = split.x.index_select(0, index)
        if split.length is not None:
            rows = rows[..., : int(split.length.index_select(0, index).max())]
        return self.ready(rows, binarisation)

    def ready(self, rows: Tensor, binarisation: torch.Generator | None = None) -> Tensor:
        """Convert rows of a split, on any device, to the form that `batch` returns."""
        rows = rows.to(self.device, non_blocking=True)
        if rows.dtype != torch.uint8:
            return rows if rows.is_floating_point() else rows.long()
        x = rows.float().div_(255)
        if self.dynamic and binarisation is not None:
            x = torch.bernoulli(x, generator=binarisation)
        return x


class DataSet(ABC):
    """A data set by name; the fields of its frozen dataclass are the keys of its yaml."""

    @abstractmethod
    def validate(self) -> None:
        """Raise UsageError for keys that cannot work, before anything is read or downloaded."""

    def check_files(self) -> None:  # noqa: B027 - embedded and synthetic data have no files
        """Raise UsageError if files are missing and may not be downloaded; reads nothing.

        `load` checks the same; this refuses a sweep before its first run.
        """

    @abstractmethod
    def load(self) -> Data:
        """Read the files and split them. Raises UsageError naming the file that is at fault."""
