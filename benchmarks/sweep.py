"""Sweeps: runs trained as one stack against the same runs one after another, and in processes.

First the training steps alone, in turns; then the whole command on the digits,
from Enter to the comparison page, with a diagnosis of each of 32 runs. With a GPU also the 64-point
sweep over beta on MNIST. Writes benchmarks/results/sweep_<hardware>_<yyyymm>.md; exits with 1 if a
limit is exceeded.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import Mock

import torch
from hydra import compose, initialize_config_dir
from results import environment_lines, write

from vaecli.config.compose import CONFIGS
from vaecli.config.schema import read
from vaecli.runs.build import build
from vaecli.runs.sweep.plan import MOST
from vaecli.training.fit import Fit
from vaecli.training.loop import READ_EVERY
from vaecli.training.precision import choose_device, choose_precision, prepare_process
from vaecli.training.stack.stack import Stack

BETAS, SEEDS = "0.5,1,1.5,2,2.5,3,4,6", "0,1,2,3"  # 32 runs
LEAST_SPEEDUP, MOST_SECONDS = 1.8, 90.0  # of the steps of 32 runs; of the whole command
GPU_MOST_RATIO, GPU_MOST_SECONDS = 2.0, 180.0  # 64 runs over one run; the 64-point sweep
PROCESSES = os.cpu_count() or 1  # at once
MOST_UPDATES = 800  # of all runs together in one measurement
COMMAND = "from vaecli.train import main; main()"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="../shared/data", help="folder that holds MNIST/raw")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    prepare_process()
    gpu = torch.cuda.is_available()
    mnist = ["data=mnist", f"data.root={options.data}"]
    cases = [
        ("MLP, digits", [], (1, 8, 32, 128, 512)),
        ("MLP, MNIST", mnist, (8, 64) if gpu else (8,)),
        ("CNN, digits", ["model=cnn"], (8, 32)),
        ("PixelCNN, digits", ["model=pixelcnn"], (8,)),
    ]
    rows, met = [], []
    for name, overrides, counts in cases:
        for count in counts:
            times = steps(overrides, count, options.repeats)
            speedup = median_ratio(times["alone"], times["stacked"])
            over_processes = median_ratio(times["processes"], times["stacked"])
            over_one = median_ratio(times["stacked"], times["one"])
            rows.append(
                f"| {name} | {count} | {spread(times['alone'])} | {spread(times['processes'])} | "
                f"{spread(times['stacked'])} | {speedup:.2f} | {over_processes:.2f} | "
                f"{over_one:.1f} |"
            )
            print(rows[-1], flush=True)
            if (name, count) == ("MLP, digits", 32) and not gpu:
                met.append(speedup >= LEAST_SPEEDUP)
            if (name, count) == ("MLP, MNIST", 64):
                met.append(over_one <= GPU_MOST_RATIO)
    whole = []
    digits = ["-m", f"schedule.beta={BETAS}", f"seed={SEEDS}", "diagnosis=quick"]
    for name, arguments, limit in [
        ("32 runs on the digits, 30 epochs each", digits, MOST_SECONDS),
        ("the same, `sweep.stack=off`", [*digits, "sweep.stack=off"], None),
        *(
            [("64 betas on MNIST, 20 epochs each", gpu_sweep(mnist), GPU_MOST_SECONDS)]
            if gpu
            else []
        ),
    ]:
        seconds = [command(arguments) for _ in range(options.repeats)]
        whole.append(f"| {name} | {spread(seconds, 's', 1)} | {limit or ''} |")
        print(whole[-1], flush=True)
        met += [max(seconds) <= limit] if limit else []
    missing = (
        ""
        if gpu
        else (
            "\nNo GPU: the time of 64 stacked MLP runs on MNIST over that of one (limit 2) and the "
            "64-point sweep on MNIST (limit 180 s) were not measured.\n"
        )
    )
    write(
        "sweep",
        "\n".join(
            [
                "# Stacked sweeps",
                "",
                f"`python benchmarks/sweep.py`, {options.repeats} repeats in turns, batch 128. "
                f"Training "
                f"steps only: milliseconds for one update of every run (median and range over "
                f"repeats of "
                f"{READ_EVERY} updates, fewer of many runs). In processes: {PROCESSES} at once, "
                f"each with "
                f"its share of the runs, one after another, and of the threads. More than "
                f"{MOST} runs are "
                "several stacks, as `vae-train` makes them.",
                "",
                *environment_lines(),
                "",
                "| model | runs | one after another, ms | in processes, ms | stacked, ms | "
                "stacked over one after another | over processes | stack / one run |",
                "|---|---|---|---|---|---|---|---|",
                *rows,
                "",
                "Whole commands, from Enter to the comparison page; every run is diagnosed "
                "(`diagnosis=quick`):",
                "",
                "| command | seconds | limit |",
                "|---|---|---|",
                *whole,
                missing,
                f"Limits met: {'yes' if all(met) else '**no**'}.",
            ]
        ),
    )
    return 0 if all(met) else 1


def steps(overrides: list[str], count: int, repeats: int) -> dict[str, list[float]]:
    """Milliseconds of one update of all runs, in each way; and of one run by itself."""
    updates = max(4, min(READ_EVERY, MOST_UPDATES // count))
    times: dict[str, list[float]] = {}
    with ExitStack() as open_pools:
        pools = [
            open_pools.enter_context(ProcessPoolExecutor(1, get_context("spawn"), begin, (part,)))
            for part in shares(overrides, count)
        ]
        alone, together = fits(overrides, range(count)), fits(overrides, range(count))
        stacks = [
            Stack(together[start : start + MOST], lambda fit, error: sys.exit(str(error)))
            for start in range(0, count, MOST)
        ]
        ways = {
            "alone": lambda: sum(timed(fit, updates) for fit in alone),
            "processes": lambda: at_once(pools, updates),
            "stacked": lambda: sum(timed(stack, updates) for stack in stacks),
            "one": lambda: timed(alone[0], updates),
        }
        for repeat in range(repeats + 1):
            for name, way in ways.items():
                spent = way()
                if repeat:  # the first warms up
                    times.setdefault(name, []).append(1000 * spent / updates)
    return times


def shares(overrides: list[str], count: int) -> list[tuple[list[str], range, int]]:
    """What each process trains: overrides, which runs, and with how many threads."""
    processes = min(PROCESSES, count)
    threads = max(1, torch.get_num_threads() // processes)
    return [(overrides, range(i, count, processes), threads) for i in range(processes)]


def begin(part: tuple[list[str], range, int]) -> None:
    global mine
    overrides, runs, threads = part
    prepare_process()
    torch.set_num_threads(threads)
    mine = fits(overrides, runs)


def train_mine(updates: int) -> None:
    for fit in mine:
        timed(fit, updates)


def at_once(pools: list[ProcessPoolExecutor], updates: int) -> float:
    start = time.perf_counter()
    for ended in [pool.submit(train_mine, updates) for pool in pools]:
        ended.result()
    return time.perf_counter() - start


def timed(trained: Fit | Stack, updates: int) -> float:
    device = trained.precision.device
    start = time.perf_counter()
    for _ in range(updates):
        trained.update()
    if device.type == "cuda":
        torch.cuda.synchronize()
    spent = time.perf_counter() - start
    (trained.meter if isinstance(trained, Fit) else trained)._window.clear()
    return spent


def median_ratio(slower: list[float], faster: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(slower, faster, strict=True))


def fits(overrides: list[str], runs: range) -> list[Fit]:
    """Some of the runs over beta and seed, as a sweep would train them."""
    made: list[Fit] = []
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        settings = [(seed, beta) for seed in range(64) for beta in (0.5, 1, 2, 4, 6, 8, 10, 20)]
        for seed, beta in settings[runs.start : runs.stop : runs.step]:
            config = read(
                compose(
                    "config",
                    overrides=[
                        *overrides,
                        f"seed={seed}",
                        f"schedule.beta={beta}",
                        "trainer.epochs=1000",
                        "trainer.compile=off",
                    ],
                )
            )
            if not made:
                device = choose_device(config.device)
                data = config.data.load().to(device)
            fit = Fit(
                build(config, data),
                data,
                trainer=config.trainer,
                schedule=config.schedule,
                precision=choose_precision(config.trainer.amp, device),
                seed=seed,
                threshold=0.01,
                directory=Path("unused"),
            )
            fit.observer = Mock()
            fit.meter.start()
            made.append(fit)
    return made


def gpu_sweep(mnist: list[str]) -> list[str]:
    betas = ",".join(f"{0.5 * 1.08**i:.3g}" for i in range(64))
    return ["-m", *mnist, f"schedule.beta={betas}", "trainer.epochs=20", "diagnosis=quick"]


def command(arguments: list[str]) -> float:
    with tempfile.TemporaryDirectory() as scratch:
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", COMMAND, *arguments, f"hydra.sweep.dir={scratch}/sweep"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        spent = time.perf_counter() - start
        shutil.rmtree(f"{scratch}/sweep")
    return spent


def spread(values: list[float], unit: str = "", digits: int = 2) -> str:
    middle = statistics.median(values)
    if len(values) == 1:
        return f"{middle:.{digits}f}"
    return f"{middle:.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


if __name__ == "__main__":
    sys.exit(main())
