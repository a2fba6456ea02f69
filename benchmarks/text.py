"""Which mitigation keeps a code under an LSTM that writes text: one run each, one thread each.

King James Bible, a verse a line, words; 32 latents. Each run takes at most an hour of a core, half
an hour of two: those that move their encoder most make fewer decoder updates, and plain training is
measured after as few, too. Runs that are done are not made again. Writes
benchmarks/results/text_<hardware>_<yyyymm>.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from results import environment_lines, write

COMMON = (
    "data=text",
    "device=cpu",
    "data.min_count=10",
    "model=lstm",
    "trainer.batch_size=64",
    "trainer.lr_schedule=linear",
    "trainer.clip=5.0",
    "diagnosis=quick",
)
RUNS = {
    "none": ("trainer.epochs=6",),
    "none for 2.5 epochs": ("trainer.epochs=2.5",),  # as many decoder updates as aggressive makes
    "linear annealing, all of the run": ("schedule=linear_whole_run", "trainer.epochs=6"),
    "cyclical annealing, 4 cycles": ("schedule=cyclical", "trainer.epochs=6"),
    "free_bits": ("strategy=free_bits", "trainer.epochs=6"),
    "committed_rate": ("strategy=committed_rate", "trainer.epochs=6"),
    "committed_rate over 16 codes": (
        "strategy=committed_rate",
        "strategy.latent_steps=16",
        "trainer.epochs=6",
    ),
    "decoder_dropout, 30 % of words": ("strategy=decoder_dropout", "trainer.epochs=6"),
    "encoder_steps, 5": ("strategy=encoder_steps", "trainer.epochs=3"),
    "aggressive": (
        "strategy=aggressive",
        "strategy.aggressive_window=5",
        "strategy.aggressive_max_updates=10",
        "strategy.aggressive_patience=1",
        "trainer.epochs=2.5",
        "trainer.evaluate_every=0.5",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", default="../shared/data/kjv.txt")
    parser.add_argument("--output", type=Path, default=Path("outputs/text"))
    parser.add_argument("--parallel", type=int, default=2, help="runs at a time")
    arguments = parser.parse_args()
    with ThreadPoolExecutor(arguments.parallel) as pool:
        list(pool.map(lambda name: train(name, arguments), RUNS))
    write("text", report(arguments.output), "cpu")


def directory(name: str, output: Path) -> Path:
    return output / name.split(",")[0].replace(" ", "_")


def train(name: str, arguments: argparse.Namespace) -> None:
    path, typed = directory(name, arguments.output), [*COMMON, f"data.path={arguments.text}"]
    typed += RUNS[name]
    if (path / "diagnosis.json").exists():
        made = json.loads((path / "summary.json").read_text())["overrides"]
        if made != typed:
            raise SystemExit(f"{path} is a run of other settings: {made}; remove it")
        return
    subprocess.run(
        [sys.executable, "-m", "vaecli.train", *typed, f"hydra.run.dir={path}"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    print(path.name, flush=True)


def report(output: Path) -> str:
    lines = [
        "# Mitigations on an LSTM that writes text",
        "",
        f"`vae-train {' '.join(COMMON)} data.path=kjv.txt ...` with what the table names; test",
        "split, nats per verse; one seed. MI: mutual information. Rise: by how much shuffling the",
        "codes raises the distortion. Perplexity: exp of (distortion + rate) per token.",
        "",
        *environment_lines("cpu"),
        "",
        "| strategy | rate | MI | rise | active dims | active units | -ELBO | perplexity | encoder "
        "updates | decoder updates | training minutes | commit |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in RUNS:
        path = directory(name, output)
        run = json.loads((path / "summary.json").read_text())
        found = json.loads((path / "diagnosis.json").read_text())
        info, perplexity = (
            found["information"]["mutual_information"],
            found["sequences"]["perplexity"],
        )
        rise = found["latent_use"]["shuffled"]
        cells = [
            f"{found['rate']:.2f}",
            *(spread(part) for part in (info, rise)),
            f"{found['active_dimensions']}",
            f"{found['active_units']}",
            f"{-found['elbo']:.2f}",
            spread(perplexity),
            f"{run['encoder_updates']:,}",
            f"{run['decoder_updates']:,}",
            f"{run['seconds'] / 60:.1f}",
            commit(path),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    settings = [f"* {name}: `{' '.join(more)}`" for name, more in RUNS.items()]
    return "\n".join([*lines, "", *settings])


def commit(path: Path) -> str:
    """Of the run: it may be older than the table."""
    return str(json.loads((path / "environment.json").read_text())["git"]["commit"])[:7]


def spread(estimate: dict) -> str:
    return f"{estimate['value']:.2f} ± {estimate['standard_error']:.2f}"


if __name__ == "__main__":
    main()
