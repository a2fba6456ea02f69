"""Image files, decoded one by one at load time only."""

# C channels, H height, W width

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vaecli.core.errors import UsageError
from vaecli.data.files.images import resize

SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
)


def image_files(folder: Path) -> list[Path]:
    """List the image files in and below `folder`, sorted, without hidden files and folders."""
    files = []
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(where, name) for name in names if _is_image(name)]
    return sorted(files)


def decode(path: Path, channels: int, size: int | None, key: str, value: str) -> Tensor:
    """Decode one image; of an animation the first frame; transparency is dropped.

    Args:
        path: the file.
        channels: C, 1 (grey) or 3 (RGB).
        size: side of the square to resize to; None keeps the size.
        key: config key to name in a refusal.
        value: its value.

    Returns:
        uint8 (C, H, W).

    Raises:
        UsageError: the file is no image, or has more than 8 bits per channel.
    """
    from PIL import Image  # slow to import

    try:
        with Image.open(path) as image:
            mode = image.mode
            if mode == "P":
                image = image.convert("RGBA")  # palettes with transparency warn otherwise
            pixels = np.array(image.convert("L" if channels == 1 else "RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UsageError(
            key,
            value,
            f"{path} cannot be read as an image",
            "remove that file, or restore it from a good copy",
        ) from error
    if mode == "F" or mode.startswith("I"):
        raise UsageError(
            key,
            value,
            f"{path} has more than 8 bits per channel",
            "convert the images to 8 bits, or store them as floats and use data=npz",
        )
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    x = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))  # (C, H, W)
    return x if size is None else resize(x[None], size)[0]


def _is_image(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES
