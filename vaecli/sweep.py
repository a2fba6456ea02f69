"""All the jobs of one command: validated together, run in stacks or alone, then compared."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import torch
from omegaconf import OmegaConf

from vaecli.build import check
from vaecli.config import Config, read, to_yaml
from vaecli.critical import search, searches, sentence
from vaecli.data.base import Data
from vaecli.errors import UsageError
from vaecli.identity import config_hash
from vaecli.plan import Entry, Group, plan
from vaecli.reporting.console import say
from vaecli.resume import SWEEP, Resumed
from vaecli.run import DIVERGED, DONE, FAILED, Job, claim, recorded, run
from vaecli.rundir import SUMMARY, RunDirectory, check_writable
from vaecli.stack import run_alone, run_stack
from vaecli.training.precision import choose_device, prepare_process


def run_all(jobs: list[Job], *, typed: list[str], resumed: Resumed | None) -> int:
    """Validate every job, run them, compare them; returns the command's exit code.

    typed: the overrides of the command, kept so that a sweep can be resumed.
    Raises UsageError before anything runs if one of them is wrong.
    """
    prepare_process()
    sweep = jobs[0].sweep
    if sweep is None:
        (entry,), _ = _prepare_all(jobs, {}, resume=resumed is not None)
        return run(*entry)
    made = _Sweep(sweep, typed, before=_runs_in(sweep) if resumed else {})
    configs = [read(OmegaConf.create(job.composed)) for job in jobs]
    answers: dict[str, dict] = {}
    if any(config.sweep.bisect for config in configs):
        wanted = searches(jobs, [config.plain for config in configs])
        answers = search(wanted, made.run)
        RunDirectory(sweep).write_json("critical_beta.json", answers)
    else:
        made.run(jobs)
    _compare(sweep, sorted(made.directories, key=_number), " ".join(typed))
    for name, answer in answers.items():
        say(sentence(name, answer))
    unanswered = any(answer["reason"] for answer in answers.values())
    return made.code or (FAILED if unanswered else DONE)


class _Sweep:
    """The runs of one command, on their way from jobs to exit codes."""

    def __init__(self, directory: Path, typed: list[str], *, before: dict[str, list[Path]]):
        """before: the runs that its directory holds already, by the hash of their config."""
        self.directory, self.typed, self.before = directory, typed, before
        self.codes: dict[Path, int] = {}
        self.directories: set[Path] = set()  # of all runs, done before or now
        self._loaded: dict[tuple, Data] = {}

    @property
    def code(self) -> int:
        """The exit code: a signal's, else whether any run failed."""
        signals = [code for code in self.codes.values() if code not in (DONE, FAILED, DIVERGED)]
        if signals:
            return signals[-1]
        return FAILED if any(self.codes.values()) else DONE

    def run(self, jobs: list[Job]) -> dict[Path, Path] | None:
        """Make the runs; where each job's lies, or None if a signal ended it.

        Raises UsageError, before anything is written, if one of the jobs is wrong.
        """
        entries, where = _prepare_all(jobs, self.before, loaded=self._loaded)
        self.directory.mkdir(parents=True, exist_ok=True)
        RunDirectory(self.directory).write_text(SWEEP, to_yaml(self.typed))
        if len(entries) < len(jobs):
            done = len(jobs) - len(entries)
            say(f"{done} of {len(jobs)} runs are done already and are left as they are")
        codes = _run_groups(plan(entries), len(entries))
        _mark_pending([entry for entry in entries if entry.job.directory not in codes])
        self.codes |= codes
        self.directories |= set(where.values())
        return where if self.code in (DONE, FAILED) else None


def run_now(job: Job) -> float | None:
    """One job under another launcher or sweeper; returns the validation loss it can minimise.

    A job that its cluster has put back into the queue finds its run, and goes on with it.
    Raises UsageError if the job is wrong, or its directory holds another run.
    """
    prepare_process()
    directory = RunDirectory(job.directory)
    if not (job.directory / "config.resolved.yaml").exists():
        (job.directory / SUMMARY).unlink(missing_ok=True)  # of a run that never began
    config = read(OmegaConf.create(job.composed))
    if _summary(job.directory).get("config_hash") == config_hash(config.plain):
        job = dataclasses.replace(job, resume=True)
    if not (job.resume and _summary(job.directory).get("run_state") == "done"):
        (entry,), _ = _prepare_all([job], {}, resume=job.resume)
        run(*entry)
    return directory.read_json(SUMMARY).get("validation_loss")


def compare_launched(sweep: Path, runs: list[Path], title: str) -> int:
    """The comparison of runs that were made elsewhere, and its exit code."""
    if not runs:
        say("No run has left anything to compare")
        return FAILED
    _compare(sweep, runs, title)
    states = [_summary(directory).get("run_state") for directory in runs]
    return DONE if all(state == "done" for state in states) else FAILED


