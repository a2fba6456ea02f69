"""The process of a sweep inside a sweep: `vae-train` that stops when its parent is gone."""

from __future__ import annotations

import os
import signal
import threading
import time


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
