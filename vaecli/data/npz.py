"""Arrays of the user: images as uint8 or real numbers as floats, in a .npz or .npy file."""

# N examples, M of them used, C channels, H height, W width, D dimensions of vectors

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vaecli.core.errors import require
from vaecli.data.files import arrays
from vaecli.data.files.images import resize
from vaecli.data.files.memory_map import Block, Rows
from vaecli.data.sets.base import Data, Split
from vaecli.data.sets.local_set import LocalSet

SAVE_AGAIN = "write the file again with numpy.savez(path, x=array)"


@dataclass(frozen=True, kw_only=True)
class Npz(LocalSet):
    """Arrays uint8 (N, H, W), (N, H, W, C) or (N, C, H, W); floats also (N, D), as (N, 1, 1, D).

    A 4-dimensional array whose last axis has length 1 or 3 is taken as channels last.
    """

    key: str = "x"
    label_key: str = "y"
    test_key: str | None = None
    test_label_key: str | None = None

    def validate(self) -> None:
        """Raise UsageError for keys outside their range, or no path."""
        super().validate()
        require(
            self.test_label_key is None or self.test_key is not None,
            "data.test_label_key",
            self.test_label_key,
            "labels a test array that is not named",
            "set data.test_key too",
        )

    def check_files(self) -> None:
        """Raise UsageError if there is no such file."""
        if not self.location.is_file():
            self.fault("is not a file", "set data.path to a .npz or .npy file")

    def load(self) -> Data:
        """Read, check and divide the arrays, or open the memory-mapped copy of an earlier run.

        Raises UsageError for a damaged file, a missing array, NaN and what is no set of images.
        """
        self.check_files()
        names = self._names()
        n = self._header(self.key, names).shape[0]
        plan = self.plan(n, 0.0 if self.test_key else self.test_fraction)
        x, mapped = self._gathered(self.key, names, plan.order)
        y = self._labels(self.label_key, "label_key", names, n)
        train, val, test = plan.parts(x, None if y is None else y[plan.order], memory_mapped=mapped)
        if self.test_key:
            test = self._test_part(self.test_key, names)
            require(
                test.x.shape[1:] == train.x.shape[1:] and test.x.dtype == train.x.dtype,
                "data.test_key",
                self.test_key,
                f"holds {_described(test.x)} per example, and {self.key} {_described(train.x)}",
                "choose an array of the same shape and type",
            )
        return self.assemble(train, val, test)

    def _test_part(self, key: str, names: list[str] | None) -> Split:
        n = self._header(key, names).shape[0]
        x, mapped = self._gathered(key, names, torch.arange(n))
        y = None
        if self.test_label_key is not None:
            y = self._labels(self.test_label_key, "test_label_key", names, n)
        return Split(x, y, memory_mapped=mapped)

    def _names(self) -> list[str] | None:
        try:
            return arrays.names(self.location)
        except arrays.UNREADABLE as error:
            self.fault(f"is not a .npz or .npy file, or damaged ({error})", SAVE_AGAIN)

    def _header(self, key: str, names: list[str] | None) -> arrays.Header:
        """Shape and type of the array `key`. Raises UsageError if it is no set of examples."""
        if names is None and key != self.key:
            self.fault(f"is a .npy file, which holds no array named {key}", SAVE_AGAIN)
        if names is not None:
            which = "key" if key == self.key else "test_key"
            self._require_array(key, which, names)
        try:
            header = arrays.header(self.location, None if names is None else key)
        except arrays.UNREADABLE as error:
            self.fault(f"the array {key} cannot be read ({error})", SAVE_AGAIN)
        real = header.dtype.kind == "f"
        if not real and header.dtype != np.uint8:
            self.fault(
                f"the array {key} is of type {header.dtype}",
                "store images as uint8 (0..255), real numbers as float32",
            )
        if 0 in header.shape or not (2 if real else 3) <= len(header.shape) <= 4:
            self.fault(
                f"the array {key} has shape {header.shape}",
                "store images as (N, H, W), (N, H, W, C) or (N, C, H, W), real vectors as (N, D)",
            )
        if len(header.shape) == 4 and not {header.shape[1], header.shape[3]} & {1, 3}:
            self.fault(
                f"the array {key} of shape {header.shape} has no axis of 1 or 3 channels",
                "store images as (N, H, W, C) or (N, C, H, W) with 1 or 3 channels",
            )
        require(
            self.image_size is None or not real,
            "data.image_size",
            self.image_size,
            f"only uint8 images are resized, and {key} holds real numbers",
            "use data.image_size=null",
        )
        return header

    def _require_array(self, key: str, which: str, names: list[str]) -> None:
        require(
            key in names,
            f"data.{which}",
            key,
            f"{self.path} has no such array; it has: {', '.join(names) or 'none'}",
            f"set data.{which} to one of these",
        )

    def _gathered(self, key: str, names: list[str] | None, order: Tensor) -> Rows:
        """The rows `order` of the array: uint8 or float32 (M, C, H, W)."""
        shape, _, dtype = self._header(key, names)
        example = _as_images(np.empty((1, *shape[1:]), dtype), self.image_size)
        stat = self.location.stat()
        source = (str(self.location.resolve()), stat.st_mtime_ns, stat.st_size, key)
        return self.gather(
            self._blocks(key, names, order, shape[0]),
            (len(order), *example.shape[1:]),
            example.dtype,
            facts=(source, self.image_size, hashlib.sha256(order.numpy().data).hexdigest()),
        )

    def _blocks(self, key: str, names: list[str] | None, order: Tensor, n: int) -> Iterator[Block]:
        """The wanted rows with their positions, in the file's order, checked on the way."""
        position = np.full(n, -1)
        position[order.numpy()] = np.arange(len(order))
        start, not_finite, largest = 0, 0, 0.0
        try:
            for chunk in arrays.chunks(self.location, None if names is None else key):
                to = position[start : start + len(chunk)]
                start += len(chunk)
                rows = _as_images(chunk[to >= 0], self.image_size)
                not_finite += rows.size - int(np.isfinite(rows).sum())
                largest = max(largest, float(rows.max(initial=0)))
                yield to[to >= 0], rows
        except arrays.UNREADABLE as error:
            self.fault(f"the array {key} is damaged ({error})", SAVE_AGAIN)
        if not_finite:
            self.fault(
                f"the array {key} holds {not_finite} values that are NaN or infinite",
                "remove these examples, or fill in the values",
            )
        if rows.dtype == np.uint8 and largest <= 1:
            self.fault(
                f"the array {key} holds no grey level above 1, where 255 is white",
                "multiply it by 255; data.binarise=threshold makes it binary",
            )

    def _labels(self, key: str, which: str, names: list[str] | None, n: int) -> Tensor | None:
        """The labels (N,) int64; None if the file has none under the default name."""
        if names is None or (key == "y" and key not in names):
            return None
        self._require_array(key, which, names)
        try:
            y = np.concatenate(list(arrays.chunks(self.location, key)))
        except arrays.UNREADABLE as error:
            self.fault(f"the array {key} cannot be read ({error})", SAVE_AGAIN)
        require(
            y.dtype.kind in "iu" and y.shape in ((n,), (n, 1)),
            f"data.{which}",
            key,
            f"labels are {n} whole numbers, and this array is {y.dtype} of shape {y.shape}",
            "choose another array, or leave the labels out of the file",
        )
        return torch.from_numpy(y.reshape(n).astype(np.int64))


def _as_images(rows: np.ndarray, size: int | None) -> np.ndarray:
    """Rows of any admitted layout as (B, C, H, W), uint8 at `size` or float32."""
    if rows.dtype != np.uint8:
        with np.errstate(over="ignore"):  # what float32 cannot hold is counted as infinite
            rows = rows.astype(np.float32)
    if rows.ndim == 2:
        rows = rows[:, None, None, :]
    elif rows.ndim == 3:
        rows = rows[:, None]
    elif rows.shape[3] in (1, 3):
        rows = rows.transpose(0, 3, 1, 2)
    if size is not None:
        rows = resize(torch.from_numpy(np.ascontiguousarray(rows)), size).numpy()
    return rows


def _described(x: Tensor) -> str:
    return f"{str(x.dtype).removeprefix('torch.')} {tuple(x.shape[1:])}"