# ---------------------------------------------------------------------- before anything runs


def _prepare_all(
    jobs: list[Job],
    before: dict[str, list[Path]],
    *,
    resume: bool = False,
    loaded: dict[tuple, Data] | None = None,
) -> tuple[list[Entry], dict[Path, Path]]:
    """The runs to be made, and where each job's run lies: `before` knows some, a few of them done.

    before: runs by the hash of their config; each is given to one job. loaded: data that is there.
    """
    loaded = {} if loaded is None else loaded
    known = {key: list(directories) for key, directories in before.items()}
    prepared: list[Entry] = []
    where: dict[Path, Path] = {}
    for job in jobs:
        config = read(OmegaConf.create(job.composed))
        existing = known.get(config_hash(config.plain))
        directory = existing.pop(0) if existing else None
        where[job.directory] = directory or job.directory
        if directory is not None and _summary(directory).get("run_state") == "done":
            continue
        if directory is not None or resume:
            job = dataclasses.replace(job, directory=where[job.directory], resume=True)
        else:
            _check_directory(job.directory)
        prepared.append(Entry(job, config, _load(config, loaded)))
    return prepared, where


def _check_directory(directory: Path) -> None:
    if (directory / SUMMARY).exists():
        raise UsageError(
            "hydra.run.dir",
            directory,
            "already holds a run, made with other settings or by another command",
            f"go on with it: vae-train resume={directory}",
        )
    check_writable(directory)


def _load(config: Config, loaded: dict[tuple, Data]) -> Data:
    """The run's data on its device; runs that share both share the tensors."""
    config.data.check_files()
    device = choose_device(config.device)
    if (config.data, device) not in loaded:
        data = config.data.load()
        try:
            loaded[config.data, device] = data.to(device)
        except torch.OutOfMemoryError as error:
            raise UsageError(
                "device", device, f"has no room for {data.name}", "use data.limit, or device=cpu"
            ) from error
    check(config, loaded[config.data, device])
    return loaded[config.data, device]


# ---------------------------------------------------------------------- a sweep that was begun


def _runs_in(sweep: Path) -> dict[str, list[Path]]:
    """The runs that a sweep's directory holds, by the hash of their config.

    A run that was killed before its config was written is nothing to go on with: it is made anew.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(sweep.glob(f"*/{SUMMARY}")):
        known_by = _summary(path.parent).get("config_hash")
        if not (path.parent / "config.resolved.yaml").exists():
            path.unlink()
        elif isinstance(known_by, str):
            found.setdefault(known_by, []).append(path.parent)
    return found


def _summary(directory: Path) -> dict:
    try:
        content = json.loads((directory / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _mark_pending(entries: list[Entry]) -> None:
    """Runs that a signal kept from being started: recorded, so that the comparison shows them."""
    for job, config, data in entries:
        if job.resume:
            RunDirectory(job.directory).update_summary(run_state="pending", reason=None)
        else:
            claim(job, config, recorded(config, data), "pending")


# ---------------------------------------------------------------------- running and comparing


def _run_groups(groups: list[Group], total: int) -> dict[Path, int]:
    """Run one group after another, until a signal ends it; the exit code of each run begun."""
    codes: dict[Path, int] = {}
    for entries, alone in groups:
        first = len(codes) + 1
        if len(entries) > 1:
            runs = f"runs {first} to {first + len(entries) - 1} of {total}"
            say(f"\n=== {runs}, trained together as one stack")
            codes |= run_stack(entries)
        else:
            say(f"\n=== run {first} of {total}: {entries[0].job.directory.name}")
            if alone is not None and total > 1:
                say(f"Alone        {alone}")
            codes |= run_alone(entries[0])
        if any(code not in (DONE, FAILED, DIVERGED) for code in codes.values()):
            break
    return codes


def _number(directory: Path) -> tuple[int, str]:
    """A sweep's runs are numbered: 10_... comes after 9_..."""
    number = directory.name.partition("_")[0]
    return (int(number) if number.isdecimal() else 0, directory.name)


def _compare(sweep: Path, directories: list[Path], title: str) -> None:
    from vaecli.reporting.comparison.page import write_comparison
    from vaecli.reporting.comparison.settings import collect
    from vaecli.reporting.comparison.tables import comparison_table

    comparison = collect(directories)
    page = write_comparison(comparison, sweep, title)
    say(f"\n{comparison_table(comparison)}\n")
    say(f"Comparison   {page}")
    say(f"TensorBoard  tensorboard --logdir {sweep}")
