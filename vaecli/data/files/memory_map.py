"""Data that may not fit in memory: gathered into a tensor, or once into a memory-mapped file.

Both hold the rows in the order of the splits, so that each split is a contiguous view and nothing
is copied; one code indexes either. The mapped file is a cache in the folder $VAECLI_CACHE/memmap
(~/.cache/vaecli/memmap); deleting it only costs the time to write it again.
"""

# M examples used

from __future__ import annotations

import hashlib
import logging
import math
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vaecli.core.atomic import whole
from vaecli.core.errors import UsageError


class Rows(NamedTuple):
    """Rows in the order of the splits."""

    x: Tensor  # (M, ...)
    memory_mapped: bool  # x lies in a file


Block = tuple[np.ndarray, np.ndarray]  # positions (B,) in the result, rows (B, ...) that go there

GIGABYTE = 10**9
log = logging.getLogger(__name__)


def exceeds(shape: tuple[int, ...], dtype: np.dtype, limit_gb: float) -> bool:
    """Compare the size of an array with a limit.

    Args:
        shape: of the array.
        dtype: of its numbers.
        limit_gb: in 10^9 bytes.

    Returns:
        True if the array is larger.
    """
    return math.prod(shape) * dtype.itemsize > limit_gb * GIGABYTE


def gather(
    blocks: Iterable[Block],
    shape: tuple[int, ...],
    dtype: np.dtype,
    *,
    limit_gb: float,
    facts: object,
) -> Rows:
    """Put the rows of `blocks` in their places: in memory, or above `limit_gb` in a mapped file.

    Args:
        blocks: positions and rows. Not read if a file was written for equal facts.
        shape: (M, ...) of the result.
        dtype: type of its numbers.
        limit_gb: largest size in memory, in 10^9 bytes.
        facts: everything that determines the rows; names the file.

    Returns:
        The rows, and where they lie.

    Raises:
        UsageError: the cache cannot be written.
    """
    if not exceeds(shape, dtype, limit_gb):
        array = np.empty(shape, dtype)
        for positions, rows in blocks:
            array[positions] = rows
        return Rows(torch.from_numpy(array), memory_mapped=False)
    path = _cache_file((facts, shape, dtype.str))
    if not path.is_file():
        log.info("larger than data.memory_limit_gb=%g: writing %s once", limit_gb, path)
        try:
            _write(blocks, shape, dtype, path)
        except OSError as error:
            raise UsageError(
                "data.memory_limit_gb",
                limit_gb,
                f"the data is larger, and {path} cannot be written ({error.strerror})",
                "point the environment variable VAECLI_CACHE at a disk with room, or raise it",
            ) from error
    return open_rows(path)


def _write(blocks: Iterable[Block], shape: tuple[int, ...], dtype: np.dtype, path: Path) -> None:
    # Written with seek and write: pages of a writable map would stay in memory until synced.
    path.parent.mkdir(parents=True, exist_ok=True)
    row_bytes = math.prod(shape[1:]) * dtype.itemsize
    header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    with whole(path, mark=f".{os.getpid()}") as file:
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        for positions, rows in blocks:
            rows = np.ascontiguousarray(rows, dtype)
            for position, row in zip(positions.tolist(), rows, strict=True):
                file.seek(start + position * row_bytes)
                file.write(row.data)


def open_rows(path: Path) -> Rows:
    """Map the array in the .npy file at `path` into memory."""
    # Read-only: a copy-on-write map is refused by the kernel once it is larger than the memory.
    array = np.load(path, mmap_mode="r")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable")  # vaecli never writes to it
        return Rows(torch.from_numpy(array), memory_mapped=True)


def _cache_file(facts: object) -> Path:
    folder = Path(os.environ.get("VAECLI_CACHE", "~/.cache/vaecli")).expanduser()
    return folder / "memmap" / f"{hashlib.sha256(repr(facts).encode()).hexdigest()[:32]}.npy"
