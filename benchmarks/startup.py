"""How long commands take as a user waits for them, and what `vae-train` on digits spends it on.

Whole commands in a fresh process and a temporary directory, from Enter to exit. Writes
benchmarks/results/startup_<hardware>_<yyyymm>.md.
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

COMMANDS = {"--help": (["--help"], 1), "train": ([], 30)}  # arguments and target in seconds
# Where the digits run spends its time: phase -> functions; time within a listed function that
# another one calls counts for the inner one alone.
PHASES = {
    "composition": ["vaecli.train._collect"],
    "data": ["vaecli.data.digits.Digits.load"],
    "build": ["vaecli.run.build"],
    "optimizer": ["vaecli.training.fit.Fit.__init__"],
    "environment.json": ["vaecli.environment.describe"],
    "TensorBoard, import and opening": ["vaecli.reporting.tensorboard.TensorBoard.__init__"],
    "training": ["vaecli.training.fit.Fit.run"],
    "evaluations": ["vaecli.training.fit.Fit.pause"],
    "evaluations, written": ["vaecli.reporting.recorder.Recorder.evaluation"],
    "checkpoints": ["vaecli.training.checkpoint.save"],
    "diagnosis": ["vaecli.report.diagnose"],
    "t-SNE": ["vaecli.diagnosis.latent_space.tsne"],
    "pictures": ["vaecli.report._pictures"],
    "plots": ["vaecli.report.write_plots"],
    "TensorBoard, pictures and embedding": [
        f"vaecli.reporting.tensorboard.TensorBoard.{name}"
        for name in ("pictures", "embedding", "final", "close")
    ],
    "report.html": ["vaecli.report.write_page"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="runs of each command")
    parser.add_argument("--phases", type=Path, help=argparse.SUPPRESS)  # the child's part
    options = parser.parse_args()
    if options.phases:
        return trace(options.phases)
    from results import write  # imports torch, whose time is the child's to measure

    waits = {name: [] for name in COMMANDS}
    phases: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for turn in range(options.repeats):
            for name, (arguments, _) in COMMANDS.items():
                waits[name].append(
                    command([sys.executable, "-m", "vaecli.train", *arguments], scratch)
                )
            found = Path(scratch) / "phases.json"
            whole = command([sys.executable, __file__, "--phases", str(found)], scratch)
            phases.append(json.loads(found.read_text()) | {"whole command": whole})
            print(f"turn {turn + 1} of {options.repeats}", file=sys.stderr, flush=True)
    write("startup", report(waits, phases))


def command(line: list[str], directory: str) -> float:
    start = time.perf_counter()
    subprocess.run(line, cwd=directory, capture_output=True, check=True)
    return time.perf_counter() - start


def trace(output: Path) -> None:
    """`vae-train` with a stop-watch around the functions of PHASES."""
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

    for module in ("vaecli.sweep", "vaecli.run", "vaecli.report", "vaecli.data.digits"):
        importlib.import_module(module)
    imported = time.perf_counter() - start
    for phase, names in PHASES.items():
        for name in names:
            *path, last = name.split(".")
            owner = find(path)
            setattr(owner, last, watched(getattr(owner, last), phase))
    from vaecli.train import _main

    sys.argv = ["vae-train"]
    _main([])
    total = time.perf_counter() - start
    own = {"imports": imported} | own
    output.write_text(json.dumps(own | {"the rest": total - sum(own.values())}))


def find(path: list[str]):
    """The module or class called `path`."""
    try:
        return importlib.import_module(".".join(path))
    except ModuleNotFoundError:
        return getattr(find(path[:-1]), path[-1])


def report(waits: dict[str, list[float]], phases: list[dict[str, float]]) -> str:
    from results import environment_lines

    lines = [
        "# From Enter to exit",
        "",
        f"`python benchmarks/startup.py --repeats {len(phases)}`: whole commands in fresh",
        f"processes, median (min-max) of {len(phases)} runs in seconds.",
        "",
        *environment_lines(),
        "",
        "| command | seconds | target |",
        "|---|---|---|",
    ]
    for name, found in waits.items():
        arguments, target = COMMANDS[name]
        lines.append(f"| `{' '.join(['vae-train', *arguments])}` | {spread(found)} | {target} |")
    lines += ["", "| phase of `vae-train` (with timers) | seconds |", "|---|---|"]
    for phase in phases[0]:
        lines.append(f"| {phase} | {spread([row[phase] for row in phases])} |")
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


if __name__ == "__main__":
    main()
