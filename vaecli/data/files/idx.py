"""IDX, the file format of MNIST and its relatives, plain or gzipped.

Read here rather than through torchvision, whose reader takes no .gz, and reports a truncated file
without naming it. Format: yann.lecun.com/exdb/mnist.
"""

# N examples, H height, W width

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import torch

from vaecli.core.errors import UsageError
from vaecli.data.sets.base import Split

UINT8 = 8  # the type code of unsigned bytes, the only type these data sets use


def find(folder: Path, name: str) -> Path | None:
    """The file `name` in `folder`, or its gzipped twin; None if there is neither."""
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    return None


def read_images_and_labels(images: Path, labels: Path, root: str) -> Split:
    """Read a pair of IDX files.

    Args:
        images: file of the images.
        labels: file of their labels.
        root: value of data.root, to name in a refusal.

    Returns:
        x uint8 (N, 1, H, W) and y int64 (N,).

    Raises:
        UsageError: names the file at fault.
    """
    x = _read(images, 3, root)
    y = _read(labels, 1, root)
    if len(x) != len(y):
        raise _fault(root, labels, f"has {len(y)} labels for the {len(x)} images of {images.name}")
    return Split(torch.from_numpy(x[:, None]), torch.from_numpy(y.astype(np.int64)))


def _read(path: Path, dimensions: int, root: str) -> np.ndarray:
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise _fault(root, path, f"cannot be read ({error})") from error
    header = 4 * (1 + dimensions)
    if len(content) < header or content[:4] != bytes([0, 0, UINT8, dimensions]):
        raise _fault(root, path, f"is not an IDX file of bytes in {dimensions} dimensions")
    shape = np.frombuffer(content[4:header], dtype=">u4").tolist()
    expected = math.prod(shape)
    if len(content) - header != expected or expected == 0:
        size = len(content) - header
        raise _fault(root, path, f"is damaged: it holds {size} of {expected} bytes announced")
    # bytearray: a tensor may not share the memory of read-only bytes
    return np.frombuffer(bytearray(content[header:]), dtype=np.uint8).reshape(shape)


def _fault(root: str, path: Path, what: str) -> UsageError:
    return UsageError(
        "data.root",
        root,
        f"{path} {what}",
        "delete that file and set data.download=true, or restore it from a good copy",
    )
