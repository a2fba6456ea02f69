"""Synthetic sequences from a source with known probabilities: a truth to measure against."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from torch import Tensor

from vaecli.core.errors import require
from vaecli.data.files.vocabulary import END, SPECIAL, Level, Vocabulary
from vaecli.data.sets.base import Data
from vaecli.data.sets.sequence_set import SequenceSet
from vaecli.data.sets.sources import LSTMSource, MarkovSource
from vaecli.data.sets.splits import generator, plan_splits

MOST = {"examples": 10**6, "words": 10**4}


class Source(Enum):
    """The source of the sequences."""

    lstm = "lstm"
    markov = "markov"


@dataclass(frozen=True, kw_only=True)
class Sequences(SequenceSet):
    """Sequences of `max_length` - 1 words and their end, drawn by `data.seed`.

    lstm: an LSTM that reads a two-dimensional code (He et al. 2019); markov: a chain, which has no
    code to find. Weights of the source follow `source_seed`.
    """

    source: Source = Source.lstm
    examples: int = 20_000
    words: int = 1000
    max_length: int = 11
    source_seed: int = 0

    def validate(self) -> None:
        """Raise UsageError for keys outside their range."""
        super().validate()
        for key, least, most in (
            ("examples", 10, MOST["examples"]),
            ("words", 2, MOST["words"]),
            ("source_seed", 0, None),
        ):
            value = getattr(self, key)
            require(
                least <= value and (most is None or value <= most),
                f"data.{key}",
                value,
                f"must be at least {least}" + ("" if most is None else f" and at most {most:,}"),
                f"try data.{key}={max(least, 1000)}",
            )

    def load(self) -> Data:
        """Draw the sequences and divide them."""
        plan = plan_splits(
            self.examples,
            seed=self.seed,
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            limit=self.limit,
            key="data.examples",
            value=self.examples,
        )
        drawn = self.draw()[plan.order] + len(SPECIAL)
        words = (*SPECIAL, *(f"w{number}" for number in range(self.words)))
        sequences = [[*tokens, END] for tokens in drawn.tolist()]
        data = self.assemble(sequences, Vocabulary(words, Level.word), plan)
        return replace(data, source=self.made_by())

    def made_by(self) -> LSTMSource | MarkovSource:
        """The source, with all that it knows."""
        random = generator(self.source_seed, "source")
        kind = LSTMSource if self.source is Source.lstm else MarkovSource
        return kind(self.words, random)

    def draw(self) -> Tensor:
        """Draw all sequences without their end, (N, L) int64 from 0."""
        random = generator(self.seed, "sequences")
        source, length = self.made_by(), self.max_length - 1
        if isinstance(source, LSTMSource):
            return source.sample(self.examples, length, random)[0]
        return source.sample(self.examples, length, random)
