"""The convolutional family: strided convolutions down, transposed convolutions up."""

# B batch, N decoded codes, C channels, H height, W width, Z latent

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch import nn

from vaecli.models.base import Capacity
from vaecli.models.parts.blocks import ConvDecoder, ConvFamily, conv_encoder


@dataclass(frozen=True)
class CNN(ConvFamily):
    """Convolutional encoder and decoder with ReLU, for images from 4x4 pixels upwards.

    encoder_width: channels at half the image's resolution, twice as many below.
    encoder_depth: convolutions at each resolution; the first of them halves it.
    A decoder's width and depth mean the same on the way up, where the last doubles.
    """

    capacities: ClassVar[dict[str, Capacity]] = {
        "small": Capacity(width=8, depth=1),
        "medium": Capacity(width=32, depth=1),
        "large": Capacity(width=48, depth=2),
    }

    def encoder(self, shape: tuple[int, int, int], outputs: int) -> nn.Module:
        """Maps x (B, C, H, W) to (B, outputs)."""
        return cnn_encoder(shape, outputs, self.encoder_width, self.encoder_depth)

    def decoder(self, shape: tuple[int, int, int], outputs: int, capacity: Capacity) -> nn.Module:
        """Build the decoder.

        Args:
            shape: (C, H, W) of an example.
            outputs: values per data channel.
            capacity: its size.

        Returns:
            A module (z (N, Z), x) -> (N, outputs*C, H, W); x is ignored.
        """
        stage = partial(_stage, convolutions=capacity.depth - 1)
        return ConvDecoder(self.latent_dim, shape, outputs * shape[0], capacity.width, stage)


def cnn_encoder(shape: tuple[int, int, int], outputs: int, width: int, depth: int) -> nn.Module:
    """Build the encoder of `cnn`, which the autoregressive family uses too.

    Args:
        shape: (C, H, W) of an example.
        outputs: numbers that describe q(z|x).
        width: channels at half the image's resolution.
        depth: convolutions at each resolution.

    Returns:
        A module x (B, C, H, W) -> (B, outputs).
    """
    return conv_encoder(shape, outputs, width, partial(_stage, convolutions=depth - 1))


def _stage(channels: int, *, convolutions: int) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.ReLU()]
    for _ in range(convolutions):
        layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU()]
    return layers
