"""Moments of the training split, pixel by pixel."""

# N examples, C channels, H height, W width, V tokens

from __future__ import annotations

import torch
from torch import Tensor

from vaecli.data.files.images import chunk
from vaecli.data.files.vocabulary import PAD
from vaecli.data.sets.base import Data
from vaecli.data.sets.once import once

CHUNK = 2000  # images converted to float at once, or fewer if they are large


@once
def pixel_statistics(data: Data) -> tuple[Tensor, Tensor]:
    """Mean and population variance of each pixel over the training split, (C, H, W) each.

    A dynamically binarised set has those of its binary pixels. Sequences have those of the
    indicator of each token, over all positions that are not padding, (V, 1, 1) each.
    """
    if data.kind.of_sequences:
        count = torch.bincount(
            data.train.x.flatten().long().cpu(), minlength=data.shape[0]
        ).double()
        count[PAD] = 0
        mean = (count / count.sum()).float()[:, None, None]
        return mean, mean * (1 - mean)
    n = len(data.train.x)
    total = torch.zeros(data.shape, dtype=torch.float64)
    squares = torch.zeros(data.shape, dtype=torch.float64)
    for index in torch.arange(n).split(chunk(total.numel(), CHUNK)):
        x = data.batch(data.train, index).cpu().double()
        total += x.sum(0)
        squares += x.square().sum(0)
    mean = total / n
    variance = mean * (1 - mean) if data.dynamic else (squares / n - mean.square()).clamp(min=0)
    return mean.float(), variance.float()
