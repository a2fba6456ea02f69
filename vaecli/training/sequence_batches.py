"""Batches of sequences of about one length, so that little of a batch is padding."""

# N training sequences, B batch, T positions

from __future__ import annotations

import torch
from torch import Tensor

from vaecli.data.sets.base import Data
from vaecli.training.batches import Batches

WIDTH = 8  # positions; a batch is cut to a multiple of it, so that there are few shapes


class SequenceBatches(Batches):
    """Batches of sequences of about one length.

    The choice of sequences that go together, the ones that an epoch drops, and the order of the
    batches are random. A "random" batch is one of the present epoch, as in He et al. 2019.

    Indices stay on the host, where the length of a batch is looked up.
    """

    def __init__(self, data: Data, batch_size: int, seed: int):
        super().__init__(data, batch_size, seed)
        self.device = torch.device("cpu")
        assert data.train.length is not None  # as of every split of sequences
        self.length = data.train.length.cpu()

    def index(self, which: str) -> Tensor:
        """Indices (B,) of the batch that an `Update` asks for: next, random or held."""
        if which != "random":
            return super().index(which)
        chosen = int(torch.randint(self.per_epoch, (), generator=self.random))
        order = self._order(max(0, self.taken - 1) // self.per_epoch)
        return order.narrow(0, chosen * self.batch_size, self.batch_size)

    def rows(self, which: str) -> Tensor:
        """The tokens (B, 1, 1, L) of that batch, no longer than they need be."""
        index = self.index(which)
        longest = int(self.length[index].max())
        width = min(self.x.shape[-1], -(-longest // WIDTH) * WIDTH)
        if self.pinned:
            index = index.pin_memory()
        index = index.to(self.x.device, non_blocking=True)
        return self.x.index_select(0, index)[..., :width]

    def _drawn(self, random: torch.Generator) -> Tensor:
        chosen = torch.randperm(self.n, generator=random)[: self.per_epoch * self.batch_size]
        by_length = chosen[self.length[chosen].argsort(stable=True)].view(self.per_epoch, -1)
        return by_length[torch.randperm(self.per_epoch, generator=random)].flatten()


def batches_of(data: Data, batch_size: int, seed: int) -> Batches:
    """The stream of batches that suits the data.

    Args:
        data: images or sequences.
        batch_size: examples in a batch.
        seed: the run's.

    Returns:
        The stream at its start.
    """
    kind = Batches if data.train.length is None else SequenceBatches
    return kind(data, batch_size, seed)
