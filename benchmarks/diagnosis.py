"""Time and memory of `vae-diagnose` on the 10,000 test images of MNIST, with everything measured.

Trains an MLP (once), then diagnoses it in fresh processes; writes
benchmarks/results/diagnosis_<hardware>_<yyyymm>.md and exits with 1 if a limit is exceeded. Peak
memory is that of the process, less that of one which loads model and data and does nothing.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from acceptance import train
from results import environment_lines, write

MOST_SECONDS, MOST_GIB = 45.0, 2.0
# The child reports its own peak: getrusage counts KiB.
MEASURED = """
import resource, sys
from vaecli.diagnose import _main
if sys.argv[2] == "load":
    from vaecli.load import load_run
    load_run(sys.argv[1])
else:
    sys.stdout, kept = open("/dev/null", "w"), sys.stdout
    assert _main([sys.argv[1], *sys.argv[3:]]) == 0
    sys.stdout = kept
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="../shared/data", help="folder that holds MNIST/raw")
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmark_diagnosis"))
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    run = arguments.output
    train(["data=mnist", f"data.root={arguments.data}", "trainer.epochs=5", "diagnosis=quick"], run)
    _, loaded = measured(run, "load")
    rows, met = [], True
    for name, more in (
        ("all figures and pictures", []),
        ("no pictures", ["diagnosis.plots=false"]),
    ):
        found = [measured(run, "diagnose", *more) for _ in range(arguments.repeats)]
        seconds = [s for s, _ in found]
        memory = max(gib for _, gib in found) - loaded
        met &= max(seconds) <= MOST_SECONDS and memory <= MOST_GIB
        rows.append(
            f"| {name} | {statistics.median(seconds):.1f} | {min(seconds):.1f} to "
            f"{max(seconds):.1f} | {memory:.2f} |"
        )
    write(
        "diagnosis",
        "\n".join(
            [
                "# vae-diagnose on 10,000 MNIST images",
                "",
                "`python benchmarks/diagnosis.py`: MLP 784-400-20, test split, q(z) over all "
                f"10,000, K = 100, Enter to exit in a fresh process, {arguments.repeats} "
                f"repeats. Limits: "
                f"{MOST_SECONDS:g} s, {MOST_GIB:g} GiB above a process that has loaded model "
                f"and data "
                f"({loaded:.2f} GiB).",
                "",
                *environment_lines(),
                "",
                "| what | median seconds | range | GiB above the model |",
                "|---|---|---|---|",
                *rows,
                "",
                f"Limits met: {'yes' if met else '**no**'}.",
            ]
        ),
    )
    return 0 if met else 1


def measured(run: Path, *arguments: str) -> tuple[float, float]:
    """Seconds and peak GiB of one process."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(run), *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return time.perf_counter() - start, float(done.stdout.split()[-1])


if __name__ == "__main__":
    sys.exit(main())
