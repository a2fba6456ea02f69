"""A job of a sweep that is a whole sweep itself, run as a command of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import yaml

from vaecli.running.resume import SWEEP, quoted
from vaecli.untrusted import yaml_text

FORWARDED = (signal.SIGTERM, signal.SIGINT)


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
    module = "vaecli.running.child"
    command = [sys.executable, "-m", module, *flags, *where[:-1], *overrides, where[-1]]
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
