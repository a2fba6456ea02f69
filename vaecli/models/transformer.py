"""A causal transformer that sees the last `receptive_field` tokens: its window is its capacity."""

# N decoded codes, T positions, E embedding, P width of the decoder, Z latent

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from vaecli.core.errors import require
from vaecli.models.base import Capacity
from vaecli.models.parts.sequences import SequenceDecoder, SequenceFamily

HEADS = 4


@dataclass(frozen=True)
class Transformer(SequenceFamily):
    """Pre-norm attention over a window of tokens, z added to every position.

    Decoder: width P, a multiple of 4 heads; depth layers; receptive_field R: a position sees the R
    tokens before it, over all layers together, each of which looks back about as far.
    """

    capacities: ClassVar[dict[str, Capacity]] = {
        "small": Capacity(width=128, depth=2, receptive_field=4),
        "medium": Capacity(width=128, depth=2, receptive_field=16),
        "large": Capacity(width=256, depth=4, receptive_field=10_000),
    }

    def validate_capacity(self, capacity: Capacity) -> None:
        """Raise UsageError unless the width divides into heads of an even size."""
        super().validate_capacity(capacity)
        require(
            capacity.width % (2 * HEADS) == 0,
            "decoder.width",
            capacity.width,
            f"must be a multiple of {2 * HEADS}",
            "try decoder.width=128",
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
        return TransformerDecoder(shape[0], self.embedding, self.latent_dim, capacity)


class TransformerDecoder(SequenceDecoder):
    """Attention blocks over the tokens before a position."""

    def __init__(self, words: int, embedding: int, latent_dim: int, capacity: Capacity):
        super().__init__(words, embedding, capacity.width)
        self.first = nn.Linear(embedding, capacity.width)
        self.code = nn.Linear(latent_dim, capacity.width, bias=False)
        self.blocks = nn.ModuleList(
            _Block(capacity.width, window)
            for window in windows(capacity.receptive_field, capacity.depth)
        )
        self.norm = nn.LayerNorm(capacity.width)

    def states(self, inputs: Tensor, z: Tensor) -> Tensor:
        """Inputs (N, T, E), z (N, Z) -> (N, T, P)."""
        T = inputs.shape[1]
        place = torch.arange(T, device=inputs.device)
        apart = place[:, None] - place  # how far back
        blocks = self._blocks()
        seen = {b.back: (apart >= 0) & (apart <= b.back) for b in blocks}  # two at most
        h = self._placed(inputs, z, T)
        for block in blocks:
            query, key, value = block.read(h)
            h = block.write(h, query, key, value, seen[block.back])
        return self.norm(h)

    def step(self, z: Tensor, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Go one position on; see SequenceDecoder.

        Args:
            z: (N, Z).
            x: (N, 1, 1, t+1).
            state: for each block, keys and values of the positions that it still sees; None at the
                first position.

        Returns:
            Features (N, 1, P), and the new state.
        """
        h = self._placed(self.inputs(x[..., -2:])[:, -1:], z, x.shape[-1])
        states = []
        for n, block in enumerate(self._blocks()):
            query, *held = block.read(h)
            if state is not None:
                held = [torch.cat(pair, dim=2) for pair in zip(state[n], held, strict=True)]
            held = [part[:, :, -(block.back + 1) :] for part in held]
            h = block.write(h, query, *held)
            states.append(held)
        return self.norm(h), states

    def _blocks(self) -> list[_Block]:
        return cast(list[_Block], list(self.blocks))

    def _placed(self, inputs: Tensor, z: Tensor, length: int) -> Tensor:
        """The input of the blocks at the last t of `length` positions: (N, t, E) -> (N, t, P)."""
        places = positions(length, self.readout.in_features, inputs.device)
        return self.first(inputs) + self.code(z)[:, None] + places[-inputs.shape[1] :]


def windows(receptive_field: int, depth: int) -> list[int]:
    """Positions that each layer looks back, so that all of them together reach R tokens.

    The input of a position is the token before it, so R - 1 steps back remain.
    """
    rest = receptive_field - 1
    return [(rest + layer) // depth for layer in range(depth)]


def positions(length: int, width: int, device: torch.device) -> Tensor:
    """Sines and cosines of each place (Vaswani et al. 2017, section 3.5).

    Args:
        length: T.
        width: P.
        device: of the result.

    Returns:
        (T, P) float32.
    """
    place = torch.arange(length, device=device)[:, None]
    rate = torch.exp(-math.log(10_000) * torch.arange(0, width, 2, device=device) / width)
    return torch.cat([torch.sin(place * rate), torch.cos(place * rate)], dim=-1)


class _Block(nn.Module):
    def __init__(self, width: int, back: int):
        super().__init__()
        self.back = back
        self.before = nn.LayerNorm(width)
        self.attention = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.between = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def read(self, h: Tensor) -> Tensor:
        """Query, key and value, (3, N, heads, T, P / heads), of h (N, T, P)."""
        parts = self.attention(self.before(h)).unflatten(-1, (3, HEADS, -1))
        return parts.permute(2, 0, 3, 1, 4)

    def write(
        self, h: Tensor, query: Tensor, key: Tensor, value: Tensor, seen: Tensor | None = None
    ) -> Tensor:
        """Add to h the values that attention collects, and the MLP's output.

        Args:
            h: (N, T, P).
            query: (N, heads, T, P / heads).
            key: (N, heads, keys, P / heads).
            value: as `key`.
            seen: (T, keys), True where a position sees a key; None: everywhere.

        Returns:
            The next h (N, T, P).
        """
        attended = scaled_dot_product_attention(query, key, value, attn_mask=seen)
        h = h + self.out(attended.transpose(1, 2).flatten(2))
        return h + self.mlp(self.between(h))
