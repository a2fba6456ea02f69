"""A run's directory, opened: claimed for a new run, or taken up where one stopped."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from vaecli.config.identity import require_same
from vaecli.config.schema import Config, read, to_yaml
from vaecli.core.errors import UsageError, require
from vaecli.core.rundir import (
    LOG,
    RESOLVED,
    SUMMARY,
    VOCABULARY,
    RunDirectory,
    has_begun,
    hold,
    never_began,
    unwritable,
)
from vaecli.core.untrusted import glance
from vaecli.data.sets.base import Data
from vaecli.data.sets.digest import digest
from vaecli.reporting import console
from vaecli.runs.load import load_plain, require_own_words, require_same_data
from vaecli.training import checkpoint
from vaecli.training.fit import LAST, PREVIOUS

IN_USE = "is being worked on by another process", "wait for its end, or stop it"
POSITION = {"model", "optimizer", "strategies", "batches", "progress"}  # of a run in training


@dataclass(frozen=True)
class Job:
    """What Hydra composed: one run to be made."""

    overrides: list[str]
    composed: str  # config.yaml: the composition before interpolations are resolved
    directory: Path
    sweep: Path | None = None  # the directory of the sweep that it is part of
    resume: bool = False  # go on with whatever the directory holds of it
    step_back: bool = False  # go on from the checkpoint before the last one: its stack must
    by_clock: bool = False  # the directory is named by the time: if it is taken, the next one does

    @cached_property
    def config(self) -> Config:
        """What was composed, validated. Raises UsageError."""
        return read(OmegaConf.create(self.composed))


class Opened(NamedTuple):
    """A directory that this process holds until the log is closed."""

    directory: RunDirectory
    log: logging.Logger
    before: dict[str, Any]  # the summary to go back to if the run is refused


def open_run(job: Job, plain: dict[str, Any], data: Data, *, echo: bool) -> Opened:
    """Claim the job's directory, or take it up, and mark the run as running.

    plain: what is recorded of the config. echo: whether the log goes to the console too.
    Raises UsageError for a directory that holds another run, is in use or cannot be written.
    """
    known = {"overrides": job.overrides, "data_digest": digest(data)}
    started = {"run_state": "running", "reason": None, **known}
    directory = RunDirectory.reopen(job.directory) if job.resume else _claim(job, started)
    anew = not job.resume or never_began(directory.path)
    if not anew:
        require_same(load_plain(directory.path), plain)
        require_same_data(directory.path, data, plain)
        if (directory.path / VOCABULARY).exists():  # written a moment after the run has begun
            require_own_words(directory.path, data, plain)
    log = _open_log(directory, echo)
    try:
        if anew:
            require(not has_begun(directory.path), "run", directory.path, *IN_USE)
            directory.write_json(SUMMARY, started)
            write_down(directory, job, plain)
            return Opened(directory, log, {**started, "run_state": "failed", "reason": "wrong use"})
        damaged = {**known, "run_state": "failed", "reason": f"{SUMMARY} was damaged"}
        before = glance(directory.path / SUMMARY) or damaged
        again = {key: started[key] for key in ("run_state", "reason")}
        directory.write_json(SUMMARY, {**known, **before, **again})
        return Opened(directory, log, before)
    except BaseException:
        console.close_log(log)
        raise


def _claim(job: Job, summary: dict[str, Any]) -> RunDirectory:
    path, number = job.directory, 1
    while True:
        try:
            return RunDirectory.claim(path, summary)
        except UsageError:
            if not (job.by_clock and (path / SUMMARY).exists()):
                raise
        number += 1
        path = job.directory.with_name(f"{job.directory.name}_{number}")


def claim_pending(job: Job, config: Config, data: Data) -> None:
    """Record a run that was kept from being started, for the comparison and for a resume."""
    summary = {"run_state": "pending", "reason": None, "overrides": job.overrides}
    if job.resume:
        if not in_use(job.directory):
            directory = RunDirectory(job.directory)
            directory.write_json(SUMMARY, {**glance(job.directory / SUMMARY), **summary})
        return
    directory = RunDirectory.claim(job.directory, summary)
    write_down(directory, job, recorded(config, data))


def write_down(directory: RunDirectory, job: Job, plain: dict[str, Any]) -> None:
    """What was asked, composed and resolved; the last file says that the run has begun."""
    directory.write_text("overrides.yaml", to_yaml(job.overrides))
    directory.write_text("config.yaml", job.composed)
    directory.write_text(RESOLVED, to_yaml(plain))


def recorded(config: Config, data: Data) -> dict[str, Any]:
    """The resolved config with the automatic likelihood named."""
    name, _ = config.make_likelihood(data)
    likelihood = {**config.plain["likelihood"], "name": name}
    return {**config.plain, "likelihood": likelihood, "resume": None}


def checkpoints(directory: Path) -> list[Path]:
    """Where the run in `directory` can go on from: its last checkpoint, then the one before."""
    places = (directory / "checkpoints" / name for name in (LAST, PREVIOUS))
    return [path for path in places if path.exists()]


def position(job: Job, log: logging.Logger) -> dict[str, Any] | None:
    """The checkpoint that the job goes on from; None for one that it has to begin again.

    Raises UsageError if there is none but damaged ones; of a damaged last one `log` is told.
    """
    refused: UsageError | None = None
    for path in checkpoints(job.directory)[job.step_back :]:
        try:
            found = checkpoint.load(path)
            require(
                set(found) >= POSITION, "checkpoint", path, "is not one of a run in training",
                f"use its {LAST}",
            )  # fmt: skip
        except UsageError as error:
            refused = refused or error
            continue
        if refused is not None:
            log.warning("Warning: %s", str(refused).splitlines()[0])
            log.warning("The run goes on from the checkpoint before it, %s", path)
        return found
    if refused is not None:
        raise refused
    return None


def in_use(directory: Path) -> bool:
    """Whether some process is at work on the run in `directory`."""
    try:
        with open(directory / LOG, "r+", encoding="utf-8") as log:
            return not hold(log)
    except OSError:
        return False


def _open_log(directory: RunDirectory, echo: bool) -> logging.Logger:
    """The run's log, which is locked while it is open: one process works on a run at a time."""
    path = directory.path / LOG
    try:
        log = console.open_log(path, echo=echo)
    except OSError as error:
        raise unwritable(directory.path, error, new=False) from error
    if not all(hold(h.stream) for h in log.handlers if isinstance(h, logging.FileHandler)):
        console.close_log(log)
        raise UsageError("run", directory.path, *IN_USE)
    return log
