"""Runs that are trained as one, from their configs to their reports."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import traceback
from pathlib import Path

import torch

from vaecli.core.errors import DONE, FAILED, UsageError
from vaecli.core.rundir import RunDirectory
from vaecli.reporting.console import StackBar, say, start_lines
from vaecli.runs.opening import in_use
from vaecli.runs.run import Run, run
from vaecli.runs.sweep.plan import Entry, in_lockstep
from vaecli.training.fit import Fit
from vaecli.training.signals import Interrupted, StopRequests
from vaecli.training.stack.stack import Stack

Codes = dict[Path, int]  # run directory -> exit code

SHARED_FACTS = ("Data", "Model", "Parameters", "Training", "Device")  # of all runs of a stack


def run_alone(entry: Entry, stop: StopRequests) -> Codes:
    """One run of a sweep by itself. What refuses it is told and is its failure, not the sweep's."""
    try:
        return {entry.job.directory: run(*entry, stop)}
    except (UsageError, OSError) as refused:
        _refused(entry, refused)
        return {entry.job.directory: FAILED}
    finally:
        free_memory()


def run_stack(entries: list[Entry], stop: StopRequests) -> Codes:
    """Train the entries together, then diagnose each; the exit code of every run begun.

    A run that diverges or fails leaves the stack. If an update of all fails, for want of memory or
    by one run's doing, the stack is cut in two, and each half goes on from its checkpoints.
    """
    if len(entries) == 1:
        return run_alone(entries[0], stop)
    bar = StackBar()
    members, codes = _opened(entries, bar, stop)
    try:
        broken = _train(members, bar, stop)
        if broken is None:
            _report(members, stop)
        else:
            _interrupt(members, stop)
    finally:
        bar.close()
        for member in members:
            member.close()
    codes |= {m.job.directory: m.code for m in members if m.code is not None}
    again = [_resumed(m) for m in members if m.code is None]
    members.clear()
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


def _opened(entries: list[Entry], bar: StackBar, stop: StopRequests) -> tuple[list[Run], Codes]:
    """The runs whose directories could be opened, begun, until a signal; of the refused, codes."""
    members: list[Run] = []
    codes: Codes = {}
    for entry in entries:
        if stop.received is not None:
            break
        try:
            members.append(Run(*entry, bar=bar))
            with members[-1].guard():
                members[-1].begin()
        except (UsageError, OSError) as refused:
            codes[entry.job.directory] = FAILED
            if members and members[-1].job is entry.job:
                members.pop().close()
            _refused(entry, refused)
    return members, codes


def _interrupt(members: list[Run], stop: StopRequests) -> None:
    """A signal that came as the stack broke ends its runs at their checkpoints."""
    for member in members:
        if member.code is None:
            with member.guard():
                stop.raise_if_received()


def _refused(entry: Entry, refused: UsageError | OSError) -> None:
    """Of a sweep's run that could not be opened: said, and recorded if the directory is its own."""
    say(f"{entry.job.directory.name}: {refused}")
    if not entry.job.resume or in_use(entry.job.directory):
        return
    with contextlib.suppress(UsageError, OSError):
        reason = str(refused).splitlines()[0]
        RunDirectory(entry.job.directory).update_summary(run_state="failed", reason=reason)


def _train(members: list[Run], bar: StackBar, stop: StopRequests) -> str | None:
    """Train those that are sound; returns what broke the stack, if anything did."""
    by_fit = {member.fit: member for member in members if member.code is None}
    fits = list(by_fit)
    if not fits:
        return None

    def ended(fit: Fit, error: Exception) -> None:
        member = by_fit[fit]
        with member.guard():
            raise error
        bar.drop_run()
        say(f"{member.directory.path.name}: {member.ended}")

    for line in start_lines(
        {k: v for k, v in by_fit[fits[0]].facts().items() if k in SHARED_FACTS}
    ):
        say(line)
    bar.start(fits[0].steps, fits[0].step, len(fits))
    try:
        stack = Stack(fits, ended)
        stack.run(stop)
    except (Interrupted, KeyboardInterrupt) as interrupted:
        for member in by_fit.values():
            if member.code is None:
                with member.guard():
                    raise interrupted
        return None
    except Exception as error:
        # The frames keep the stack's tensors alive, and its halves need the memory.
        traceback.clear_frames(error.__traceback__)
        return f"{type(error).__name__}: {error}".splitlines()[0][:200]
    for fit in stack.fits:
        with by_fit[fit].guard():
            by_fit[fit].trained(stacked=len(fits))
    return None


def _report(members: list[Run], stop: StopRequests) -> None:
    for member in members:
        if member.code is not None:
            continue
        with member.guard():
            stop.raise_if_received()
            member.report()
        outcome = member.ended
        if member.code == DONE:
            figures = member.summary()
            outcome = (
                f"{figures['status']}, {figures['active_dimensions']} of "
                f"{figures['total_dimensions']} active, ELBO {figures['elbo']:.2f}, "
                f"rate {figures['rate']:.2f}"
            )
        say(f"{member.directory.path.name}: {outcome}")


def _resumed(member: Run) -> Entry:
    return Entry(dataclasses.replace(member.job, resume=True), member.config, member.data)
