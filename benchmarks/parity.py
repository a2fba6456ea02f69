"""How far a stacked run's losses are from those of the same run alone.

MNIST, three runs that differ in seed, schedule, learning rate and weight decay, 100 updates in
float32. Beside it what the number of threads changes in a run alone: convolutions sum in another
order, and training amplifies the last digit.
Writes benchmarks/results/parity_<hardware>_<yyyymm>.md.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from unittest.mock import Mock

import torch
from hydra import compose, initialize_config_dir
from results import environment_lines, write

from vaecli.config.compose import CONFIGS
from vaecli.config.schema import read
from vaecli.runs.build import build
from vaecli.training.fit import Fit
from vaecli.training.precision import choose_device, choose_precision, prepare_process
from vaecli.training.stack.stack import Stack

UPDATES = 100
LOOKS = (1, 10, 30, UPDATES)  # the largest difference within so many updates
RUNS = (
    ("seed=0", "schedule.beta=0.5"),
    ("seed=1", "schedule=linear", "schedule.beta=4", "trainer.lr=3e-4"),
    ("seed=1", "schedule=cyclical", "trainer.weight_decay=1e-2"),
)
CASES = [("mlp", "none"), ("mlp", "delta_vae"), ("cnn", "none"), ("cnn", "delta_vae")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="../shared/data", help="folder that holds MNIST/raw")
    options = parser.parse_args()
    prepare_process()
    threads = torch.get_num_threads()
    rows = []
    for model, strategy in CASES:
        asked = ["data=mnist", f"data.root={options.data}", "data.limit=20000", f"model={model}"]
        asked += [f"strategy={strategy}", "trainer.amp=off"]
        alone = [losses(fit) for fit in fits(asked)]
        torch.set_num_threads(1)
        thread = [losses(fit) for fit in fits(asked)]
        torch.set_num_threads(threads)
        for what, found in (("stacked", stacked(fits(asked))), ("alone, one thread", thread)):
            shown = [f"{largest(found, alone, updates):.0e}" for updates in LOOKS]
            rows.append(f"| {model}, {strategy} | {what} | {' | '.join(shown)} |")
            print(rows[-1], flush=True)
    heads = " | ".join(f"within {n}" if n > 1 else "first update" for n in LOOKS)
    text = [
        "# Stacked runs against the same runs alone",
        "",
        "`python benchmarks/parity.py`: largest relative difference of the loss of an update "
        f"from that of the run alone on {threads} threads, over three runs on MNIST.",
        "",
        *environment_lines(),
        "",
        f"| run | computed | {heads} |",
        "|---|---|" + "---|" * len(LOOKS),
        *rows,
    ]
    write("parity", "\n".join(text))


def fits(asked: list[str]) -> list[Fit]:
    """The runs, about to train."""
    made: list[Fit] = []
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        for own in RUNS:
            config = read(compose("config", overrides=[*asked, *own]))
            device = choose_device(config.device)
            data = made[0].data if made else config.data.load().to(device)
            fit = Fit(
                build(config, data),
                data,
                trainer=config.trainer,
                schedule=config.schedule,
                precision=choose_precision(config.trainer.amp, device),
                seed=config.seed,
                threshold=0.01,
                directory=Path(tempfile.gettempdir()),
            )
            fit.observer = Mock()
            made.append(fit)
    return made


def losses(fit: Fit) -> list[float]:
    """The loss of every update of a run alone."""
    for _ in range(UPDATES):
        fit.update()
    return torch.stack(fit.meter._window)[:, 0].tolist()


def stacked(members: list[Fit]) -> list[list[float]]:
    """The same of runs in a stack, in the order of `members`."""
    stack = Stack(list(members), Mock())
    for _ in range(UPDATES):
        stack.update()
    found = torch.stack(stack._window, dim=1)[:, :, 0].tolist()  # (runs, updates)
    return [found[stack.fits.index(fit)] for fit in members]


def largest(found: list[list[float]], alone: list[list[float]], updates: int) -> float:
    """The largest relative difference within the first updates."""
    pairs = zip(found, alone, strict=True)
    return max(
        abs(x - y) / abs(y)
        for ours, theirs in pairs
        for x, y in zip(ours[:updates], theirs[:updates], strict=True)
    )


if __name__ == "__main__":
    main()
