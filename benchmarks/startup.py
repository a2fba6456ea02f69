"""How long commands take as a user waits for them, and what `vae-train` spends it on.

Whole commands in a fresh process and a temporary directory, from Enter to exit: the digits, and ten
epochs of MNIST. Writes benchmarks/results/startup_<hardware>_<yyyymm>.md.
"""

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

COMMANDS = {"--help": (["--help"], 0.7), "train": ([], 15)}  # arguments and target in seconds
FIRST_STEP, TARGET = "Enter to the first step", 4
# Where a run spends its time: phase -> functions; time within a listed function that
# another one calls counts for the inner one alone.
PHASES = {
    "composition": ["vaecli.train.compose"],
    "data": ["vaecli.runs.sweep.run_all._load"],
    "build": ["vaecli.runs.run.build"],
    "optimizer": ["vaecli.training.fit.Fit.__init__"],
    "environment.json": ["vaecli.core.machine.describe"],
    "TensorBoard, import and opening": ["vaecli.reporting.tensorboard.TensorBoard.__init__"],
    "training": ["vaecli.training.fit.Fit.run"],
    "evaluations": ["vaecli.training.fit.Fit.pause"],
    "evaluations, written": ["vaecli.reporting.recorder.Recorder.evaluation"],
    "checkpoints": ["vaecli.training.checkpoint.save"],
    "diagnosis: bound on log p(x), K = 100": ["vaecli.diagnosis.diagnose.importance_weighted"],
    "diagnosis: aggregate posterior": ["vaecli.diagnosis.information"],
    "diagnosis: use of z": [
        f"vaecli.diagnosis.latent_use.{name}" for name in ("shuffled", "replaced", "ablation")
    ],
    "diagnosis: pruning": ["vaecli.diagnosis.pruning"],
    "diagnosis: no-code baseline": ["vaecli.diagnosis.baseline"],
    "diagnosis: inference lag": ["vaecli.diagnosis.diagnose.refine"],
    "diagnosis: probes": ["vaecli.diagnosis.probes"],
    "diagnosis: the rest": ["vaecli.runs.report.diagnose"],
    "t-SNE": ["vaecli.diagnosis.latent_space.tsne"],
    "pictures": ["vaecli.runs.report._pictures"],
    "plots": ["vaecli.runs.report.write_plots"],
    "TensorBoard, pictures and embedding": [
        f"vaecli.reporting.tensorboard.TensorBoard.{name}"
        for name in ("pictures", "embedding", "final", "close")
    ],
    "report.html": ["vaecli.runs.report.write_page"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="runs of each command")
    parser.add_argument("--data", default="../shared/data", help="folder that holds MNIST/raw")
    parser.add_argument("--phases", type=Path, help=argparse.SUPPRESS)  # the child's part
    parser.add_argument("--entered", type=float, help=argparse.SUPPRESS)
    parser.add_argument("overrides", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.phases:
        return trace(options.phases, options.entered, options.overrides)
    from results import write  # imports torch, whose time is the child's to measure

    waits = {name: [] for name in COMMANDS}
    mnist = [
        "data=mnist",
        f"data.root={Path(options.data).resolve()}",
        "trainer.epochs=10",
        "model.latent_dim=20",
    ]
    traced = {"vae-train": [], "vae-train data=mnist trainer.epochs=10": mnist}
    phases: dict[str, list[dict[str, float]]] = {name: [] for name in traced}
    with tempfile.TemporaryDirectory() as scratch:
        for turn in range(options.repeats):
            for name, (arguments, _) in COMMANDS.items():
                waits[name].append(
                    command([sys.executable, "-m", "vaecli.train", *arguments], scratch)
                )
            found = Path(scratch) / "phases.json"
            for name, overrides in traced.items():
                entered = ["--phases", str(found), "--entered", str(time.time())]
                whole = command([sys.executable, __file__, *entered, *overrides], scratch)
                phases[name].append(json.loads(found.read_text()) | {"whole command": whole})
            print(f"turn {turn + 1} of {options.repeats}", file=sys.stderr, flush=True)
    write("startup", report(waits, phases))


def command(line: list[str], directory: str) -> float:
    start = time.perf_counter()
    subprocess.run(line, cwd=directory, capture_output=True, check=True)
    return time.perf_counter() - start


def trace(output: Path, entered: float, overrides: list[str]) -> None:
    """`vae-train` with a stop-watch around the functions of PHASES.

    entered: when the command was, as time.time() tells it.
    """
    start = time.perf_counter()
    own = dict.fromkeys(PHASES, 0.0)
    running: list[list] = []  # of the functions we are in: name, and when its own time last began

    def switch(push: str | None) -> None:
        now = time.perf_counter()
        if running:
            own[running[-1][0]] += now - running[-1][1]
        running.append([push, now]) if push else running.pop()
        if running:
            running[-1][1] = now

    def watched(function, phase: str):
        def call(*args, **kwargs):
            switch(phase)
            try:
                return function(*args, **kwargs)
            finally:
                switch(None)

        return call

    for module in (
        "vaecli.runs.sweep.run_all",
        "vaecli.runs.run",
        "vaecli.runs.report",
        "vaecli.data.digits",
    ):
        importlib.import_module(module)
    imported = time.perf_counter() - start
    for phase, names in PHASES.items():
        for name in names:
            *path, last = name.split(".")
            owner = find(path)
            setattr(owner, last, watched(getattr(owner, last), phase))
    from vaecli.train import _main
    from vaecli.training.fit import Fit

    stepped: list[float] = []
    update = Fit.update

    def first(self):
        Fit.update = update
        moved = update(self)
        stepped.append(time.time() - entered)
        return moved

    Fit.update = first
    sys.argv = ["vae-train", *overrides]
    _main(overrides)
    total = time.perf_counter() - start
    own = {"imports": imported} | own
    rest = {"the rest": total - sum(own.values()), FIRST_STEP: stepped[0]}
    output.write_text(json.dumps(own | rest))


def find(path: list[str]):
    """The module or class called `path`."""
    try:
        return importlib.import_module(".".join(path))
    except ModuleNotFoundError:
        return getattr(find(path[:-1]), path[-1])


def report(waits: dict[str, list[float]], phases: dict[str, list[dict[str, float]]]) -> str:
    from results import environment_lines

    repeats = len(waits["train"])

    lines = [
        "# From Enter to exit",
        "",
        f"`python benchmarks/startup.py --repeats {repeats}`: whole commands in fresh",
        f"processes, median (min-max) of {repeats} runs in seconds.",
        "",
        *environment_lines(),
        "",
        "| command | seconds | target |",
        "|---|---|---|",
    ]
    for name, found in waits.items():
        arguments, target = COMMANDS[name]
        lines.append(f"| `{' '.join(['vae-train', *arguments])}` | {spread(found)} | {target} |")
    first = [row[FIRST_STEP] for row in phases["vae-train"]]
    lines.append(f"| `vae-train`, {FIRST_STEP} | {spread(first)} | {TARGET} |")
    lines += ["", f"| phase (with timers) | {' | '.join(f'`{name}`' for name in phases)} |"]
    lines.append("|---" * (1 + len(phases)) + "|")
    for phase in phases["vae-train"][0]:
        times = [spread([row[phase] for row in rows]) for rows in phases.values()]
        lines.append(f"| {phase} | {' | '.join(times)} |")
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


if __name__ == "__main__":
    main()
