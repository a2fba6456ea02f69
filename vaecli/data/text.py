"""Any text file, one example a line."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import NoReturn

from vaecli.core.errors import UsageError, require
from vaecli.data.files.vocabulary import END, SPECIAL, Level, Vocabulary, pieces
from vaecli.data.sets.base import Data
from vaecli.data.sets.place import place
from vaecli.data.sets.sequence_set import SequenceSet
from vaecli.data.sets.splits import FEWEST_EXAMPLES, plan_splits

LARGEST = 10**9  # bytes; a text is held in memory several times over while it is read


class Longer(Enum):
    """The fate of a line of more than `max_length` tokens."""

    cut = "cut"  # it loses the tokens behind max_length, and its end
    drop = "drop"


@dataclass(frozen=True, kw_only=True)
class Text(SequenceSet):
    """The lines of a UTF-8 file as sequences of words, characters or bytes, in NFC but for bytes.

    Empty lines are dropped. The vocabulary holds the tokens that occur at least `min_count` times
    in the training lines, behind a cut not counted. Every other token is the unknown token. A token
    that occurs once is always unknown, so that there are examples of the unknown token to learn.
    """

    path: str | None = None
    level: Level = Level.word
    min_count: int = 3  # of words and characters
    lowercase: bool = True
    longer: Longer = Longer.cut

    @property
    def location(self) -> Path:
        """`path`: ~ expanded, relative to the working directory."""
        return place("data.path", self.path or "")

    def validate(self) -> None:
        """Raise UsageError for keys outside their range, or no path."""
        super().validate()
        require(
            bool(self.path),
            "data.path",
            "" if self.path is None else self.path,
            "data=text needs to know where the text is",
            "add data.path=FILE, one example a line",
        )
        require(
            self.min_count >= 2,
            "data.min_count",
            self.min_count,
            "must be at least 2: the unknown token is learned from what occurs less often",
            "try data.min_count=2",
        )

    def check_files(self) -> None:
        """Raise UsageError if there is no such file."""
        if not self.location.is_file():
            here = "" if self.location.is_absolute() else f" in {Path.cwd()}"
            self.fault(f"is not a file{here}", "set data.path to a text file, one example a line")

    def load(self) -> Data:
        """Read and divide the lines. Raises UsageError for a file that is empty or no text."""
        self.check_files()
        lines = self._lines()
        count = len(lines)
        if count < FEWEST_EXAMPLES:
            self.fault(
                f"has {count} lines, each an example, and at least {FEWEST_EXAMPLES} are needed",
                "write one example a line, or take a larger text",
            )
        if self.longer is Longer.drop:
            short = [line for line in lines if len(pieces(line, self.level)) < self.max_length]
            if not short:
                self.fault(
                    f"has no line of fewer than data.max_length={self.max_length} tokens",
                    "raise data.max_length, or data.longer=cut",
                )
            lines = short
        dropped = count - len(lines)
        plan = plan_splits(
            len(lines),
            seed=self.seed,
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            limit=self.limit,
            key="data.path",
            value=self.path,
        )
        lines = [lines[i] for i in plan.order.tolist()]
        training = lines[plan.n_test + plan.n_val :]
        vocabulary = Vocabulary.of(
            training, self.level, min_count=self.min_count, most=self.max_length
        )
        require(
            len(vocabulary.words) > len(SPECIAL),
            "data.min_count",
            self.min_count,
            f"leaves no word: none occurs so often in the {len(training)} training lines",
            "try data.min_count=2, or data.level=char",
        )
        numbers = vocabulary.numbers(lines, most=self.max_length)
        sequences = [[*tokens, END][: self.max_length] for tokens in numbers]
        return replace(self.assemble(sequences, vocabulary, plan), dropped=dropped)

    def fault(self, rule: str, remedy: str) -> NoReturn:
        """Refuse the file at `path`."""
        raise UsageError("data.path", self.path, rule, remedy)

    def _lines(self) -> list[str]:
        try:
            size = self.location.stat().st_size
            if size > LARGEST:
                self.fault(
                    f"is larger than {LARGEST:,} bytes", "take a part of it: head -n 1000000"
                )
            content = self.location.read_bytes()
        except OSError as error:
            self.fault(f"cannot be read ({error.strerror})", "set data.path to a text file")
        if b"\0" in content:
            self.fault("is no text: it holds zero bytes", "set data.path to a UTF-8 text file")
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            self.fault(
                f"is not UTF-8 in line {line} (byte {error.start})",
                "convert it: iconv -f latin1 -t utf-8 FILE > NEW",
            )
        lines = [line.strip() for line in text.replace("\r\n", "\n").split("\n")]
        lines = [line for line in lines if line]
        if not lines:
            self.fault("holds no text", "write one example a line")
        if self.level is not Level.byte:  # é is one character, however it was typed
            lines = [unicodedata.normalize("NFC", line) for line in lines]
        return [line.lower() for line in lines] if self.lowercase else lines
