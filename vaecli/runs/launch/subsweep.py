"""A job of a sweep that is a whole sweep itself, run as a command of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from vaecli.config.arguments import quoted
from vaecli.config.resume import SWEEP
from vaecli.config.yaml_files import read_yaml

FORWARDED = (signal.SIGTERM, signal.SIGINT)
ENTRY = """\
from vaecli.runs.launch.subsweep import follow_parent
follow_parent()
from vaecli.train import main
main()
"""


def run_inside(overrides: list[str], directory: Path, flags: list[str]) -> int:
    """Run the sweep of one job in `directory`, or go on with it; returns its exit code.

    SIGTERM and SIGINT are passed on; the sweep then writes its checkpoints. If this process is
    ended otherwise, so is the sweep.
    """
    if (directory / SWEEP).is_file():
        saved = read_yaml(directory / SWEEP) or []
        where = [f"resume={directory}"]
        overrides = [o for o in overrides if o not in saved]
    else:
        where = ["-m", f"hydra.sweep.dir={quoted(directory)}"]
    command = [sys.executable, "-c", ENTRY, *flags, *where[:-1], *overrides, where[-1]]
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


def follow_parent() -> None:
    """Stop this process, as if asked to, once the one that started it is gone.

    Warnings of a cluster that the time is up are left to the parent.
    """
    for name in ("SIGUSR1", "SIGUSR2"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
