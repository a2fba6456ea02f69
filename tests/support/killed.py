"""vae-train in a process that kills itself at its Nth event: an update, or a change of a file."""

import itertools
import os
import signal
import sys
import time

import doors

CHANGES = {"open", "os.rename", "os.remove", "os.mkdir", "os.link"}


def train(arguments: list[str]) -> int:
    """Arguments: N, PLACE, then those of vae-train.

    Events are of files below PLACE. N = 0 kills nothing; the number of events is then the last
    line on standard error.
    """
    last, place, *typed = arguments
    return _train(int(last), place, typed, grace=None)


def terminate(arguments: list[str]) -> int:
    """The same, with SIGTERM first, in an event that lasts SECONDS (the first argument)."""
    seconds, last, place, *typed = arguments
    return _train(int(last), place, typed, grace=float(seconds))


def _train(last: int, place: str, typed: list[str], grace: float | None) -> int:
    numbers = itertools.count(1)
    seen = 0

    def event() -> None:
        nonlocal seen
        seen = next(numbers)
        if seen == last:
            if grace is not None:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(grace)
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(name: str, values: tuple) -> None:
        if name in CHANGES and any(str(value).startswith(place) for value in values[:2]):
            event()

    from vaecli.training.fit import Fit
    from vaecli.training.stack.stack import Stack

    for kind in (Fit, Stack):
        kind.update = _counted(kind.update, event)
    sys.addaudithook(audit)
    code = doors.train(typed)
    print(seen, file=sys.stderr)
    return code


def _counted(update, event):
    def counted(self):
        event()
        return update(self)

    return counted
