"""Recordings: what is kept of a golden run, and the files of this room that keep it."""

import csv
import hashlib
import json
import math
import platform
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cases
import torch
import yaml
from golden_doors import done
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vaecli import diagnose, train

HERE = Path(__file__).resolve().parent
# Another processor, or torch, adds in another order. On the processor that recorded, held to AVX2,
# to no vectors at all, and MKL and oneDNN to SSE, no figure of these few updates moved by more than
# 6e-6 of itself or 6e-7 (for figures near zero), whichever is more.
RELATIVE = 1e-4
ABSOLUTE = 1e-5
CLOCK = ("seconds", "images_per_second")
# Every part of a diagnosis, with as few samples as it takes.
DIAGNOSED = (
    "diagnosis.samples=60",
    "diagnosis.importance_samples=5",
    "diagnosis.ablation=20",
    "diagnosis.refine_steps=2",
    "diagnosis.baseline_steps=2",
    "diagnosis.autoregressive_examples=20",
    "diagnosis.tsne_points=50",
)
# Below these keys are the names of torch and Hydra, and what a copy without its git lacks.
NOT_OURS = ("optimizer", "hydra", "git")


def path_of(recording: str) -> Path:
    """The file of a recording, KIND/NAME; its kind is a key of RECORDERS."""
    suffix = {"losses": ".jsonl", "keys": ".txt", "compositions": ".yaml"}
    return HERE / (recording + suffix[recording.partition("/")[0]])


def read(recording: str) -> str:
    """The text of a recording; AssertionError with the remedy if there is none."""
    path = path_of(recording)
    assert path.exists(), f"{path.name} is missing; {remedy(recording)}"
    return path.read_text(encoding="utf-8")


def remedy(recording: str) -> str:
    """The command that makes a recording."""
    return f"record it: python tests/golden/record.py {recording}"


def trained(name: str, directory: Path) -> str:
    """Train the case `name` in `directory`.

    Returns its recording: a line with what was typed, the machine and a digest of the weights of
    each run; then a line for each row of each run's metrics.jsonl.
    """
    typed = cases.losses()[name]
    cases.write_text(directory)
    done(train, directory, *typed, "hydra.run.dir=run", "hydra.sweep.dir=run")
    root = directory / "run"
    runs = {
        path.parent.relative_to(root).as_posix(): path.parent
        for path in sorted(root.rglob("metrics.jsonl"))
    }
    digests = {run: digest(path / "checkpoints" / "last.pt") for run, path in runs.items()}
    head = {"typed": list(typed), "machine": machine(), "weights": digests}
    rows = [
        {"run": run} | {key: value for key, value in row.items() if key not in CLOCK}
        for run, path in runs.items()
        for row in objects(path / "metrics.jsonl")
    ]
    return "".join(f"{json.dumps(line, sort_keys=True)}\n" for line in (head, *rows))


