"""The multi-layer perceptron family: the customary baseline, and the one that fits any shape."""

# B batch, N decoded codes, C channels, H height, W width, Z latent

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from vaecli.models.base import Capacity, Family
from vaecli.models.parts.blocks import require_at_least, require_layers, require_size


@dataclass(frozen=True)
class MLP(Family):
    """Fully connected encoder and decoder with ReLU.

    decoder=medium with the default encoder is the 784-400-Z-400-784 network of Kingma & Welling
    2014 (with ReLU for tanh), whose collapse thresholds on MNIST are tabulated.

    encoder_width: units of each hidden layer. encoder_depth: number of hidden layers; 0 leaves an
    affine encoder.
    """

    encoder_width: int = 400
    encoder_depth: int = 1

    capacities: ClassVar[dict[str, Capacity]] = {
        "small": Capacity(width=64, depth=1),
        "medium": Capacity(width=400, depth=1),
        "large": Capacity(width=800, depth=3),
    }

    def validate(self) -> None:
        """Raise UsageError for keys outside their range."""
        super().validate()
        require_at_least(1, "model.encoder_width", self.encoder_width, "400")
        require_layers(0, "model.encoder_depth", self.encoder_depth)

    def validate_capacity(self, capacity: Capacity) -> None:
        """Raise UsageError for a width below 1 or a depth below 0."""
        require_size(capacity, least_depth=0)

    def encoder(self, shape: tuple[int, int, int], outputs: int) -> nn.Module:
        """Maps x (B, C, H, W) to (B, outputs)."""
        hidden, last = _hidden(math.prod(shape), self.encoder_width, self.encoder_depth)
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(last, outputs))

    def decoder(self, shape: tuple[int, int, int], outputs: int, capacity: Capacity) -> nn.Module:
        """Build the decoder.

        Args:
            shape: (C, H, W) of an example.
            outputs: values per data channel.
            capacity: its size.

        Returns:
            A module (z (N, Z), x) -> (N, outputs*C, H, W); x is ignored.
        """
        return _MLPDecoder(self.latent_dim, shape, outputs, capacity)


class _MLPDecoder(nn.Module):
    def __init__(
        self, latent_dim: int, shape: tuple[int, int, int], outputs: int, capacity: Capacity
    ):
        super().__init__()
        channels, height, width = shape
        self.out_shape = (outputs * channels, height, width)
        hidden, last = _hidden(latent_dim, capacity.width, capacity.depth)
        # The VAE adds the bias of the last layer, one per output and pixel.
        self.net = nn.Sequential(*hidden, nn.Linear(last, math.prod(self.out_shape), bias=False))

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        return self.net(z).unflatten(1, self.out_shape)  # (N, outputs*C, H, W)


def _hidden(inputs: int, width: int, depth: int) -> tuple[list[nn.Module], int]:
    """`depth` layers of `width` units with ReLU, and the number of units that come out."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return layers, inputs
