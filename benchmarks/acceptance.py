"""The acceptance runs on the real MNIST: each command, what it must give and what it gave.

Writes benchmarks/results/acceptance_<hardware>_<yyyymm>.md and exits with 1 if a line is not met.
Runs that are done are not made again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from results import environment_lines, write


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="../shared/data", help="folder that holds MNIST/raw")
    parser.add_argument("--output", type=Path, default=Path("outputs/acceptance"))
    arguments = parser.parse_args()
    root, output = f"data.root={arguments.data}", arguments.output

    cnn = train(
        ["data=mnist", root, "model=cnn", "strategy=free_bits", "trainer.epochs=5"], output / "cnn"
    )
    mlp = ["data=mnist", root, "data.binarise=none", "model=mlp", "model.latent_dim=20"]
    ten = train([*mlp, "schedule.beta=10", "trainer.epochs=10"], output / "beta10")
    fifty = train([*mlp, "schedule.beta=50", "trainer.epochs=10"], output / "beta50")

    def met(run: dict, words: str, figure: str, passed: bool) -> tuple:
        return " ".join(run["overrides"]), words, figure, passed

    rows = [
        met(cnn, "HEALTHY", cnn["status"], cnn["status"] == "HEALTHY"),
        met(
            cnn,
            "rise under shuffling > 20 nats",
            f"{cnn['shuffle_rise']:.1f}",
            cnn["shuffle_rise"] > 20,
        ),
        met(
            ten,
            "5 to 9 active dimensions (theory: 7)",
            str(ten["active_dimensions"]),
            5 <= ten["active_dimensions"] <= 9,
        ),
        met(fifty, "FULL COLLAPSE", fifty["status"], fifty["status"] == "FULL COLLAPSE"),
        met(
            fifty,
            "distortion within 1 nat of 206.0",
            f"{fifty['distortion']:.2f}",
            abs(fifty["distortion"] - 206.0) <= 1,
        ),
    ]
    lines = [
        "# Acceptance on MNIST",
        "",
        "`make acceptance`; test split.",
        "",
        *environment_lines(),
        "",
        "| vae-train ... | expected | found | met |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{command}` | {words} | {figure} | {'yes' if passed else '**no**'} |"
        for command, words, figure, passed in rows
    ]
    write("acceptance", "\n".join(lines))
    return 0 if all(passed for *_, passed in rows) else 1


def train(overrides: list[str], directory: Path) -> dict:
    """The summary of the run in `directory`, made now unless it is done."""
    summary = directory / "summary.json"
    if not (summary.exists() and json.loads(summary.read_text())["run_state"] == "done"):
        subprocess.run(
            [sys.executable, "-m", "vaecli.train", *overrides, f"hydra.run.dir={directory}"],
            check=True,
        )
    return json.loads(summary.read_text())


if __name__ == "__main__":
    sys.exit(main())
