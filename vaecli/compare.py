"""The door `vae-compare`: any runs side by side, of one sweep or of several."""

from __future__ import annotations

import argparse
import io
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from vaecli.core.answer import Parser, answering
from vaecli.core.errors import UsageError, require

if TYPE_CHECKING:
    from vaecli.reporting.comparison.groups import Comparison

DESCRIPTION = """\
Compare finished runs. Each DIR is a run, a sweep, or any directory that holds runs at any depth.
Prints a table and writes comparison.html, comparison.csv and comparison.md into DIR; of several
DIRs, or of a single run, into outputs/compare/DATE/TIME. Runs that agree in everything but their
seed make one row: mean and standard deviation.
"""
EXAMPLES = """\
examples
  vae-compare outputs/multirun/2026-11-22/10-15-00-123456
  vae-compare outputs/multirun/2026-11-22 outputs/multirun/2026-11-23 --out both
  vae-compare SWEEP --format latex > table.tex
  vae-compare SWEEP --sort validation_loss
"""


def main() -> None:
    """Run `vae-compare` with the arguments of this process and exit."""
    sys.exit(_main(sys.argv[1:]))


def _main(arguments: list[str]) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name no terminal can show is no reason to stop
        sys.stdout.reconfigure(errors="backslashreplace")
    with answering("vae-compare") as answer:
        try:
            answer.code = _compare(_parser().parse_args(arguments))
        except BrokenPipeError:  # the reader, `head` say, has seen enough
            # At exit Python writes what is left, and would complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return answer.code


def _parser() -> argparse.ArgumentParser:
    parser = Parser("vae-compare", DESCRIPTION, EXAMPLES)
    parser.add_argument("directories", nargs="+", type=Path, metavar="DIR", help="where runs are")
    parser.add_argument(
        "--format",
        choices=("csv", "md", "html", "latex"),
        help="print only this, and write nothing",
    )
    parser.add_argument(
        "--sort",
        metavar="KEY",
        help="order rows by a swept key or a figure, e.g. rate; -KEY: falling, --sort=-KEY",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the comparison goes")
    return parser


def _compare(options: argparse.Namespace) -> int:
    if options.format is not None:
        require(
            options.out is None,
            "--out",
            options.out,
            "is of no use with --format, which prints",
            "leave one out",
        )
    from vaecli.reporting.comparison.groups import collect
    from vaecli.reporting.comparison.runs import is_run

    comparison = collect(_runs(options.directories))
    if options.sort is not None:
        from vaecli.reporting.comparison.sorting import sorted_by

        comparison = sorted_by(comparison, options.sort)
    title = _title(options.directories)
    single = len(options.directories) == 1 and not is_run(options.directories[0])
    if options.format is not None:
        where = options.directories[0] if single else Path()
        sys.stdout.write(_text(comparison, options.format, where, title))
        sys.stdout.flush()
        return 0
    from vaecli.reporting.comparison.page import write_comparison
    from vaecli.reporting.comparison.tables import comparison_table

    print(comparison_table(comparison), flush=True)
    out = options.out or (options.directories[0] if single else None)
    out = out or Path("outputs", "compare", f"{datetime.now():%Y-%m-%d/%H-%M-%S-%f}")
    print(f"\nComparison   {write_comparison(comparison, out, title)}")
    return 0


def _text(comparison: Comparison, kind: str, directory: Path, title: str) -> str:
    """The comparison in one format; links of a page are relative to `directory`."""
    if kind == "html":
        from vaecli.reporting.comparison.page import comparison_html

        return comparison_html(comparison, directory, title)
    if kind == "latex":
        from vaecli.reporting.comparison.latex import comparison_latex

        return comparison_latex(comparison)
    from vaecli.reporting.comparison.tables import comparison_csv, comparison_markdown

    return comparison_csv(comparison) if kind == "csv" else comparison_markdown(comparison, title)


def _runs(directories: list[Path]) -> list[Path]:
    """All run directories at or below those named. Raises UsageError if one of them has none."""
    from vaecli.core.untrusted import require_own_files
    from vaecli.reporting.comparison.runs import find_runs

    runs: list[Path] = []
    for directory in directories:
        try:
            require(directory.exists(), "DIR", directory, "does not exist", "name a directory")
            require(directory.is_dir(), "DIR", directory, "is no directory", "name its parent")
            runs_below = list(find_runs(directory))
            for run in runs_below:
                require_own_files(run)
        except OSError as error:
            raise UsageError(
                "DIR", directory, f"cannot be read ({error.strerror})", "name another directory"
            ) from error
        require(
            bool(runs_below),
            "DIR",
            directory,
            "holds no run of vae-train (no summary.json)",
            "runs are in outputs/DATE/TIME, sweeps in outputs/multirun/DATE/TIME",
        )
        runs += runs_below
    return runs


def _title(directories: list[Path]) -> str:
    named = [str(directory) for directory in directories[:3]]
    more = len(directories) - len(named)
    return f"Comparison of {', '.join(named)}" + (f" and {more} more" if more else "")


if __name__ == "__main__":
    main()
