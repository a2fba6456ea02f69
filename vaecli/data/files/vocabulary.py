"""Words and their numbers: how text becomes a sequence of tokens, and text again."""

# V words

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import Enum
from functools import cache
from typing import NamedTuple

PAD, END, UNKNOWN = 0, 1, 2  # the first tokens of every vocabulary
SPECIAL = ("<pad>", "<end>", "<unk>")

JOINERS = "\u200c\u200d"  # stand inside words of Persian and of Indian languages
NO_SPACE_BEFORE = re.compile(r" ([,.;:!?)\]’”])")


class Level(Enum):
    """The unit that becomes a token."""

    word = "word"
    space = "space"  # split at spaces only: for a text that is tokenised already
    char = "char"
    byte = "byte"


class Vocabulary(NamedTuple):
    """The tokens 0..V-1 in words; the first three are padding, the end, and the unknown."""

    words: tuple[str, ...]
    level: Level

    @classmethod
    def of(
        cls, lines: Iterable[str], level: Level, *, min_count: int, most: int | None = None
    ) -> Vocabulary:
        """Make the vocabulary of `lines`, most frequent token first.

        Args:
            lines: the training lines.
            level: the unit of a token. For bytes all 256 are taken, so that none is ever unknown.
            min_count: tokens that occur less often are unknown.
            most: count the first `most` tokens of each line; None counts all.

        Returns:
            The vocabulary.
        """
        if level is Level.byte:
            return cls((*SPECIAL, *(f"{byte:02x}" for byte in range(256))), level)
        counts = Counter(piece for line in lines for piece in pieces(line, level)[:most])
        frequent = sorted(
            (-n, piece) for piece, n in counts.items() if n >= min_count and piece not in SPECIAL
        )
        return cls((*SPECIAL, *(piece for _, piece in frequent)), level)

    def numbers(self, lines: Iterable[str], *, most: int | None = None) -> list[list[int]]:
        """The first `most` tokens of each line, without its end."""
        number = {word: n for n, word in enumerate(self.words) if n >= len(SPECIAL)}
        return [[number.get(p, UNKNOWN) for p in pieces(line, self.level)[:most]] for line in lines]

    def text(self, tokens: Sequence[int]) -> str:
        """Turn tokens into text, up to their end."""
        end = next((n for n, token in enumerate(tokens) if token in (PAD, END)), len(tokens))
        words = [self.words[token] for token in tokens[:end]]
        if self.level is Level.byte:
            content = bytes(int(word, 16) for word in words if word not in SPECIAL)
            return content.decode("utf-8", errors="replace")
        if self.level is Level.char:
            return "".join(words)
        if self.level is Level.space:
            return " ".join(words)
        return NO_SPACE_BEFORE.sub(r"\1", " ".join(words))


def pieces(line: str, level: Level) -> list[str]:
    """The line's words and punctuation, characters, or bytes in hexadecimal."""
    if level is Level.word:
        return _word().findall(line)
    if level is Level.space:
        return line.split()
    return list(line) if level is Level.char else [f"{byte:02x}" for byte in line.encode()]


@cache
def _word() -> re.Pattern[str]:
    """A word with its inner apostrophes and hyphens, or one sign of punctuation.

    Combining marks belong to the letter before them, though re knows them as no letters; "<unk>" is
    what a text that somebody has prepared holds for a rare word.
    """
    marks = "".join(chr(n) for n in range(0x300, 0x20000) if unicodedata.category(chr(n))[0] == "M")
    letters = rf"\w[\w{marks}{JOINERS}]*"
    return re.compile(rf"{SPECIAL[UNKNOWN]}|{letters}(?:['’-]{letters})*|[^\w\s]")
