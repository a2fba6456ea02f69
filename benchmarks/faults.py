"""Kills, mutations, starts and compositions: `tests/faults` in full, with its counts.

Writes benchmarks/results/faults_<hardware>_<yyyymm>.md; exits with 1 if one of them failed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

from results import environment_lines, write

HERE = Path(__file__).resolve().parent
MOST_MINUTES = 30


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-n",
            "2",
            "--dist",
            "loadgroup",
            f"--junitxml={report}",
            str(HERE.parent / "tests" / "faults"),
        ]
        start = time.perf_counter()
        code = subprocess.run(command, check=False).returncode
        minutes = (time.perf_counter() - start) / 60
        cases = list(ET.parse(report).iter("testcase"))
    ran: Counter[tuple[str, str]] = Counter()
    failed: Counter[tuple[str, str]] = Counter()
    for case in cases:
        name, _, parameter = case.get("name", "").partition("[")
        scenario = parameter.rstrip("]").split("-")[0] if "kill" in name else ""
        ran[name, scenario] += 1
        failed[name, scenario] += case.find("failure") is not None
    rows = [
        f"| {name} {scenario} | {n} | {n - failed[name, scenario]} |"
        for (name, scenario), n in ran.items()
    ]
    kills = sum(n for (name, _), n in ran.items() if "kill" in name)
    met = "yes" if code == 0 and minutes <= MOST_MINUTES else "no"
    text = [
        "# Faults",
        "",
        f"`python benchmarks/faults.py`: all of `tests/faults`, {kills} killed "
        f"runs, stacks and sweeps among them, in {minutes:.1f} minutes (limit {MOST_MINUTES}).",
        "",
        *environment_lines(),
        "",
        "| test | cases | passed |",
        "|---|---|---|",
        *rows,
        "",
        f"Limits met: {met}.",
    ]
    write("faults", "\n".join(text))
    return 0 if met == "yes" else 1


if __name__ == "__main__":
    sys.exit(main())
