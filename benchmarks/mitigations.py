"""Which mitigation keeps a code under an autoregressive decoder: 2 decoders x 5 strategies x seeds.

MNIST at 14x14, dynamically binarised, 32 latents, the same number of decoder updates for all. Runs
that are done are not made again. Writes benchmarks/results/mitigations_<hardware>_<yyyymm>.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, stdev

from results import environment_lines, write

COMMON = (
    "data=mnist",
    "data.image_size=14",
    "data.limit=20000",
    "model=pixelcnn",
    "model.latent_dim=32",
    "trainer.batch_size=64",
    "trainer.max_steps=3000",
    "trainer.epochs=100",
    "trainer.evaluate_every=2",
    "diagnosis=quick",
)
STRATEGIES = {
    "none": (),
    "linear annealing": ("schedule=linear",),
    "free_bits": ("strategy=free_bits", "strategy.free_nats=0.25"),
    "delta_vae": ("strategy=delta_vae", "strategy.delta=8"),
    "aggressive": (
        "strategy=aggressive",
        "strategy.aggressive_max_updates=15",
        "strategy.aggressive_window=5",
        "strategy.aggressive_patience=1",
    ),
}
DECODERS = ("large", "small")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="../shared/data", help="folder that holds MNIST/raw")
    parser.add_argument("--output", type=Path, default=Path("outputs/mitigations"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--parallel", type=int, default=2, help="runs at a time, one thread each")
    arguments = parser.parse_args()
    runs = [
        (decoder, strategy, seed)
        for strategies in (list(STRATEGIES)[:4], list(STRATEGIES)[4:])
        for decoder in DECODERS
        for seed in range(arguments.seeds)
        for strategy in strategies
    ]
    with ThreadPoolExecutor(arguments.parallel) as pool:
        list(pool.map(lambda run: train(*run, arguments), runs))
    write("mitigations", report(arguments))


def directory(decoder: str, strategy: str, seed: int, output: Path) -> Path:
    return output / f"{decoder}-{strategy.replace(' ', '_')}-{seed}"


def train(decoder: str, strategy: str, seed: int, arguments: argparse.Namespace) -> None:
    path = directory(decoder, strategy, seed, arguments.output)
    if finished(path) is not None:
        return
    subprocess.run(
        [
            sys.executable,
            "-m",
            "vaecli.train",
            *COMMON,
            f"data.root={arguments.data}",
            f"decoder={decoder}",
            *STRATEGIES[strategy],
            f"seed={seed}",
            f"hydra.run.dir={path}",
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    print(path.name, flush=True)


def finished(path: Path) -> dict | None:
    try:
        summary = json.loads((path / "summary.json").read_text())
    except FileNotFoundError:
        return None
    return summary if summary["run_state"] == "done" else None


def report(arguments: argparse.Namespace) -> str:
    lines = [
        "# Mitigations on an autoregressive decoder",
        "",
        f"`vae-train {' '.join(COMMON)} decoder=... seed=...`, MNIST at 14x14, test split; mean",
        f"and standard deviation over {arguments.seeds} seeds; nats per example. Rise: by how much",
        "shuffling the codes across examples raises the distortion.",
        "",
        *environment_lines(),
        "",
        "| decoder | strategy | rate | rise | active dims | active units | -ELBO | encoder"
        " updates | training seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for decoder in DECODERS:
        for strategy in STRATEGIES:
            found = [
                finished(directory(decoder, strategy, seed, arguments.output))
                for seed in range(arguments.seeds)
            ]
            runs = [{**run, "neg_elbo": -run["elbo"]} for run in found if run]
            keys = (
                ("rate", 2),
                ("shuffle_rise", 2),
                ("active_dimensions", 1),
                ("active_units", 1),
                ("neg_elbo", 2),
                ("encoder_updates", 0),
                ("seconds", 0),
            )
            cells = [spread([run[key] for run in runs], digits) for key, digits in keys]
            lines.append(f"| {decoder} | {strategy} | {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(values: list[float], digits: int) -> str:
    if not values:
        return "-"
    error = f" +- {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean(values):.{digits}f}{error}"


if __name__ == "__main__":
    main()
