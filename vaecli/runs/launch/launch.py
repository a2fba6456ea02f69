"""Sweeps whose jobs run in other processes: the side that starts, waits and compares."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from vaecli.config.arguments import key_of, quoted, split
from vaecli.config.compose import Composition, compose, run_hydra
from vaecli.config.job import Job
from vaecli.config.resume import SWEEP, Resumed
from vaecli.config.schema import Config, read
from vaecli.config.sweep_inside import INSIDE, overrides_of
from vaecli.core.errors import FAILED, INTERRUPTED, UsageError, require
from vaecli.core.rundir import SUMMARY, RunState, has_begun, remove_empty
from vaecli.core.untrusted import glance
from vaecli.reporting.comparison.runs import find_runs
from vaecli.reporting.console import say
from vaecli.runs.launch.worker import Worker, record_end, run_sweep
from vaecli.runs.sweep.directory import match, require_sweep, runs_in, working_on
from vaecli.runs.sweep.run_all import compare_launched

SIGNALLED = 128  # exit code to which a signal's number is added
NEVER_BEGAN = "its job left nothing here; the launcher's log says why"
HIDDEN = "CUDA_VISIBLE_DEVICES is set but empty"  # as a run's log has it
OURS = "VAECLI_"  # environment variables that jobs need: where the data is


def launch(composition: Composition, *, typed: list[str], resumed: Resumed | None) -> int:
    """Have the jobs done where their launcher does them, compare; returns the exit code.

    typed: the overrides of the command, kept so that the sweep can be resumed. resumed: the sweep
    to go on with.
    Raises UsageError if a job is wrong, or the launcher, before anything runs.
    """
    sweep, resume = composition.sweep, resumed is not None
    assert sweep is not None
    require_sweep(sweep, resume=resume)
    jobs = None if composition.jobs is None else _placed(composition)
    worker = Worker(
        os.getcwd(),
        {name: value for name, value in os.environ.items() if name.startswith(OURS)},
        composition.flags,
        tuple(split(composition.arguments)[1]),
        jobs,
    )
    new = not sweep.exists()
    with working_on(sweep, typed, resume=resume):
        number = "Jobs as they come" if jobs is None else f"{len(jobs)} jobs"
        say(f"{number}, launcher {composition.launcher}, in {sweep}")
        stopped = _have_done(composition, worker, new)
        return conclude(composition, jobs, " ".join(typed), stopped=stopped)


def _have_done(composition: Composition, worker: Worker, new: bool) -> int:
    """Wait for the jobs; the exit code of what kept them from being done, 0 if nothing did."""
    assert composition.sweep is not None
    try:
        if composition.here:
            return _here(worker)
        run_hydra(*split(_pinned(composition.arguments, composition.sweep)), worker)
    except UsageError:
        if new:
            _leave_nothing(composition.sweep)
        raise
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0]
        say(f"\nThe launcher gave up: {type(error).__name__}: {first[:300]}")
        return FAILED
    return 0


# ---------------------------------------------------------------------- before


def _placed(composition: Composition) -> dict[int, Job]:
    """The jobs in their directories; the runs that the sweep already has are gone on with.

    Raises UsageError if a job is wrong.
    """
    sweep, jobs = composition.sweep, composition.jobs or {}
    assert sweep is not None
    single = [number for number, job in jobs.items() if job.inside is None]
    require(
        not (single and composition.here),
        INSIDE,
        "null",
        "some jobs of this sweep are sweeps themselves, and some are not",
        "start those that are not as a sweep of their own",
    )
    configs = [_resolved(jobs[number].text) for number in single]
    runs = dict(zip(single, match(configs, runs_in(sweep)), strict=True))
    sweeps = _begun(sweep)
    placed: dict[int, Job] = {}
    for number, job in jobs.items():
        if job.inside is None:
            _checked(job.text, alone=True)
            directory, count = runs[number], 1
        else:
            directory = sweeps.get(job.directory.name.partition("_")[2])
            count = _count_inside(job, job.inside, composition.flags)
        require(
            directory is not None or not has_begun(job.directory),
            "hydra.sweep.dir",
            sweep,
            f"already holds another run ({job.directory.name})",
            "choose another directory for other settings",
        )
        placed[number] = job.but(directory=directory or job.directory, runs=count)
    return placed


def _count_inside(job: Job, inside: str, flags: tuple[str, ...]) -> int:
    """The number of runs of a job that is a sweep. Raises UsageError if one of them is wrong."""
    composition = compose(["-m", *flags, *overrides_of(job.overrides, inside)])
    jobs = {} if composition is None else composition.jobs or {}
    configs = [_checked(each.text, alone=False) for each in jobs.values()]
    searches = any(config.sweep.bisect for config in configs)  # as many as it takes
    return 1 if searches else len(configs)


def _checked(text: str, *, alone: bool) -> Config:
    """The job's config, checked but for what only the machine that runs it can know."""
    elsewhere = {"device": "cpu", "trainer": {"amp": "off"}}
    config = read(OmegaConf.merge(OmegaConf.create(text), elsewhere))
    require(
        not (alone and config.sweep.bisect),
        "sweep.bisect",
        config.sweep.bisect,
        "a search decides as it goes, so it cannot be spread over the jobs of a launcher",
        "make each job a search: \"sweep.inside='sweep.bisect=0.05'\"",
    )
    return config


