"""Opening a run's directory: for a new run, or where one stopped."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from vaecli.config.identity import require_same
from vaecli.config.job import Job
from vaecli.config.schema import Config
from vaecli.config.yaml_files import to_yaml
from vaecli.core.errors import UsageError, require
from vaecli.core.rundir import (
    LOG,
    RESOLVED,
    SUMMARY,
    VOCABULARY,
    RunDirectory,
    RunState,
    has_begun,
    hold,
    never_began,
    unwritable,
)
from vaecli.core.untrusted import glance
from vaecli.data.sets.digest import digest
from vaecli.reporting import console
from vaecli.runs.attempt import Attempt, Prepared, checkpoints
from vaecli.runs.load import load_plain, require_own_words, require_same_data
from vaecli.training import checkpoint
from vaecli.training.fit import LAST

IN_USE = "is being worked on by another process", "wait for its end, or stop it"
POSITION = {"model", "optimizer", "strategies", "batches", "progress"}  # of a run in training


def open_run(prepared: Prepared, *, alone: bool = True) -> Attempt:
    """Claim the job's directory, or take it up, and mark the run as running.

    alone: False in a stack, which leaves the console to the stack and draws no plots at a stop.
    Raises UsageError for a directory that holds another run, is in use or cannot be written.
    """
    job, config, data = prepared
    known = {"overrides": job.overrides, "data_digest": digest(data)}
    started = {"run_state": RunState.RUNNING, "reason": None, **known}
    directory = RunDirectory.reopen(job.directory) if job.resume else _claim(job, started)
    anew = not job.resume or never_began(directory.path)
    if not anew:
        require_same(load_plain(directory.path), config.plain)
        require_same_data(directory.path, data, config.plain)
        if (directory.path / VOCABULARY).exists():  # written a moment after the run has begun
            require_own_words(directory.path, data, config.plain)
    log = _open_log(directory, echo=alone)
    try:
        if anew:
            require(not has_begun(directory.path), "run", directory.path, *IN_USE)
            directory.write_json(SUMMARY, started)
            write_down(directory, job, config)
            before = {**started, "run_state": RunState.FAILED, "reason": "wrong use"}
            return Attempt(prepared, directory, log, before, alone=alone)
        damaged = {**known, "run_state": RunState.FAILED, "reason": f"{SUMMARY} was damaged"}
        before = glance(directory.path / SUMMARY) or damaged
        again = {key: started[key] for key in ("run_state", "reason")}
        directory.write_json(SUMMARY, {**known, **before, **again})
        return Attempt(prepared, directory, log, before, alone=alone)
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


def claim_pending(prepared: Prepared) -> None:
    """Record a run that was kept from being started, for the comparison and for a resume."""
    job = prepared.job
    summary = {"run_state": RunState.PENDING, "reason": None, "overrides": job.overrides}
    if job.resume:
        if not in_use(job.directory):
            directory = RunDirectory(job.directory)
            directory.write_json(SUMMARY, {**glance(job.directory / SUMMARY), **summary})
        return
    directory = RunDirectory.claim(job.directory, summary)
    write_down(directory, job, prepared.config)


def write_down(directory: RunDirectory, job: Job, config: Config) -> None:
    """Write what was asked, composed and resolved. The last file says that the run has begun."""
    directory.write_text("overrides.yaml", to_yaml(job.overrides))
    directory.write_text("config.yaml", job.text)
    directory.write_text(RESOLVED, to_yaml(config.plain))


def position(job: Job, log: logging.Logger) -> dict[str, Any] | None:
    """The checkpoint that the job goes on from; None for one that it has to begin again.

    A damaged last checkpoint is logged. Raises UsageError if all of them are damaged.
    """
    refused: UsageError | None = None
    for path in checkpoints(job.directory)[job.step_back :]:
        try:
            content = checkpoint.load(path)
            require(
                set(content) >= POSITION,
                "checkpoint",
                path,
                "is not one of a run in training",
                f"use its {LAST}",
            )
        except UsageError as error:
            refused = refused or error
            continue
        if refused is not None:
            log.warning("Warning: %s", str(refused).splitlines()[0])
            log.warning("The run goes on from the checkpoint before it, %s", path)
        return content
    if refused is not None:
        raise refused
    return None


def in_use(directory: Path) -> bool:
    """True if a process is at work on the run in `directory`."""
    try:
        with open(directory / LOG, "r+", encoding="utf-8") as log:
            return not hold(log)
    except OSError:
        return False


def _open_log(directory: RunDirectory, *, echo: bool) -> logging.Logger:
    """The run's log, which is locked while it is open: one process works on a run at a time."""
    path = directory.path / LOG
    try:
        log = console.open_log(path, echo=echo)
    except OSError as error:
        raise unwritable(directory.path, error, new=False) from error
    files = (h.stream for h in log.handlers if isinstance(h, logging.FileHandler))
    if not all(stream is not None and hold(stream) for stream in files):
        console.close_log(log)
        raise UsageError("run", directory.path, *IN_USE)
    return log
