"""Calls in processes of their own that start in no time, for tests of kills, limits and signals.

Each is forked from a server that has imported what a run needs and has done nothing yet. It has the
environment that this process had at first, and ends without what is registered with atexit.
"""

import importlib
import multiprocessing
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "pytest",
        "doors",
        "vaecli.train",
        "vaecli.diagnose",
        "vaecli.runs.sweep.run_all",
        "torch.utils.tensorboard",
        "sklearn.neighbors",
    ]
)


class Started:
    """A call at work."""

    def __init__(self, call: str, arguments: Sequence[str], cwd: Path, most_bytes: int | None):
        (out, out_end), (err, err_end) = (SERVER.Pipe(duplex=False) for _ in range(2))
        self.process = SERVER.Process(
            target=_work, args=(call, arguments, cwd, most_bytes, out_end, err_end), name=call
        )
        self.process.start()
        out_end.close()
        err_end.close()
        readers = ThreadPoolExecutor(2)
        self.told = [readers.submit(_read, end) for end in (out, err)]
        readers.shutdown(wait=False)

    def wait(self, timeout: float = 120) -> subprocess.CompletedProcess:
        """How it ended, and what it told; a call that takes longer is killed."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
            raise TimeoutError(f"{self.process.name} was at work for more than {timeout} s")
        out, err = (told.result() for told in self.told)
        return subprocess.CompletedProcess(self.process.name, self.process.exitcode, out, err)


def start(call: str, *arguments, cwd: Path, most_bytes: int | None = None) -> Started:
    """Call `module.function` with a list of arguments in `cwd`; its exit code is what it returns.

    most_bytes: no file that it writes may be larger.
    """
    return Started(call, [str(argument) for argument in arguments], cwd, most_bytes)


def run(call: str, *arguments, **how) -> subprocess.CompletedProcess:
    """`start`, and wait for the end."""
    return start(call, *arguments, **how).wait()


def _read(end: Connection) -> str:
    with open(os.dup(end.fileno()), encoding="utf-8") as file:
        return file.read()


def _work(
    call: str, arguments: list[str], cwd: Path, most: int | None, out: Connection, err: Connection
) -> None:
    os.chdir(cwd)
    for end, descriptor in ((out, 1), (err, 2)):
        os.dup2(end.fileno(), descriptor)
        end.close()
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", 1, closefd=False)
    if most is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    module, _, function = call.rpartition(".")
    sys.exit(getattr(importlib.import_module(module), function)(arguments))
