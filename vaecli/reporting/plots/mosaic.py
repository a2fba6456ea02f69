"""Many small pictures laid out as one. n pictures, C channels, H x W pixels. NumPy only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def mosaic(images: Tensor, *, columns: int) -> np.ndarray:
    """Lay out pictures (n, C, H, W) in [0, 1] row by row on white: one (h, w, 3) uint8 picture.

    One channel is grey, three are RGB; any other number is averaged to grey. Pictures are enlarged
    by whole factors (no smoothing: a pixel of the data stays a square), gaps are about 1/14.
    """
    pixels = np.nan_to_num(images.detach().float().cpu().numpy())  # (n, C, H, W)
    if pixels.shape[1] != 3:
        pixels = pixels.mean(axis=1, keepdims=True).repeat(3, axis=1)
    pixels = (pixels.clip(0, 1) * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)
    scale = max(1, round(56 / max(pixels.shape[1:3])))
    pixels = pixels.repeat(scale, axis=1).repeat(scale, axis=2)  # (n, h, w, 3)
    count, height, width, _ = pixels.shape
    gap = max(2, max(height, width) // 14)
    rows = -(-count // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for number, picture in enumerate(pixels):
        top, left = (number // columns) * (height + gap), (number % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet
