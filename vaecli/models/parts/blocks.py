"""Parts of several families: range checks, and the frame of convolutional nets."""

# B batch, N decoded codes, C channels, H height, W width, Z latent

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from vaecli.core.errors import require
from vaecli.models.base import Capacity, Family

SMALLEST_SIDE = 4  # pixels; below it there is nothing for a convolution to halve
MOST_LAYERS = 1000  # a config from elsewhere must not build for hours
COARSEST_SIDE = 7  # pixels; halving stops once the longer side is no longer than this

# channels -> the modules that work at one resolution, after the affine map that led there and
# before the one that leaves it; they contain the nonlinearity.
Stage = Callable[[int], list[nn.Module]]


def require_at_least(least: int, key: str, value: int, suggestion: str) -> None:
    """Raise UsageError unless value >= least.

    Args:
        least: smallest value allowed.
        key: the config key.
        value: its value.
        suggestion: a value to propose.
    """
    require(value >= least, key, value, f"must be at least {least}", f"try {key}={suggestion}")


def require_layers(least: int, key: str, value: int) -> None:
    """Raise UsageError unless a network may have so many layers of one kind.

    Args:
        least: smallest number allowed.
        key: the config key.
        value: its value.
    """
    require_at_least(least, key, value, "1")
    require(value <= MOST_LAYERS, key, value, f"must be at most {MOST_LAYERS}", f"try {key}=3")


def require_size(capacity: Capacity, *, least_depth: int) -> None:
    """Raise UsageError unless the decoder has at least one unit and `least_depth` layers."""
    require_at_least(1, "decoder.width", capacity.width, "32")
    require_layers(least_depth, "decoder.depth", capacity.depth)


@dataclass(frozen=True)
class ConvFamily(Family):
    """The keys that convolutional families share, and their checks.

    encoder_width: channels at half the image's resolution, twice as many below.
    encoder_depth: stages at each resolution; the family says of what.
    """

    encoder_width: int = 32
    encoder_depth: int = 1

    def validate(self) -> None:
        """Raise UsageError for keys outside their range."""
        super().validate()
        require_at_least(1, "model.encoder_width", self.encoder_width, "32")
        require_layers(1, "model.encoder_depth", self.encoder_depth)

    def validate_shape(self, shape: tuple[int, int, int]) -> None:
        """Raise UsageError unless `shape` (C, H, W) is an image that convolutions can halve."""
        require(
            min(shape[1:]) >= SMALLEST_SIDE,
            "model",
            self.name,
            f"needs images of at least {SMALLEST_SIDE}x{SMALLEST_SIDE} pixels; this data is "
            f"{'x'.join(map(str, shape))} (channels x height x width)",
            "use model=mlp, which fits any shape",
        )

    def validate_capacity(self, capacity: Capacity) -> None:
        """Raise UsageError unless the decoder has at least one channel and one layer."""
        require_size(capacity, least_depth=1)


def resolutions(shape: tuple[int, int, int]) -> list[tuple[int, int]]:
    """The sizes (H, W) that a convolutional net works at, finest (the image) first.

    Each is half the one before, rounded up, until the longer side is at most COARSEST_SIDE: three
    for 28x28 (28, 14, 7). There is at least one halving.
    """
    sizes: list[tuple[int, int]] = [shape[1:]]
    while len(sizes) == 1 or max(sizes[-1]) > COARSEST_SIDE:
        height, width = sizes[-1]
        sizes.append(((height + 1) // 2, (width + 1) // 2))
    return sizes


def conv_encoder(shape: tuple[int, int, int], outputs: int, width: int, stage: Stage) -> nn.Module:
    """Strided convolutions down to the coarsest resolution, then one linear layer.

    Args:
        shape: (C, H, W) of an example.
        outputs: numbers that describe q(z|x).
        width: channels at the first resolution below the image's; twice as many further down.
        stage: makes the modules that work at one resolution.

    Returns:
        A module x (B, C, H, W) -> (B, outputs).
    """
    *_, coarsest = sizes = resolutions(shape)
    channels, layers = shape[0], []
    for level in range(1, len(sizes)):
        wider = _channels(width, level)
        layers += [nn.Conv2d(channels, wider, 3, stride=2, padding=1), *stage(wider)]
        channels = wider
    start_with_he(layers)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * math.prod(coarsest), outputs))


class ConvDecoder(nn.Module):
    """The mirror of `conv_encoder`: a linear layer, then transposed convolutions up to the image.

    (z (N, Z), x) -> (N, out_channels, H, W); x is ignored. The last step up writes the output
    itself (Radford et al. 2016, DCGAN), so that no feature map has the image's full size: at
    28x28 that is three quarters of the arithmetic saved.
    """

    def __init__(
        self,
        latent_dim: int,
        shape: tuple[int, int, int],
        out_channels: int,
        width: int,
        stage: Stage,
    ):
        super().__init__()
        *_, coarsest = sizes = resolutions(shape)
        channels = _channels(width, len(sizes) - 1)
        layers: list[nn.Module] = [
            nn.Linear(latent_dim, channels * math.prod(coarsest)),
            nn.Unflatten(1, (channels, *coarsest)),
        ]
        for level in range(len(sizes) - 1, 0, -1):
            last = level == 1
            narrower = out_channels if last else _channels(width, level - 1)
            layers += [
                *stage(channels),
                _Double(channels, narrower, sizes[level - 1], bias=not last),
            ]
            channels = narrower
        start_with_he(layers[:-1])  # the last starts small: near the decoder without a code
        self.net = nn.Sequential(*layers)

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        """The output before its bias, (N, out_channels, H, W)."""
        return self.net(z)


def start_with_he(layers: list[nn.Module]) -> None:
    """Initial weights that keep the size of a signal through ReLUs (He et al. 2015), in place.

    PyTorch's default shrinks it sixfold in variance per layer, to means that differ by 0.02
    between images at the start, where these differ by 0.1. It is no guard against an early
    collapse: on MNIST at beta 1, batch 64, two of four seeds of `resnet` medium and all of three
    of `cnn` large were below 0.1 nats after 150 to 180 steps.
    """
    for layer in layers:
        for module in layer.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                # a transposed convolution spreads its kernel over stride^2 outputs
                fan_in = module.in_channels * math.prod(module.kernel_size)
                if isinstance(module, nn.ConvTranspose2d):
                    fan_in /= math.prod(module.stride)
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_in))


class _Double(nn.Module):
    """Twice the resolution, cropped to `size`. A kernel of 4 overlaps evenly: no checkerboard."""

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int], *, bias: bool):
        super().__init__()
        self.size = size
        self.conv = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=bias)

    def forward(self, h: Tensor) -> Tensor:
        height, width = self.size
        return self.conv(h)[..., :height, :width]  # an odd side loses its last row or column


def _channels(width: int, level: int) -> int:
    """Channels after `level` halvings: at most twice `width`, for the sake of 64x64 images."""
    return width if level == 1 else 2 * width
