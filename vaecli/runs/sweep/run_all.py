"""All the jobs of one command: validated together, run in stacks or alone, then compared."""

from __future__ import annotations

import shlex
from contextlib import ExitStack
from pathlib import Path

import torch

from vaecli.config.compose import Composition
from vaecli.config.identity import config_hash
from vaecli.config.job import Job
from vaecli.config.resume import Resumed
from vaecli.config.schema import Config
from vaecli.core.errors import DONE, FAILED, UsageError, require
from vaecli.core.rundir import SUMMARY, RunDirectory, RunState, check_writable, never_began
from vaecli.core.untrusted import glance
from vaecli.data.sets.base import Data
from vaecli.reporting.console import say
from vaecli.reporting.tensorboard import hush_writers
from vaecli.runs.attempt import Prepared
from vaecli.runs.build import check
from vaecli.runs.opening import claim_pending
from vaecli.runs.run import run
from vaecli.runs.sweep.critical import search, searches, sentence
from vaecli.runs.sweep.directory import (
    Plain,
    config_in,
    match,
    number,
    require_sweep,
    runs_in,
    working_on,
)
from vaecli.runs.sweep.plan import Group, plan
from vaecli.runs.sweep.stack import run_alone, run_stack
from vaecli.training.precision import choose_device, prepare_process
from vaecli.training.signals import StopRequests

MULTIRUN = "multirun.yaml"  # the config of a sweep with Hydra's part, as Hydra itself writes it


def run_all(composition: Composition, *, typed: list[str], resumed: Resumed | None) -> int:
    """Validate every job, run them, compare them; returns the command's exit code.

    typed: the overrides of the command, kept so that a sweep can be resumed.
    Raises UsageError before anything runs if one of the jobs is wrong.
    """
    prepare_process()
    hush_writers()
    jobs = list((composition.jobs or {}).values())
    if composition.sweep is None:
        (job,) = jobs
        if resumed is not None:
            job = job.but(directory=resumed.directory, resume=True)
        prepared = _prepared(job)
        with StopRequests() as stop:
            return run(prepared, stop)  # done, if a signal came too late to keep it from that
    sweep = _Sweep(composition, typed, resume=resumed is not None)
    try:
        return _run_sweep(sweep, jobs)
    finally:
        sweep.close()


def _run_sweep(sweep: _Sweep, jobs: list[Job]) -> int:
    answers: dict[str, dict] = {}
    if any(job.config.sweep.bisect for job in jobs):
        answers = search(searches(jobs), sweep.run)
    else:
        sweep.run(jobs)
    title = " ".join(sweep.typed)
    compared = _compare(sweep.directory, sorted(sweep.directories, key=number), title)
    for name, answer in answers.items():
        say(sentence(name, answer))
    if answers:
        RunDirectory(sweep.directory).write_json("critical_beta.json", answers)
    unanswered = any(answer["reason"] for answer in answers.values())
    return sweep.code or (DONE if compared and not unanswered else FAILED)


class _Sweep:
    """The runs of one command, on their way from jobs to exit codes."""

    def __init__(self, composition: Composition, typed: list[str], *, resume: bool):
        """Look at the sweep's directory. Raises UsageError if no sweep can begin or go on there.

        resume: go on with the runs that the directory holds.
        """
        directory = composition.sweep
        assert directory is not None
        require_sweep(directory, resume=resume)
        self.directory, self.typed, self.resume = directory, typed, resume
        self._record = composition.record
        self.before = runs_in(directory) if resume else {}
        self.codes: dict[Path, int] = {}
        self.stopped = 0  # the exit code of a signal
        self.directories: set[Path] = set()  # of all runs, done before or now
        self._loaded: dict[tuple, Data] = {}
        self._open = ExitStack()
        self._begun = False

    def close(self) -> None:
        """Let others go on with the sweep."""
        self._open.close()

    @property
    def code(self) -> int:
        """The exit code: a signal's, else whether any run failed."""
        return self.stopped or (FAILED if any(self.codes.values()) else DONE)

    def run(self, jobs: list[Job]) -> dict[Path, Path] | None:
        """Make the runs; returns the directory of each job's run, None if a signal ended it.

        Raises UsageError, before anything is written, if one of the jobs is wrong.
        """
        entries, where = self._prepared(jobs)
        say(f"{len(jobs)} runs, in {self.directory}")
        if not self._begun:
            self._open.enter_context(working_on(self.directory, self.typed, resume=self.resume))
            RunDirectory(self.directory).write_text(MULTIRUN, self._record)
            self._begun = True
        if len(entries) < len(jobs):
            done = len(jobs) - len(entries)
            say(f"{done} of {len(jobs)} runs are done already and are left as they are")
        with StopRequests() as stop:
            codes = _run_groups(plan(entries), len(entries), stop)
        for entry in entries:
            if entry.job.directory not in codes:
                try:
                    claim_pending(entry)
                except (UsageError, OSError) as error:  # nobody has to know of it but the user
                    say(f"{entry.job.directory.name}: {error}")
        self.stopped = stop.exit_code
        self.codes |= codes
        self.directories |= set(where.values())
        return None if self.stopped else where

    def _prepared(self, jobs: list[Job]) -> tuple[list[Prepared], dict[Path, Path]]:
        """The runs to make, and each job's directory: some runs may have begun, or be done."""
        entries: list[Prepared] = []
        where: dict[Path, Path] = {}
        places = match([job.config.plain for job in jobs], self.before)
        for job, place in zip(jobs, places, strict=True):
            if place is None and self.resume and never_began(job.directory):
                place = job.directory
            where[job.directory] = place or job.directory
            if place is None:
                _require_free(job.directory, self.directory)
            elif _is_done(place, self.before.get(place), job.config, self._loaded):
                continue
            if place is not None:
                job = job.but(directory=place, resume=True)
            entries.append(_load(job, self._loaded))
        return entries, where


