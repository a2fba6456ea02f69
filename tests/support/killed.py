"""vae-train in a process that kills itself at its Nth event: an update, or a change of a file.

    python killed.py [--terminated SECONDS] N PLACE ARGUMENTS...

PLACE: events are of files below it. N = 0 kills nothing; the number of events is then the last line
on standard error. --terminated: SIGTERM first, in an event that lasts until SIGKILL comes.
"""

import itertools
import os
import signal
import sys
import time

CHANGES = {"open", "os.rename", "os.remove", "os.mkdir", "os.link"}


def main() -> int:
    grace = None
    if sys.argv[1] == "--terminated":
        grace = float(sys.argv[2])
        del sys.argv[1:3]
    last, place, *arguments = sys.argv[1:]
    numbers = itertools.count(1)
    seen = 0

    def event() -> None:
        nonlocal seen
        seen = next(numbers)
        if seen == int(last):
            if grace is not None:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(grace)
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(name: str, values: tuple) -> None:
        if name in CHANGES and any(str(value).startswith(place) for value in values[:2]):
            event()

    import torch
    from doors import train

    from vaecli.training.fit import Fit
    from vaecli.training.stack.stack import Stack

    torch.set_num_threads(1)
    for kind in (Fit, Stack):
        kind.update = _counted(kind.update, event)
    sys.addaudithook(audit)
    code = train(arguments)
    print(seen, file=sys.stderr)
    return code


def _counted(update, event):
    def counted(self):
        event()
        return update(self)

    return counted


if __name__ == "__main__":
    sys.exit(main())
