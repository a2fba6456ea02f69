"""Arrays in .npz and .npy files, read as a stream, so that a file may be larger than the memory."""

# N examples, B of them at a time

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

CHUNK_BYTES = 2**22  # a few times this is in memory while a file is read
UNREADABLE = (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class Header(NamedTuple):
    """The shape and type of an array, as its file states them."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype


def names(path: Path) -> list[str] | None:
    """The arrays in a .npz file; None for a .npy file. Raises one of UNREADABLE."""
    with path.open("rb") as file:
        start = file.read(6)
    if start == np.lib.format.MAGIC_PREFIX:
        return None
    with zipfile.ZipFile(path) as archive:
        return [name[:-4] for name in archive.namelist() if name.endswith(".npy")]


def header(path: Path, name: str | None) -> Header:
    """Shape and type of an array (of a .npy file's only one, if `name` is None)."""
    with _stream(path, name) as file:
        return _read_header(file)


def chunks(path: Path, name: str | None) -> Iterator[np.ndarray]:
    """The array's rows in order, (B, ...) at a time. Raises one of UNREADABLE, never unpickles."""
    with _stream(path, name) as file:
        shape, fortran_order, dtype = _read_header(file)
        if dtype.hasobject:
            raise ValueError("it holds Python objects, which are not loaded")
        if fortran_order:  # its rows lie scattered: only whole can it be read
            count = math.prod(shape)
            yield np.frombuffer(_exactly(file, count * dtype.itemsize), dtype).reshape(
                shape, order="F"
            )
            return
        row_bytes = math.prod(shape[1:]) * dtype.itemsize
        at_a_time = max(1, CHUNK_BYTES // max(1, row_bytes))
        for start in range(0, shape[0], at_a_time):
            n = min(at_a_time, shape[0] - start)
            yield np.frombuffer(_exactly(file, n * row_bytes), dtype).reshape(n, *shape[1:])
        file.read(1)  # zipfile compares the checksum at the end of the file


@contextmanager
def _stream(path: Path, name: str | None) -> Iterator[IO[bytes]]:
    if name is None:
        with path.open("rb") as file:
            yield file
    else:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            yield file


def _read_header(file: IO[bytes]) -> Header:
    version = np.lib.format.read_magic(file)
    if version not in HEADERS:
        raise ValueError(f"its format version {version} is unknown")
    return Header(*HEADERS[version](file))


def _exactly(file: IO[bytes], n: int) -> bytes:
    content = file.read(n)
    if len(content) != n:
        raise EOFError("it ends too early")
    return content