def run_now(job: Job) -> float | None:
    """One job under another launcher or sweeper; returns the validation loss it can minimise.

    A job that its cluster has put back into the queue finds its run, and goes on with it.
    Raises UsageError if the job is wrong, or its directory holds another run.
    """
    prepare_process()
    hush_writers()
    begun = config_in(job.directory)
    if match([job.config.plain], {} if begun is None else {job.directory: begun}) == [None]:
        begun = None
    if begun is not None or never_began(job.directory):
        job = job.but(resume=True)
    if not _is_done(job.directory, begun, job.config, {}):
        prepared = _prepared(job)
        with StopRequests() as stop:
            run(prepared, stop)
    return RunDirectory(job.directory).read_json(SUMMARY).get("validation_loss")


def compare_launched(sweep: Path, runs: list[Path], title: str) -> int:
    """The comparison of runs that were made elsewhere, and its exit code."""
    if not runs:
        say("No run has left anything to compare")
        return FAILED
    compared = _compare(sweep, runs, title)
    states = [glance(directory / SUMMARY).get("run_state") for directory in runs]
    return DONE if compared and all(state == RunState.DONE for state in states) else FAILED


# ---------------------------------------------------------------------- before anything runs


def _prepared(job: Job) -> Prepared:
    """Check a job that is no part of a sweep of this process. Raises UsageError."""
    bisect = job.config.sweep.bisect
    require(
        bisect is None or job.sweep is not None,
        "sweep.bisect",
        bisect,
        "is a search of many runs, and this is one run",
        "add -m, or leave it out",
    )
    if job.by_clock:
        check_writable(job.directory)
    elif not job.resume and never_began(job.directory):
        job = job.but(resume=True)
    elif not job.resume:
        _require_free(job.directory)
    return _load(job, {})


def _is_done(directory: Path, begun: Plain | None, config: Config, loaded: dict) -> bool:
    """True if the run of the config `begun` has finished, and is long enough for `config`."""
    summary = glance(directory / SUMMARY)
    if begun is None or summary.get("run_state") != RunState.DONE:
        return False
    if config_hash(begun) == config_hash(config.plain):
        return True
    examples = len(_data(config, loaded).train.x)
    steps = config.trainer.total_steps(examples // config.trainer.batch_size)
    updates = summary.get("decoder_updates")
    return type(updates) is int and updates >= steps


def _require_free(directory: Path, sweep: Path | None = None) -> None:
    """Raise UsageError if there is a run in `directory` already, or none can be made there."""
    if (directory / SUMMARY).exists():
        remedy = f"go on with it: vae-train resume={directory}"
        if sweep is not None:
            remedy = (
                f"only its length and diagnosis.* may change: vae-train resume={sweep};\n"
                "  for other settings begin a sweep of its own"
            )
        raise UsageError(
            "hydra.run.dir" if sweep is None else "hydra.sweep.dir",
            directory,
            "already holds a run that was made with other settings",
            remedy,
        )
    check_writable(directory)


def _load(job: Job, loaded: dict[tuple, Data]) -> Prepared:
    """The job with its data. Raises UsageError for what does not go together."""
    data = _data(job.config, loaded)
    return Prepared(job, check(job.config, data), data)


def _data(config: Config, loaded: dict[tuple, Data]) -> Data:
    """The run's data on its device; runs that share both share the tensors."""
    config.data.check_files()
    device = choose_device(config.device)
    if (config.data, device) not in loaded:
        data = config.data.load()
        try:
            loaded[config.data, device] = data.to(device)
        except torch.OutOfMemoryError as error:
            remedy = "use data.limit, or device=cpu"
            raise UsageError("device", device, f"has no room for {data.name}", remedy) from error
    return loaded[config.data, device]


# ---------------------------------------------------------------------- running and comparing


def _run_groups(groups: list[Group], total: int, stop: StopRequests) -> dict[Path, int]:
    """Run one group after another, until a signal ends it; the exit code of each run begun."""
    codes: dict[Path, int] = {}
    for entries, alone in groups:
        if stop.received is not None:
            break
        first = len(codes) + 1
        if len(entries) > 1:
            runs = f"runs {first} to {first + len(entries) - 1} of {total}"
            say(f"\n=== {runs}, trained together as one stack")
            codes |= run_stack(entries, stop)
        else:
            say(f"\n=== run {first} of {total}: {entries[0].job.directory.name}")
            if alone is not None and total > 1:
                say(f"Alone        {alone}")
            codes |= run_alone(entries[0], stop)
    return codes


def _compare(sweep: Path, directories: list[Path], title: str) -> bool:
    """Print the comparison and write it; False if it could not be written."""
    from vaecli.reporting.comparison.groups import collect
    from vaecli.reporting.comparison.page import write_comparison
    from vaecli.reporting.comparison.tables import comparison_table

    comparison = collect(directories)
    say(f"\n{comparison_table(comparison)}\n")
    say(f"TensorBoard  {shlex.join(['tensorboard', '--logdir', str(sweep)])}")
    try:
        say(f"Comparison   {write_comparison(comparison, sweep, title)}")
    except UsageError as refused:
        say(f"No comparison: {refused}")
        return False
    return True
