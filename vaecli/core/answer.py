"""The exit code of a command. All doors answer a refusal, a full disk and Ctrl-C alike."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

from vaecli.core.errors import DONE, FAILED, INTERRUPTED, WRONG_USE, UsageError


class Parser(argparse.ArgumentParser):
    """A parser that answers a wrong flag in two lines."""

    def __init__(self, prog: str, description: str, examples: str):
        layout = argparse.RawDescriptionHelpFormatter
        super().__init__(prog, None, description, examples, formatter_class=layout)

    def error(self, message: str) -> NoReturn:
        """Print the refusal and exit."""
        print(
            f"{self.prog}: {message}\n  `{self.prog} --help` lists the arguments", file=sys.stderr
        )
        raise SystemExit(WRONG_USE)


@dataclass
class Answer:
    """The exit code of the command that runs in the block of `answering`."""

    code: int = DONE


@contextmanager
def answering(door: str) -> Iterator[Answer]:
    """Print what ends the command in this block, and turn it into the answer's exit code.

    door: the command's name. The user's own HYDRA_FULL_ERROR=1 shows the whole traceback.
    """
    full = os.environ.get("HYDRA_FULL_ERROR") == "1"
    answer = Answer()
    try:
        yield answer
    except UsageError as error:
        if full:
            raise
        print(f"{door}: {error}", file=sys.stderr)
        answer.code = WRONG_USE
    except SystemExit as exited:  # of argparse: --help, or a flag that is wrong
        answer.code = exited.code if isinstance(exited.code, int) else DONE
    except KeyboardInterrupt:
        answer.code = INTERRUPTED
    except OSError as error:  # a full disk, a file system that is gone; or no path at all
        if full:
            raise
        print(f"{door}: {error}", file=sys.stderr)
        answer.code = WRONG_USE if error.errno == errno.ENAMETOOLONG else FAILED
