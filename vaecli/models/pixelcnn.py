"""The autoregressive family: a convolutional encoder and a gated PixelCNN decoder.

The decoder can model the data without any code, so this is the family whose posterior collapses
at beta 1 (Chen et al. 2017, "Variational Lossy Autoencoder"). How much of the image it sees is
its capacity: `decoder.receptive_field`.
"""

# N decoded codes, C channels, H height, W width, Z latent, P width of the decoder

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from vaecli.core.errors import require
from vaecli.models.base import Capacity
from vaecli.models.cnn import cnn_encoder
from vaecli.models.parts.blocks import ConvFamily, require_size


@dataclass(frozen=True)
class PixelCNN(ConvFamily):
    """The encoder of `cnn` and a decoder p(x|z) = prod_i p(x_i | x_before_i, z), pixel by pixel.

    Pixels are in raster order, row by row from the top left. All C channels of a pixel are
    predicted together from the pixels before it and z; they are independent given those.

    encoder_width, encoder_depth: as in `cnn`. Decoder: width P channels; depth layers after the
    first; receptive_field, the side in pixels (odd) of the window around a pixel whose causal half
    the decoder sees. Each later layer widens the window by 2, the first takes the rest.
    """

    capacities: ClassVar[dict[str, Capacity]] = {
        "small": Capacity(width=8, depth=1, receptive_field=5),
        "medium": Capacity(width=16, depth=2, receptive_field=11),
        "large": Capacity(width=16, depth=4, receptive_field=21),
    }
    autoregressive: ClassVar[bool] = True

    def validate_capacity(self, capacity: Capacity) -> None:
        """Raise UsageError unless the first kernel, which takes what the others leave, exists."""
        require_size(capacity, least_depth=0)
        field, least = capacity.receptive_field, 3 + 2 * capacity.depth
        require(
            field % 2 == 1 and field >= least,
            "decoder.receptive_field",
            field,
            f"must be odd and at least 3 + 2 * decoder.depth = {least}",
            f"try decoder.receptive_field={max(field + 1 - field % 2, least)}, or another "
            f"decoder.depth (now {capacity.depth})",
        )

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
            A module (z (N, Z), x (N, C, H, W)) -> (N, outputs*C, H, W), causal in x.
        """
        return PixelCNNDecoder(self.latent_dim, shape, outputs, capacity)


class PixelCNNDecoder(nn.Module):
    """A stack of gated masked convolutions with z in every layer (van den Oord et al. 2016, eq. 4).

    z enters as a bias of each layer, the same at every pixel: the decoder has to work out from the
    pixels where it matters. A code that comes as feature maps of image size (He et al. 2019) is
    used sooner; on MNIST at 14x14 the plain VAE then kept three nats and did not collapse.

    One stack, not the two of the paper. It leaves a blind spot inside the window: right of
    the pixel, d columns in the row above, one less in each row further up, for depth d; d(d+1)/2
    pixels of the window's causal half, 3 of 60 at medium and 10 of 220 at large, since the wide
    first kernel sees most of what is near. Two stacks took 2.0 times as long per step, and
    reached the same likelihood on binarised 8x8 digits without z (18.0 nats both). The paper's 1x1
    convolution after each gate is missing for the same reason (20 % slower, no gain there).
    """

    autoregressive = True

    def __init__(
        self, latent_dim: int, shape: tuple[int, int, int], outputs: int, capacity: Capacity
    ):
        super().__init__()
        channels = shape[0]
        first_kernel = capacity.receptive_field - 2 * capacity.depth
        width = capacity.width
        self.first = _GatedMasked(latent_dim, channels, width, first_kernel, sees_centre=False)
        self.later = nn.ModuleList(
            _GatedMasked(latent_dim, width, width, 3, sees_centre=True)
            for _ in range(capacity.depth)
        )
        # The VAE adds the bias of the last layer, one per output and pixel.
        self.last = nn.Conv2d(width, outputs * channels, 1, bias=False)

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        """Maps z (N, Z), x (N, C, H, W) to (N, outputs*C, H, W); a pixel sees those before it."""
        h = self.first(x, z)  # (N, P, H, W)
        for layer in self.later:
            h = h + layer(h, z)
        return self.last(torch.relu(h))


class _GatedMasked(nn.Module):
    """tanh(a) * sigmoid(b), where (a, b) is a masked convolution of h plus a linear map of z.

    h (N, inputs, H, W), z (N, Z) -> (N, outputs, H, W). The kernel holds the rows up to
    that of the pixel; in that row the mask keeps the pixels before it and, in layers after the
    first, the pixel itself, whose features no longer contain its own value.
    """

    mask: Tensor

    def __init__(
        self, latent_dim: int, inputs: int, outputs: int, kernel: int, *, sees_centre: bool
    ):
        super().__init__()
        self.reach = kernel // 2
        mask = torch.ones(1, 1, self.reach + 1, kernel)
        mask[..., -1, self.reach + sees_centre :] = 0
        # Not saved: it follows from the config, and a file must not be able to break causality.
        self.register_buffer("mask", mask, persistent=False)
        self.causal = nn.Conv2d(inputs, 2 * outputs, (self.reach + 1, kernel))
        self.code = nn.Linear(latent_dim, 2 * outputs, bias=False)

    def forward(self, h: Tensor, z: Tensor) -> Tensor:
        padded = pad(h, (self.reach, self.reach, self.reach, 0))  # left, right, top; none below
        causal = conv2d(padded, self.causal.weight * self.mask, self.causal.bias)
        a, b = (causal + self.code(z)[:, :, None, None]).chunk(2, dim=1)  # (N, P, H, W) each
        return torch.tanh(a) * torch.sigmoid(b)
