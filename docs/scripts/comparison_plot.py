"""One plot of a comparison as a PNG, for docs/studies.md.

`python docs/scripts/comparison_plot.py NAME OUTPUT DIR...`: NAME as in the page's captions, such as
phase_diagram; DIR: runs or sweeps. Prints the aggregated table as markdown.
"""

from __future__ import annotations

import base64
import sys
from pathlib import Path

from vaecli.reporting.comparison.groups import collect
from vaecli.reporting.comparison.plots.choice import choose
from vaecli.reporting.comparison.runs import find_runs
from vaecli.reporting.comparison.tables import comparison_markdown


def main(name: str, output: Path, directories: list[Path]) -> None:
    """Write the plot called `name` to `output`."""
    comparison = collect([run for directory in directories for run in find_runs(directory)])
    plot = next(plot for plot in choose(comparison) if plot.name.startswith(name))
    output.write_bytes(base64.b64decode(plot.png()))
    print(comparison_markdown(comparison, name))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
