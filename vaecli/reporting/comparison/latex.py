"""A comparison as a booktabs tabular for a paper."""

from __future__ import annotations

import unicodedata

from vaecli.core.errors import printable
from vaecli.reporting.comparison.columns import format_spread, present_columns
from vaecli.reporting.comparison.groups import Comparison
from vaecli.reporting.comparison.tables import endings, setting_cells

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\`{}",
    # At the start of a row they would be an argument of the \\ before it.
    "[": "{[}",
    "*": "{*}",
    "-": "-{}",  # no ligatures: -- is two
    "±": r"$\pm$",
    "–": "--",
    "…": r"\ldots{}",
    "×": r"$\times$",
}
_NEEDS = r"% needs \usepackage{booktabs}"
# Letters beyond ASCII that LaTeX's default encoding can set: these, and ASCII ones with an accent
# (grave, acute, circumflex, tilde, macron, breve, dot, diaeresis, ring, double acute, caron,
# cedilla).
_LETTERS = "ßæÆøØœŒłŁ"
_ACCENTS = "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0327"


def comparison_latex(comparison: Comparison) -> str:
    """The table of settings; runs that did not finish are in comments below, with their reasons."""
    columns = [c for c in present_columns(comparison) if "latex" in c.shown_in]
    head = [*map(escaped_latex, comparison.keys), "Runs", "Status"]
    head += [escaped_latex(column.column) for column in columns]
    rows = []
    for setting in comparison.settings:
        of = len(setting.done)
        cells = [escaped_latex(cell) for cell in setting_cells(setting)]
        for column in columns:
            words = format_spread(setting.figure(column.key), column, of=of, missing="–")
            cells.append(_number(words))
        rows.append(cells)
    spec = "l" * len(comparison.keys) + "rl" + "r" * len(columns)
    lines = [_NEEDS, rf"\begin{{tabular}}{{{spec}}}", r"\toprule", _row(head), r"\midrule"]
    lines += [_row(cells) for cells in rows]
    lines += [r"\bottomrule", r"\end{tabular}"]
    ended = (printable(" ".join(words.split())) for words in endings(comparison))
    lines += [f"% did not finish: {words}" for words in ended]
    return "\n".join(lines) + "\n"


def escaped_latex(words: str) -> str:
    """Text that LaTeX sets as it is written; signs beyond Latin become their code point."""
    return "".join(_escaped(c) for c in " ".join(words.split()))


def _escaped(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if character.isascii():
        return character if character.isprintable() else "?"
    letter, *accents = unicodedata.normalize("NFD", character)
    accented = letter.isascii() and len(accents) == 1 and accents[0] in _ACCENTS
    if character in _LETTERS or (accented and ord(character) < 0x180):
        return character
    return f"U+{ord(character):04X}"


def _number(words: str) -> str:
    """A figure with a true minus sign."""
    return words if words == "" else escaped_latex(words).replace("-{}", "$-$")


def _row(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"
