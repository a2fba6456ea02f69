"""`sweep.inside`: a job of a sweep that is a whole sweep itself, run as a command of its own."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from vaecli.compose import key_of
from vaecli.errors import UsageError
from vaecli.resume import INSIDE, SWEEP, quoted
from vaecli.untrusted import yaml_text

NOT_INSIDE = (INSIDE, "resume", "extend")
FORWARDED = (signal.SIGTERM, signal.SIGINT)


def inner(text: str) -> list[str]:
    """The overrides in `sweep.inside`, split as a shell would. Raises UsageError."""
    try:
        overrides = shlex.split(text)
    except ValueError as error:
        raise _refused(text, f"cannot be split into overrides ({error})") from error
    if not overrides:
        raise _refused(text, "names no override")
    for override in overrides:
        key = key_of(override)
        if override.startswith("-"):
            raise _refused(override, "is a flag; only overrides can stand inside")
        if key.replace("/", ".").split(".")[0] == "hydra" or key in NOT_INSIDE:
            raise _refused(override, f"sets {key}, which belongs to the sweep around it")
        try:
            OverridesParser.create().parse_override(override)
        except HydraException as error:
            raise _refused(override, "is no override, KEY=VALUE") from error
    return overrides


def overrides_of(job: list[str], text: str) -> list[str]:
    """What the job's own sweep is given: the job's overrides, then those inside; the last wins."""
    return [o for o in job if key_of(o) != INSIDE] + inner(text)


def run_inside(overrides: list[str], directory: Path, flags: list[str]) -> int:
    """Run the sweep of one job in `directory`, or go on with it; returns its exit code.

    SIGTERM and SIGINT are passed on; the sweep then writes its checkpoints. If this process is
    ended otherwise, so is the sweep.
    """
    if (directory / SWEEP).is_file():
        saved = yaml.safe_load(yaml_text(directory / SWEEP)) or []
        where = [f"resume={directory}"]
        overrides = [o for o in overrides if o not in saved]
    else:
        where = ["-m", f"hydra.sweep.dir={quoted(directory)}"]
    command = [sys.executable, "-m", "vaecli.inside", *flags, *where[:-1], *overrides, where[-1]]
    # In a session of its own: of what is sent to a whole group of processes, a cluster's warning
    # or Ctrl-C, the sweep gets what is passed on here.
    child = subprocess.Popen(command, start_new_session=True)
    handled = threading.current_thread() is threading.main_thread()
    previous = {}
    if handled:
        previous = {
            number: signal.signal(number, lambda received, _: child.send_signal(received))
            for number in FORWARDED
        }
    try:
        code = child.wait()
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()
        for number, handler in previous.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def _refused(value: str, rule: str) -> UsageError:
    example = f"\"{INSIDE}='schedule.beta=0.5,1,2 seed=0,1'\""
    return UsageError(INSIDE, value, rule, f"type it as a command would be, e.g. {example}")


def _watch(parent: int) -> None:
    """Stop as if asked to, once the process that started this one is gone."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    # Warnings of a cluster that the time is up: the process that started this one answers them.
    for name in ("SIGUSR1", "SIGUSR2"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()
    from vaecli.train import main

    main()
