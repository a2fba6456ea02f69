"""The doors as golden runs use them, in this process.

Golden runs outlive moves of the code, so they know no other module of the package.
"""

import contextlib
import io
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import torch


class Answer(NamedTuple):
    code: int
    out: str
    err: str


def call(door: ModuleType, directory: Path, *arguments: object) -> Answer:
    """Call `door` as a shell in `directory` would, on one thread."""
    typed = [str(argument) for argument in arguments]
    out, err = io.StringIO(), io.StringIO()
    before = sys.argv, torch.get_num_threads()
    sys.argv = [f"vae-{door.__name__.rpartition('.')[2]}", *typed]  # environment.json records it
    torch.set_num_threads(1)  # several threads add in another order
    try:
        with (
            contextlib.chdir(directory),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = door._main(typed)
    finally:
        sys.argv = before[0]
        torch.set_num_threads(before[1])
    return Answer(code, out.getvalue(), err.getvalue())


def done(door: ModuleType, directory: Path, *arguments: object) -> str:
    """Return what `door` prints, after the check that it ends well."""
    answer = call(door, directory, *arguments)
    assert answer.code == 0, "\n".join([*map(str, arguments), answer.err, answer.out])
    return answer.out
