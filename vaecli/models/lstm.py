"""The family in which posterior collapse was first met: an LSTM decoder, z in every step.

Bowman et al. 2016, "Generating Sentences from a Continuous Space".
"""

# N decoded codes, T positions, E embedding, P width of the decoder, Z latent

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vaecli.models.base import Capacity
from vaecli.models.parts.sequences import SequenceDecoder, SequenceFamily, run


@dataclass(frozen=True)
class LSTM(SequenceFamily):
    """An LSTM decoder: z makes its first state, and is read beside the last token at every step.

    Decoder: width P units; depth layers.
    """

    capacities: ClassVar[dict[str, Capacity]] = {
        "small": Capacity(width=64, depth=1),
        "medium": Capacity(width=256, depth=1),
        "large": Capacity(width=512, depth=2),
    }

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
        return LSTMDecoder(shape[0], self.embedding, self.latent_dim, capacity)


class LSTMDecoder(SequenceDecoder):
    """Position t from the state before it, token t-1 and z."""

    def __init__(self, words: int, embedding: int, latent_dim: int, capacity: Capacity):
        super().__init__(words, embedding, capacity.width)
        self.lstm = nn.LSTM(
            embedding + latent_dim, capacity.width, capacity.depth, batch_first=True
        )
        self.first = nn.Linear(latent_dim, capacity.depth * capacity.width)

    def states(self, inputs: Tensor, z: Tensor) -> Tensor:
        """Inputs (N, T, E), z (N, Z) -> (N, T, P)."""
        return self._run(inputs, z, self._start(z))[0]

    def step(self, z: Tensor, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Go one position on; see SequenceDecoder.

        Args:
            z: (N, Z).
            x: (N, 1, 1, t+1).
            state: hidden and cell state after the position before; None at the first.

        Returns:
            Features (N, 1, P), and the new state.
        """
        state = self._start(z) if state is None else state
        return self._run(self.inputs(x[..., -2:])[:, -1:], z, state)

    def _start(self, z: Tensor) -> tuple[Tensor, Tensor]:
        cell = self.first(z).float().unflatten(1, (self.lstm.num_layers, -1))
        cell = cell.transpose(0, 1).contiguous()  # (depth, N, P)
        return torch.tanh(cell), cell

    def _run(self, inputs: Tensor, z: Tensor, state: tuple[Tensor, Tensor]):
        beside = z[:, None].expand(-1, inputs.shape[1], -1)
        return run(self.lstm, torch.cat([inputs, beside], dim=-1), state)
