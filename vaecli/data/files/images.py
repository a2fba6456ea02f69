"""Resizing and binarisation of sets of uint8 images, before training."""

# N examples, C channels, H height, W width

from __future__ import annotations

import math
from enum import Enum

import torch
import torch.nn.functional as F
from torch import Tensor

from vaecli.data.sets.base import Kind
from vaecli.data.sets.splits import generator

CHUNK = 4096  # images turned into floats at a time
CHUNK_PIXELS = 2**25  # or so many pixels, if they are fewer images


class Binarise(Enum):
    """Ways to turn grey levels into binary pixels; the names are the words of `data.binarise`."""

    none = "none"  # stay grey
    threshold = "threshold"  # 1 above one half
    static = "static"  # drawn once for all splits (Larochelle & Murray 2011)
    dynamic = "dynamic"  # drawn afresh in every training batch (Burda et al. 2016)


def kind_of(channels: int, binarise: Binarise) -> Kind:
    """The kind of uint8 images with so many channels, after `binarise`."""
    if binarise is not Binarise.none:
        return Kind.BINARY
    return Kind.GREY if channels == 1 else Kind.COLOUR


def chunk(pixels: int, most: int = CHUNK) -> int:
    """The number of images of so many pixels that are turned into floats at a time."""
    return max(1, min(most, CHUNK_PIXELS // pixels))


def resize(x: Tensor, size: int) -> Tensor:
    """The central square of uint8 images x (N, C, H, W) at (N, C, size, size), as uint8.

    If the square's side is a multiple of `size`, blocks of pixels are averaged, which keeps the
    mean exactly; else the resize is bilinear with antialiasing.
    """
    side = min(x.shape[-2:])
    top, left = (x.shape[-2] - side) // 2, (x.shape[-1] - side) // 2
    x = x[..., top : top + side, left : left + side]
    if side == size:
        return x.contiguous()
    out = torch.empty((*x.shape[:2], size, size), dtype=torch.uint8)
    step = chunk(x.shape[1] * max(side, size) ** 2)
    for start in range(0, len(x), step):
        grey = x[start : start + step].float()
        if side % size == 0:
            grey = F.avg_pool2d(grey, side // size)
        else:
            grey = F.interpolate(grey, size=(size, size), mode="bilinear", antialias=True)
        out[start : start + step] = grey.round_().clamp_(0, 255)
    return out


def threshold(x: Tensor) -> Tensor:
    """255 where the uint8 grey level is above one half of white, else 0."""
    return (x > 127).to(torch.uint8).mul_(255)


def draw(x: Tensor, seed: int, part: str) -> Tensor:
    """Draw binary pixels from grey levels.

    Args:
        x: uint8 grey levels (N, C, H, W).
        seed: of the draws.
        part: name of the split, which has a stream of its own.

    Returns:
        uint8 (N, C, H, W), 0 or 255.
    """
    source = generator(seed, f"binarise {part}")
    out = torch.empty_like(x)
    step = chunk(math.prod(x.shape[1:]))
    for start in range(0, len(x), step):
        grey = x[start : start + step].float().div_(255)
        out[start : start + step] = torch.bernoulli(grey, generator=source).mul_(255)
    return out
