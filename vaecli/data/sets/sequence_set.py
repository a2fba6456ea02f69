"""Base of the sets of sequences: their common keys, and the way from token lists to Data."""

# N sequences, T positions, V tokens

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vaecli.core.errors import require
from vaecli.data.files.vocabulary import END, PAD, UNKNOWN, Vocabulary
from vaecli.data.sets.base import Data, Kind
from vaecli.data.sets.split_set import SplitSet, require_fraction, require_least
from vaecli.data.sets.splits import Plan

LONGEST = 10_000  # tokens


@dataclass(frozen=True, kw_only=True)
class SequenceSet(SplitSet):
    """The keys common to all sets of sequences."""

    max_length: int = 40  # tokens, the end among them
    test_fraction: float = 0.1

    def validate(self) -> None:
        """Raise UsageError for keys outside their range."""
        super().validate()
        require_fraction("data.test_fraction", self.test_fraction)
        require_least("data.max_length", self.max_length, 2, example=type(self).max_length)
        require(
            self.max_length <= LONGEST,
            "data.max_length",
            self.max_length,
            f"must be at most {LONGEST:,}",
            "try data.max_length=100",
        )

    def assemble(self, sequences: list[list[int]], vocabulary: Vocabulary, plan: Plan) -> Data:
        """Pad token lists and divide them.

        Args:
            sequences: token lists in the order of `plan`, each with its end.
            vocabulary: of the tokens.
            plan: the parts.

        Returns:
            The data, x (N, 1, 1, T).
        """
        length = torch.tensor([len(tokens) for tokens in sequences])
        x = padded(sequences, int(length.max()), len(vocabulary.words))
        train, val, test = plan.parts(x, None)
        ends = (0, plan.n_test, plan.n_test + plan.n_val, len(x))
        lengths = [length[a:b] for a, b in zip(ends[:-1], ends[1:], strict=True)]
        test, val, train = (
            part._replace(length=tokens)
            for part, tokens in zip((test, val, train), lengths, strict=True)
        )
        return Data(
            name=self.name,
            shape=(len(vocabulary.words), 1, x.shape[-1]),
            kind=Kind.TOKENS,
            train=train,
            val=val,
            test=test,
            vocabulary=vocabulary,
        )


def cut(x: Tensor) -> float:
    """The share of sequences (N, 1, 1, T) that were cut: they have no end."""
    return 1 - (x == END).any(-1).double().mean().item()


def unknown(x: Tensor) -> float:
    """The share of tokens that are the unknown one; padding is no token."""
    return (x == UNKNOWN).sum().item() / (x != PAD).sum().item()


def lost(data: Data) -> str:
    """Words about the training data that no model sees: "; 20.2 % cut, ..." or ""."""
    if not data.kind.of_sequences:
        return ""
    x, words = data.train.x, []
    if share := cut(x):
        words.append(f"{share:.1%} cut to {x.shape[-1]} tokens")
    if data.dropped:
        words.append(f"{data.dropped:,} longer ones of the whole file dropped")
    if share := unknown(x):
        words.append(f"{share:.1%} of tokens unknown")
    return "; " + ", ".join(words) if words else ""


def padded(sequences: list[list[int]], width: int, words: int) -> Tensor:
    """Write sequences one below the other, with padding behind them.

    Args:
        sequences: N token lists.
        width: T.
        words: size of the vocabulary, which decides the type of integer.

    Returns:
        int16 or int32 (N, 1, 1, T).
    """
    rows = np.full(
        (len(sequences), 1, 1, width), PAD, dtype=np.int16 if words < 2**15 else np.int32
    )
    for row, tokens in zip(rows, sequences, strict=True):
        row[0, 0, : len(tokens)] = tokens
    return torch.from_numpy(rows)
