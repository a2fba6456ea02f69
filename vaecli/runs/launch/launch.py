"""Sweeps whose jobs run elsewhere, or are sweeps themselves: the side that waits and compares."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from vaecli.config.compose import REFUSALS, Composed, compose, key_of
from vaecli.config.inside import overrides_of
from vaecli.config.jobs import Sweep, foresee
from vaecli.config.resume import SWEEP
from vaecli.config.schema import Config, read
from vaecli.core.errors import FAILED, INTERRUPTED, require
from vaecli.core.rundir import SUMMARY, has_begun, remove_empty
from vaecli.core.untrusted import glance
from vaecli.reporting.comparison.runs import find_runs
from vaecli.reporting.console import say
from vaecli.runs.launch.worker import Worker, record_end, run_sweep
from vaecli.runs.sweep.begun import match, require_sweep, runs_in, working_on
from vaecli.runs.sweep.run_all import compare_launched

SIGNALLED = 128  # exit code to which a signal's number is added
NEVER_BEGAN = "its job left nothing here; the launcher's log says why"
HIDDEN = "CUDA_VISIBLE_DEVICES is set but empty"  # as a run's log has it
OURS = "VAECLI_"  # environment variables that jobs need: where the data is


class Place(NamedTuple):
    """Where one job works, and how many runs it leaves there at least."""

    directory: Path
    overrides: list[str]
    runs: int


def launch(arguments: list[str], sweep: Sweep, *, typed: list[str], resume: bool) -> int:
    """Have the jobs done where their launcher does them, compare; returns the exit code.

    typed: the overrides of the command, kept so that the sweep can be resumed. resume: whether to
    go on with the sweep in its directory.
    Raises one of compose.REFUSALS if a job is wrong, or the launcher, before anything runs.
    """
    require_sweep(sweep.directory, resume=resume)
    places = None if sweep.jobs is None else _places(sweep.jobs, sweep)
    worker = Worker(
        os.getcwd(),
        {name: value for name, value in os.environ.items() if name.startswith(OURS)},
        tuple(sweep.flags),
        None if places is None else {n: str(p.directory) for n, p in places.items()},
    )
    new = not sweep.directory.exists()
    with working_on(sweep.directory, typed, resume=resume):
        jobs = "Jobs as they come" if places is None else f"{len(places)} jobs"
        say(f"{jobs}, launcher {sweep.launcher}, in {sweep.directory}")
        stopped = _have_done(arguments, sweep, places, worker, new)
        return _conclude(sweep, places, " ".join(typed), stopped)


def _have_done(
    arguments: list[str], sweep: Sweep, places: dict[int, Place] | None, worker: Worker, new: bool
) -> int:
    """Wait for the jobs; the exit code of what kept them from being done, 0 if nothing did."""
    try:
        if sweep.here:
            return _here(sweep, places or {})
        compose(_pinned(arguments, sweep.directory), worker)
    except REFUSALS:
        if new:
            _leave_nothing(sweep.directory)
        raise
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0]
        say(f"\nThe launcher gave up: {type(error).__name__}: {first[:300]}")
        return FAILED
    return 0


# ---------------------------------------------------------------------- before


def _places(jobs: dict[int, Composed], sweep: Sweep) -> dict[int, Place]:
    """Where each job works; what the sweep's directory knows is gone on with. Raises UsageError."""
    inside = {number: OmegaConf.create(job.text).sweep.inside for number, job in jobs.items()}
    alone = [number for number in jobs if inside[number] is None]
    require(
        not (alone and sweep.here), "sweep.inside", "null",
        "some jobs of this sweep are sweeps themselves, and some are not",
        "start those that are not as a sweep of their own",
    )  # fmt: skip
    plain = [_plain(jobs[number].text) for number in alone]
    known = dict(zip(alone, match(plain, runs_in(sweep.directory)), strict=True))
    begun = _begun(sweep.directory)
    places: dict[int, Place] = {}
    for number, job in jobs.items():
        if inside[number] is None:
            _checked(job.text, alone=True)
            found, runs = known[number], 1
        else:
            found = begun.get(job.directory.name.partition("_")[2])
            runs = _inside(job, inside[number], sweep)
        places[number] = Place(found or job.directory, job.overrides, runs)
        require(
            found is not None or not has_begun(job.directory), "hydra.sweep.dir", sweep.directory,
            f"already holds another run ({job.directory.name})",
            "choose another directory for other settings",
        )  # fmt: skip
    return places


def _inside(job: Composed, text: str, sweep: Sweep) -> int:
    """How many runs a job has that is a sweep. Raises one of compose.REFUSALS if one is wrong."""
    arguments = ["-m", *sweep.flags, *overrides_of(job.overrides, text)]
    inner = foresee(arguments, always=True)
    jobs = {} if inner is None else inner.jobs or {}
    configs = [_checked(each.text, alone=False) for each in jobs.values()]
    searches = any(config.sweep.bisect for config in configs)  # as many as it takes
    return 1 if searches else len(configs)