def _resolved(text: str) -> dict[str, Any]:
    plain = OmegaConf.to_container(OmegaConf.create(text), resolve=True)
    assert isinstance(plain, dict)
    return {str(key): item for key, item in plain.items()}


def _begun(sweep: Path) -> dict[str, Path]:
    """The jobs that are sweeps and have begun, by what was swept to make them."""
    return {path.parent.name.partition("_")[2]: path.parent for path in sweep.glob(f"*/{SWEEP}")}


def _pinned(arguments: list[str], directory: Path) -> list[str]:
    """Arguments with the sweep's directory fixed: another machine has another time and place."""
    kept = [argument for argument in arguments if key_of(argument) != "hydra.sweep.dir"]
    return [*kept, f"hydra.sweep.dir={quoted(directory)}"]


def _leave_nothing(directory: Path) -> None:
    """Remove the directory of a sweep whose launcher did not start."""
    for name in (SWEEP, "multirun.yaml"):
        (directory / name).unlink(missing_ok=True)
    remove_empty(directory, keep={Path.cwd()})


# ---------------------------------------------------------------------- meanwhile


def _here(worker: Worker) -> int:
    """Do one job, a sweep each, after another; a signal ends it, whose exit code is returned."""
    jobs = worker.jobs or {}
    for count, job in enumerate(jobs.values(), 1):
        say(f"\n=== job {count} of {len(jobs)}: {job.directory.name}")
        code = run_sweep(job, worker.flags)
        if code > SIGNALLED:
            return code
    return 0


# ---------------------------------------------------------------------- afterwards


def conclude(
    composition: Composition, jobs: dict[int, Job] | None, title: str, *, stopped: int
) -> int:
    """Compare the runs, name the missing ones; returns the exit code of the command.

    jobs: in their directories; None if a sweeper chose them. stopped: the exit code of what kept
    the jobs from being done, or 0.
    """
    if "ray" in sys.modules:  # what its workers said is still on the way; the table comes last
        sys.modules["ray"].shutdown()
    assert composition.sweep is not None
    if jobs is None:
        runs, missing = list(find_runs(composition.sweep)), 0
    else:
        runs, missing = _collected(list(jobs.values()))
    code = compare_launched(composition.sweep, runs, title)
    states = Counter(str(glance(run / SUMMARY).get("run_state")) for run in runs)
    for line in (*_devices(runs), *_unfinished(states, missing, composition)):
        say(line)
    return stopped or code or (FAILED if missing else 0)


def _collected(jobs: list[Job]) -> tuple[list[Path], int]:
    """The runs that the jobs left, and how many more they should have left."""
    runs: list[Path] = []
    missing = 0
    for job in jobs:
        runs_of_job = list(find_runs(job.directory)) if job.directory.is_dir() else []
        if not runs_of_job:
            record_end(job, RunState.PENDING, NEVER_BEGAN)
            runs_of_job = [job.directory]
        elif runs_of_job != [job.directory]:
            missing += max(0, job.runs - len(runs_of_job))
        runs += runs_of_job
    return runs, missing


def _devices(runs: list[Path]) -> list[str]:
    """The devices that trained the runs, with a warning if a GPU was hidden from them."""
    places = Counter(
        f"{environment.get('device')} ({environment.get('device_name')})"
        for environment in (glance(run / "environment.json") for run in runs)
        if environment
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


def _unfinished(states: Counter[str], missing: int, composition: Composition) -> list[str]:
    lines = []
    if states[RunState.RUNNING]:
        lines.append(
            f"{states['running']} runs are recorded as running: their jobs were killed, or still "
            "go on without this command"
        )
    if missing:
        lines.append(f"{missing} runs were never begun")
    if lines or set(states) - {RunState.DONE}:
        launcher = composition.launcher
        chosen = "" if composition.here else f" hydra/launcher={launcher} ..."
        lines.append(f"Go on        vae-train resume={composition.sweep}{chosen}")
    return lines


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
