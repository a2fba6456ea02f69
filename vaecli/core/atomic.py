"""Files that appear complete or not at all, and are on the disk when they appear."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

UNFINISHED = ".tmp"  # ends the name of a file that is being written


@contextmanager
def whole(path: Path, *, keep: Path | None = None, mark: str = "") -> Iterator[IO[bytes]]:
    """A file to write bytes into, which takes the place of `path` at the end.

    After an error nothing is left behind: the unfinished file may be the one that fills the disk.

    Args:
        path: the file to replace, or to create.
        keep: new place of the old file; between the two renames there is no file at `path`.
        mark: part of the temporary name, where several processes may write the same file at once.

    Yields:
        The open temporary file.
    """
    temporary = path.with_name(f"{path.name}{mark}{UNFINISHED}")
    with named(path):
        try:
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        if keep is not None and path.exists():
            os.replace(path, keep)
        os.replace(temporary, path)
        sync(path.parent)


def write_text(path: Path, text: str, *, mark: str = "") -> None:
    """Write a text file as `whole` does.

    Args:
        path: the file.
        text: its content; surrogates, as in a path that is not UTF-8, are escaped.
        mark: as in `whole`.
    """
    with whole(path, mark=mark) as file:
        file.write(text.encode("utf-8", errors="backslashreplace"))


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Add `path` to errors that name no file, as those of writing to an open file."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def sync(directory: Path) -> None:
    """Make new names in `directory` outlive a power cut, where a directory can be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