def close(recorded: Any, now: Any) -> bool:
    """Return whether values are equal, or numbers (or lists of them) that differ by rounding."""
    if isinstance(recorded, list) and isinstance(now, list):
        return len(recorded) == len(now) and all(map(close, recorded, now))
    if isinstance(recorded, float) and isinstance(now, float):
        return math.isclose(recorded, now, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    return recorded == now


def digest(checkpoint: Path) -> str:
    """SHA-256 of the bytes of a checkpoint's weights, in the order of their names."""
    content = hashlib.sha256()
    for _, weights in sorted(torch.load(checkpoint, weights_only=True)["model"].items()):
        content.update(weights.contiguous().numpy().tobytes())
    return content.hexdigest()


def machine() -> dict[str, str]:
    """What the bits of a loss depend on beside the code: torch, and the processor.

    Kernels are chosen by its model, and the size of their blocks by its cache.
    """
    kernels = torch.backends.cpu.get_cpu_capability()
    return {"torch": torch.__version__, "kernels": kernels, "processor": _processor()}


def _processor() -> str:
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:  # no Linux
        return platform.processor()
    fields = dict(re.findall(r"^([^\t:]+)\s*: (.*)$", first, re.MULTILINE))
    keys = ("vendor_id", "cpu family", "model", "model name", "cache size")
    return ", ".join(f"{key} {fields[key]}" for key in keys if key in fields)


def composed(name: str, directory: Path) -> str:
    """The text that `vae-train --cfg job` prints for the composition `name`."""
    return done(train, directory, "--cfg", "job", *cases.compositions()[name])


def keys_of_a_run(directory: Path) -> str:
    """Train a single run with a whole diagnosis; returns `keys` of it."""
    typed = (*cases.DIGITS, *cases.SMALL, *DIAGNOSED)
    done(train, directory, *typed, "hydra.run.dir=run")
    return keys(directory / "run")


def keys_of_another_diagnosis(directory: Path) -> str:
    """Diagnose the run of `keys_of_a_run` again; returns `keys` of what is new in it."""
    if not (directory / "run").exists():
        keys_of_a_run(directory)
    before = keys(directory / "run").splitlines()
    done(diagnose, directory, "run", *DIAGNOSED)
    after = keys(directory / "run").splitlines()
    assert set(before) <= set(after)
    return "".join(f"{line}\n" for line in after if line not in before)


def keys_of_a_text(directory: Path) -> str:
    """Train a run on text with a whole diagnosis; returns `keys` of it."""
    cases.write_text(directory)
    typed = (*cases.TEXT, *cases.SMALL, *DIAGNOSED, "diagnosis.plots=false")
    done(train, directory, *typed, "hydra.run.dir=text")
    return keys(directory / "text")


def keys_of_a_sweep(directory: Path) -> str:
    """Train the case stacked_sweep if `directory` is empty; returns `keys` of it."""
    if not (directory / "run").exists():
        trained("stacked_sweep", directory)
    return keys(directory / "run")


KEYS = {
    "run": keys_of_a_run,
    "another_diagnosis": keys_of_another_diagnosis,
    "text": keys_of_a_text,
    "sweep": keys_of_a_sweep,
}


def keys_of(name: str, directory: Path) -> str:
    """Make in `directory` what KEYS calls `name`; returns `keys` of it."""
    return KEYS[name](directory)


# Kind -> names of its recordings, and what makes one of them in an empty directory.
RECORDERS = {
    "losses": (cases.losses(), trained),
    "compositions": (cases.compositions(), composed),
    "keys": (KEYS, keys_of),
}


def keys(directory: Path) -> str:
    """The files below `directory` and their nested keys.

    Returns lines "FILE" for each file and "FILE: GROUP: KEYS" for each group of keys in it. What
    names a time or a process is N, and the runs of a sweep are one, RUN.
    """
    lines: set[str] = set()
    for path in (path for path in directory.rglob("*") if path.is_file()):
        name = re.sub(r"^\d+_[^/]*/", "RUN/", path.relative_to(directory).as_posix())
        name = re.sub(r"tfevents\..*", "tfevents.N", name)
        lines.add(name)
        groups = defaultdict(set)
        for group, key in _keys(path):
            groups[group].add(key)
        lines |= {f"{name}: {group}: {' '.join(sorted(groups[group]))}" for group in groups}
    return "".join(f"{line}\n" for line in sorted(lines))


def _keys(path: Path) -> Iterator[tuple[str, str]]:
    """Pairs of a group, "" at the top, and a key in it."""
    if path.suffix == ".json":
        yield from _nested(json.loads(path.read_text(encoding="utf-8")))
    elif path.suffix == ".jsonl":
        for row in objects(path):
            yield from _nested(row)
    elif path.suffix == ".yaml":
        yield from _nested(yaml.safe_load(path.read_text(encoding="utf-8")))
    elif path.suffix == ".pt":
        yield from _nested(torch.load(path, weights_only=True))
    elif path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            yield from (("", column) for column in next(csv.reader(file)))
    elif "tfevents" in path.name:
        events = EventAccumulator(str(path)).Reload()
        tags = {kind: tags for kind, tags in events.Tags().items() if isinstance(tags, list)}
        yield from ((kind, re.sub(r"\d+", "N", tag)) for kind in tags for tag in tags[kind])


def _nested(value: Any, group: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for item in value:
            yield from _nested(item, f"{group}[]")
    elif isinstance(value, dict):
        for key, inner in value.items():
            name = "N" if re.fullmatch(r"[\d.]+", str(key)) else str(key)
            yield group, name
            if name not in NOT_OURS:
                yield from _nested(inner, f"{group}.{name}".lstrip("."))


def objects(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a file that has one in each line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
