"""A comparison as a booktabs tabular for a paper."""

from __future__ import annotations

import unicodedata

from vaecli.core.errors import printable
from vaecli.reporting.comparison.columns import format_spread, present_columns
from vaecli.reporting.comparison.groups import Comparison
from vaecli.reporting.comparison.tables import endings, setting_cells

_NAMED = {"\\": "backslash", "~": "asciitilde", "^": "asciicircum"}
_NAMED |= {"<": "less", ">": "greater", "|": "bar"}
_SPECIAL = {sign: f"\\{sign}" for sign in "{}$&#%_"}
_SPECIAL |= {sign: f"\\text{name}{{}}" for sign, name in _NAMED.items()}
_SPECIAL |= {"[": "{[}", "*": "{*}"}  # at the start of a row: an argument of the \\ before it
_SPECIAL |= {"-": "-{}", "`": r"\`{}", '"': "''"}  # no ligatures
_SPECIAL |= {"±": r"$\pm$", "–": "--", "…": r"\ldots{}", "×": r"$\times$"}
# Letters beyond ASCII that LaTeX's default encoding can set: these, and ASCII ones with an accent
# (grave, acute, circumflex, tilde, macron, breve, dot, diaeresis, ring, double acute, caron,
# cedilla).
_LETTERS = "ßæÆøØœŒłŁ"
_ACCENTS = "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0327"


def comparison_latex(comparison: Comparison) -> str:
    """The table of settings; runs that did not finish are in comments below, with their reasons."""
    figures = [f for f in present_columns(comparison) if "latex" in f.shown_in]
    head = [*comparison.keys, "Runs", "Status", *(figure.column for figure in figures)]
    rows = [list(map(escaped_latex, head))]
    for setting in comparison.settings:
        of, cells = len(setting.done), list(map(escaped_latex, setting_cells(setting)))
        spreads = (format_spread(setting.figure(f.key), f, of=of, missing="–") for f in figures)
        # A figure gets a true minus sign.
        cells += [escaped_latex(words).replace("-{}", "$-$") for words in spreads]
        rows.append(cells)
    lines = [" & ".join(cells) + r" \\" for cells in rows]
    spec = "l" * len(comparison.keys) + "rl" + "r" * len(figures)
    opening = [r"% needs \usepackage{booktabs}", rf"\begin{{tabular}}{{{spec}}}", r"\toprule"]
    lines = [*opening, lines[0], r"\midrule", *lines[1:], r"\bottomrule", r"\end{tabular}"]
    lines += [f"% did not finish: {printable(' '.join(e.split()))}" for e in endings(comparison)]
    return "\n".join(lines) + "\n"


def escaped_latex(words: str) -> str:
    """Text that LaTeX sets as it is written; signs beyond Latin become their code point."""
    return "".join(map(_escaped, " ".join(words.split())))


def _escaped(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if character.isascii():
        return character if character.isprintable() else "?"
    letter, *accents = unicodedata.normalize("NFD", character)
    accented = letter.isascii() and "".join(accents) in _ACCENTS and ord(character) < 0x180
    return character if accented or character in _LETTERS else f"U+{ord(character):04X}"
