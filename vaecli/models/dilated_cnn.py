"""Causal dilated convolutions: how far back the decoder sees is its capacity.

Yang et al. 2017, "Improved Variational Autoencoders for Text Modeling using Dilated Convolutions":
z is used as soon as the receptive field is small.
"""

# N decoded codes, T positions, E embedding, P width of the decoder, Z latent

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from vaecli.core.errors import require
from vaecli.models.base import Capacity
from vaecli.models.parts.sequences import SequenceDecoder, SequenceFamily

KERNEL = 3


@dataclass(frozen=True)
class DilatedCNN(SequenceFamily):
    """Gated causal convolutions, z in each: a position sees the `receptive_field` tokens before it.

    Decoder: width P channels; receptive_field R tokens. Kernels of 3, dilated by 1, 2, 4 and so on
    until R tokens are reached; the last ones are narrower, or dilated less, so that none beyond is
    seen, and some fields take a layer more than a larger one does. R = 1 is a decoder of word
    pairs.
    """

    capacities: ClassVar[dict[str, Capacity]] = {
        "small": Capacity(width=256, receptive_field=3),
        "medium": Capacity(width=256, receptive_field=15),
        "large": Capacity(width=256, receptive_field=63),
    }

    def validate_capacity(self, capacity: Capacity) -> None:
        """Raise UsageError for a field or a width of nothing."""
        for key in ("width", "receptive_field"):
            value = getattr(capacity, key)
            require(
                1 <= value <= 10**5,
                f"decoder.{key}",
                value,
                "must be from 1 to 100,000",
                f"try decoder.{key}={getattr(self.capacities['medium'], key)}",
            )

    def decoder(
        self, shape: tuple[int, int, int], outputs: int, capacity: Capacity
    ) -> SequenceDecoder:
        """Build the decoder.

        Args:
            shape: (V, 1, T) of an example.
            outputs: 1, the logit of each token.
            capacity: its size.

        Returns:
            A module (z (N, Z), x (N, 1, 1, T)) -> (N, V, 1, T).
        """
        # No position has more than T - 1 tokens before it.
        field = min(capacity.receptive_field, shape[2])
        capacity = replace(capacity, receptive_field=field)
        return DilatedDecoder(shape[0], self.embedding, self.latent_dim, capacity)


class DilatedDecoder(SequenceDecoder):
    """A stack of gated residual convolutions over the tokens before a position."""

    def __init__(self, words: int, embedding: int, latent_dim: int, capacity: Capacity):
        super().__init__(words, embedding, capacity.width)
        width = capacity.width
        self.first = nn.Linear(embedding, width)
        self.layers = nn.ModuleList(
            _GatedCausal(latent_dim, width, taps, dilation)
            for taps, dilation in layers(capacity.receptive_field)
        )
        self.code = nn.Linear(latent_dim, width, bias=False)
        self.field = capacity.receptive_field

    def step(self, z: Tensor, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Compute one position from the tokens that it sees; see SequenceDecoder.

        Args:
            z: (N, Z).
            x: (N, 1, 1, t+1).
            state: unused.

        Returns:
            Features (N, 1, P), and None.
        """
        seen = self.inputs(x[..., -(self.field + 1) :])[:, -self.field :]
        return self.states(seen, z)[:, -1:], None

    def states(self, inputs: Tensor, z: Tensor) -> Tensor:
        """Inputs (N, T, E), z (N, Z) -> (N, T, P)."""
        h = (self.first(inputs) + self.code(z)[:, None]).mT  # (N, P, T)
        for layer in self.layers:
            h = h + layer(h, z)
        return torch.relu(h).mT


def layers(receptive_field: int) -> list[tuple[int, int]]:
    """Taps and dilation of convolutions that together see `receptive_field` positions.

    The position itself is the first of these: it holds the token before.
    """
    convolutions, seen, dilation = [], 1, 1
    while seen < receptive_field:
        taps = min(KERNEL, 1 + -(-(receptive_field - seen) // dilation))
        step = min(dilation, (receptive_field - seen) // (taps - 1))
        convolutions.append((taps, max(1, step)))
        seen += (taps - 1) * max(1, step)
        dilation *= 2
    return convolutions


class _GatedCausal(nn.Module):
    """tanh(a) * sigmoid(b), (a, b) a causal convolution of h plus a linear map of z."""

    def __init__(self, latent_dim: int, width: int, taps: int, dilation: int):
        super().__init__()
        self.reach = (taps - 1) * dilation
        self.conv = nn.Conv1d(width, 2 * width, taps, dilation=dilation)
        self.code = nn.Linear(latent_dim, 2 * width, bias=False)

    def forward(self, h: Tensor, z: Tensor) -> Tensor:
        a, b = (self.conv(pad(h, (self.reach, 0))) + self.code(z)[:, :, None]).chunk(2, dim=1)
        return torch.tanh(a) * torch.sigmoid(b)