def _checked(text: str, *, alone: bool) -> Config:
    """The job's config, checked but for what only the machine that runs it can know."""
    elsewhere = {"device": "cpu", "trainer": {"amp": "off"}}
    config = read(OmegaConf.merge(OmegaConf.create(text), elsewhere))
    require(
        not (alone and config.sweep.bisect), "sweep.bisect", config.sweep.bisect,
        "a search decides as it goes, so it cannot be spread over the jobs of a launcher",
        "make each job a search: \"sweep.inside='sweep.bisect=0.05'\"",
    )  # fmt: skip
    return config


def _plain(text: str) -> dict[str, Any]:
    return OmegaConf.to_container(OmegaConf.create(text), resolve=True)


def _begun(sweep: Path) -> dict[str, Path]:
    """The jobs that are sweeps and have begun, by what was swept to make them."""
    return {path.parent.name.partition("_")[2]: path.parent for path in sweep.glob(f"*/{SWEEP}")}


def _pinned(arguments: list[str], directory: Path) -> list[str]:
    """Arguments with the sweep's directory fixed: another machine has another time and place."""
    kept = [argument for argument in arguments if key_of(argument) != "hydra.sweep.dir"]
    quoted = str(directory).replace("\\", "\\\\").replace("'", "\\'")
    return [*kept, f"hydra.sweep.dir='{quoted}'"]


def _leave_nothing(directory: Path) -> None:
    """Remove the directory of a sweep whose launcher did not start."""
    for name in (SWEEP, "multirun.yaml"):
        (directory / name).unlink(missing_ok=True)
    remove_empty(directory, keep={Path.cwd()})


# ---------------------------------------------------------------------- meanwhile


def _here(sweep: Sweep, places: dict[int, Place]) -> int:
    """One job, a sweep each, after another; until a signal ends it, whose exit code is returned."""
    jobs = sweep.jobs or {}
    for count, (number, job) in enumerate(jobs.items(), 1):
        directory = places[number].directory
        say(f"\n=== job {count} of {len(jobs)}: {directory.name}")
        code = run_sweep(job, directory, tuple(sweep.flags))
        if code > SIGNALLED:
            return code
    return 0


# ---------------------------------------------------------------------- afterwards


def _conclude(sweep: Sweep, places: dict[int, Place] | None, title: str, stopped: int) -> int:
    """Compare what is there, say what is missing; the exit code of the command."""
    if "ray" in sys.modules:  # what its workers said is still on the way; the table comes last
        sys.modules["ray"].shutdown()
    if places is None:
        runs, missing = list(find_runs(sweep.directory)), 0
    else:
        runs, missing = _collected(list(places.values()))
    code = compare_launched(sweep.directory, runs, title)
    states = Counter(str(glance(run / SUMMARY).get("run_state")) for run in runs)
    for line in (*_devices(runs), *_unfinished(states, missing, sweep)):
        say(line)
    return stopped or code or (FAILED if missing else 0)


def _collected(places: list[Place]) -> tuple[list[Path], int]:
    """The runs that the jobs left, and how many more they should have left."""
    runs: list[Path] = []
    missing = 0
    for place in places:
        found = list(find_runs(place.directory)) if place.directory.is_dir() else []
        if not found:
            record_end(place.directory, place.overrides, "pending", NEVER_BEGAN)
            found = [place.directory]
        elif found != [place.directory]:
            missing += max(0, place.runs - len(found))
        runs += found
    return runs, missing


def _devices(runs: list[Path]) -> list[str]:
    """Where the runs were trained: never silently on a CPU."""
    places = Counter(
        f"{found.get('device')} ({found.get('device_name')})"
        for found in (glance(run / "environment.json") for run in runs)
        if found
    )
    if not places:
        return []
    lines = ["Devices      " + ", ".join(f"{n} runs on {place}" for place, n in places.items())]
    hidden = sum(HIDDEN in _text(run / "train.log") for run in runs)
    if hidden:
        lines.append(
            f"Warning: in {hidden} of {len(runs)} runs {HIDDEN}, so they could use no GPU;\n"
            "  ask the launcher for one (docs/clusters.md), or say device=cpu if none is wanted"
        )
    return lines


def _unfinished(states: Counter[str], missing: int, sweep: Sweep) -> list[str]:
    lines = []
    if states["running"]:
        lines.append(
            f"{states['running']} runs are recorded as running: their jobs were killed, or still "
            "go on without this command"
        )
    if missing:
        lines.append(f"{missing} runs were never begun")
    if lines or set(states) - {"done"}:
        chosen = "" if sweep.here else f" hydra/launcher={sweep.launcher} ..."
        lines.append(f"Go on        vae-train resume={sweep.directory}{chosen}")
    return lines


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
