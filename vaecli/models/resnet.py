"""The residual family: the convolutional one with residual blocks at each resolution."""

# B batch, N decoded codes, C channels, H height, W width, Z latent

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from vaecli.models.base import Capacity
from vaecli.models.parts.blocks import ConvDecoder, ConvFamily, conv_encoder


@dataclass(frozen=True)
class ResNet(ConvFamily):
    """Pre-activation residual networks without normalisation, for images from 4x4 pixels upwards.

    Blocks are the bottlenecks of He et al. 2016 ("Identity Mappings"); in place of batch
    normalisation, which ties the examples of a batch together and cannot be stacked with other
    runs, the last layer of each block starts small (Child 2021, VDVAE).

    encoder_width: channels at half the image's resolution, twice as many below.
    encoder_depth: residual blocks at each resolution.
    A decoder's width and depth mean the same on the way up.
    """

    capacities: ClassVar[dict[str, Capacity]] = {
        "small": Capacity(width=16, depth=1),
        "medium": Capacity(width=32, depth=1),
        "large": Capacity(width=48, depth=3),
    }

    def encoder(self, shape: tuple[int, int, int], outputs: int) -> nn.Module:
        """Maps x (B, C, H, W) to (B, outputs)."""
        stage = partial(_stage, blocks=self.encoder_depth)
        return conv_encoder(shape, outputs, self.encoder_width, stage)

    def decoder(self, shape: tuple[int, int, int], outputs: int, capacity: Capacity) -> nn.Module:
        """Build the decoder.

        Args:
            shape: (C, H, W) of an example.
            outputs: values per data channel.
            capacity: its size.

        Returns:
            A module (z (N, Z), x) -> (N, outputs*C, H, W); x is ignored.
        """
        stage = partial(_stage, blocks=capacity.depth)
        return ConvDecoder(self.latent_dim, shape, outputs * shape[0], capacity.width, stage)


def _stage(channels: int, *, blocks: int) -> list[nn.Module]:
    return [*(_Residual(channels, blocks) for _ in range(blocks)), nn.ReLU()]


class _Residual(nn.Module):
    """h + f(h): 1x1 to half the channels, 3x3, 1x1 back, each after a ReLU.

    blocks: how many stand in a row. The last layer starts 1/sqrt(blocks) as large, so that the
    sum of the branches does not grow with their number.
    """

    def __init__(self, channels: int, blocks: int):
        super().__init__()
        middle = max(1, channels // 2)
        first = nn.Conv2d(channels, middle, 1)
        second = nn.Conv2d(middle, middle, 3, padding=1)
        last = nn.Conv2d(middle, channels, 1)
        with torch.no_grad():
            last.weight.div_(math.sqrt(blocks))
        self.branch = nn.Sequential(nn.ReLU(), first, nn.ReLU(), second, nn.ReLU(), last)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.branch(h)
