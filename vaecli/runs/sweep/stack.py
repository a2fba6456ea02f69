"""Runs that are trained as one, from their configs to their reports."""

from __future__ import annotations

import contextlib
import gc
import traceback
from pathlib import Path

import torch

from vaecli.config.job import Job
from vaecli.core.errors import DONE, FAILED, UsageError
from vaecli.core.rundir import RunDirectory, RunState
from vaecli.reporting.console import StackBar, say, start_lines
from vaecli.runs.attempt import Attempt, Prepared
from vaecli.runs.opening import in_use, open_run
from vaecli.runs.run import Run, run
from vaecli.runs.sweep.plan import in_lockstep
from vaecli.training.fit import Fit
from vaecli.training.signals import Interrupted, StopRequests
from vaecli.training.stack.stack import Stack

Codes = dict[Path, int]  # run directory -> exit code

SHARED_FACTS = ("Data", "Model", "Parameters", "Training", "Device")  # of all runs of a stack


def run_alone(prepared: Prepared, stop: StopRequests) -> Codes:
    """Train one run of a sweep by itself. A refusal is the run's failure, not the sweep's."""
    try:
        return {prepared.job.directory: run(prepared, stop)}
    except (UsageError, OSError) as refused:
        _refused(prepared.job, refused)
        return {prepared.job.directory: FAILED}
    finally:
        free_memory()


def run_stack(prepared: list[Prepared], stop: StopRequests) -> Codes:
    """Train the runs together, then diagnose each; the exit code of every run begun.

    A run that diverges or fails leaves the stack. If an update of all fails, for want of memory or
    by one run's doing, the stack is cut in two, and each half goes on from its checkpoints.
    """
    if len(prepared) == 1:
        return run_alone(prepared[0], stop)
    bar = StackBar()
    attempts: list[Attempt] = []
    runs: list[Run] = []
    codes: Codes = {}
    try:
        codes |= _open(prepared, attempts, runs, bar, stop)
        broken = _train(runs, bar, stop)
        if broken is None:
            _report(runs, stop)
        else:
            _interrupt(runs, stop)
    finally:
        bar.close()
        for one in (*runs, *attempts):
            one.close()
    codes |= {a.job.directory: a.code for a in attempts if a.code is not None}
    again = [_resumed(attempt) for attempt in attempts if attempt.code is None]
    runs.clear()
    attempts.clear()
    free_memory()
    if again:
        say(f"The stack of {len(again)} runs failed and is cut in two ({broken})")
        for level in in_lockstep(again):
            middle = -(-len(level) // 2)
            for half in (level[:middle], level[middle:]):
                if half:
                    codes |= run_stack(half, stop)
    return codes


def free_memory() -> None:
    """Give back what the runs before held: the next ones need it."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _open(
    prepared: list[Prepared],
    attempts: list[Attempt],
    runs: list[Run],
    bar: StackBar,
    stop: StopRequests,
) -> Codes:
    """Fill `attempts` and `runs` until a signal comes; the exit codes of refused runs."""
    codes: Codes = {}
    for one in prepared:
        if stop.received is not None:
            break
        try:
            attempt = open_run(one, alone=False)
        except (UsageError, OSError) as refused:
            codes[one.job.directory] = FAILED
            _refused(one.job, refused)
            continue
        attempts.append(attempt)
        try:
            with attempt.guard():
                runs.append(Run(attempt, bar))
        except (UsageError, OSError) as refused:
            codes[one.job.directory] = FAILED
            attempts.pop().close()
            _refused(one.job, refused)
    return codes


def _interrupt(runs: list[Run], stop: StopRequests) -> None:
    """End the runs at their checkpoints by a signal that came as the stack broke."""
    for each in runs:
        if each.attempt.code is None:
            with each.attempt.guard():
                stop.raise_if_received()


def _refused(job: Job, refused: UsageError | OSError) -> None:
    """Print why a run could not be opened; record it if the directory is the run's own."""
    say(f"{job.directory.name}: {refused}")
    if not job.resume or in_use(job.directory):
        return
    with contextlib.suppress(UsageError, OSError):
        reason = str(refused).splitlines()[0]
        RunDirectory(job.directory).update_summary(run_state=RunState.FAILED, reason=reason)


def _train(runs: list[Run], bar: StackBar, stop: StopRequests) -> str | None:
    """Train the runs that have not ended; returns what broke the stack, if anything did."""
    by_fit = {each.fit: each for each in runs if each.attempt.code is None}
    fits = list(by_fit)
    if not fits:
        return None

    def ended(fit: Fit, error: Exception) -> None:
        attempt = by_fit[fit].attempt
        with attempt.guard():
            raise error
        bar.drop_run()
        say(f"{attempt.directory.path.name}: {attempt.ended}")

    facts = by_fit[fits[0]].facts()
    for line in start_lines({key: facts[key] for key in facts if key in SHARED_FACTS}):
        say(line)
    bar.start(fits[0].steps, fits[0].step, len(fits))
    try:
        stack = Stack(fits, ended)
        stack.run(stop)
    except (Interrupted, KeyboardInterrupt) as interrupted:
        for each in by_fit.values():
            if each.attempt.code is None:
                with each.attempt.guard():
                    raise interrupted
        return None
    except Exception as error:
        # The frames keep the stack's tensors alive, and its halves need the memory.
        traceback.clear_frames(error.__traceback__)
        return f"{type(error).__name__}: {error}".splitlines()[0][:200]
    for fit in stack.fits:
        with by_fit[fit].attempt.guard():
            by_fit[fit].trained(stacked=len(fits))
    return None


def _report(runs: list[Run], stop: StopRequests) -> None:
    for each in runs:
        attempt = each.attempt
        if attempt.code is not None:
            continue
        with attempt.guard():
            stop.raise_if_received()
            each.report()
        outcome = attempt.ended
        if attempt.code == DONE:
            figures = attempt.summary()
            outcome = (
                f"{figures['status']}, {figures['active_dimensions']} of "
                f"{figures['total_dimensions']} active, ELBO {figures['elbo']:.2f}, "
                f"rate {figures['rate']:.2f}"
            )
        say(f"{attempt.directory.path.name}: {outcome}")


def _resumed(attempt: Attempt) -> Prepared:
    return Prepared(attempt.job.but(resume=True), attempt.config, attempt.data)
