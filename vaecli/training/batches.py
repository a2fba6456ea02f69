"""Which examples each update sees: by index, with no loader in between."""

# N training examples, B batch

from __future__ import annotations

import torch
from torch import Tensor

from vaecli.data.base import Data
from vaecli.randomness import generator


class Batches:
    """The run's stream of batch indices, and its exact position.

    The order of epoch e depends on (seed, e) alone, so a position is two integers. The last,
    smaller batch of an epoch is dropped: every step then has the same shapes.
    """

    def __init__(self, data: Data, batch_size: int, seed: int):
        self.n = len(data.train.x)
        self.device = data.train.x.device
        self.batch_size = batch_size
        self.per_epoch = self.n // batch_size
        self.seed = seed
        self.taken = 0  # batches of the epochs' order handed out so far
        self.held: Tensor | None = None
        self.random = generator(seed, "random_batches")
        self._epoch: tuple[int, Tensor] | None = None

    def index(self, which: str) -> Tensor:
        """Indices (B,) of the batch that an `Update` asks for: next, random or held."""
        if which == "random":
            return torch.randint(self.n, (self.batch_size,), generator=self.random)
        if which == "next":
            epoch, position = divmod(self.taken, self.per_epoch)
            self.held = self._order(epoch).narrow(0, position * self.batch_size, self.batch_size)
            self.taken += 1
        if self.held is None:
            raise RuntimeError("an update asked for the held batch before any was taken")
        return self.held

    def state_dict(self) -> dict:
        """The position, in plain types."""
        held = None if self.held is None else self.held.cpu().clone()
        return {"taken": self.taken, "held": held, "random": self.random.get_state()}

    def load_state_dict(self, state: dict) -> None:
        """Go to the position that `state_dict` returned."""
        self.taken = state["taken"]
        self.held = None if state["held"] is None else state["held"].to(self.device)
        self.random.set_state(state["random"])

    def _order(self, epoch: int) -> Tensor:
        if self._epoch is None or self._epoch[0] != epoch:
            order = torch.randperm(self.n, generator=generator(self.seed, "order", index=epoch))
            # Moved once an epoch: a copy for each batch would make the host wait for the device.
            self._epoch = (epoch, order.to(self.device))
        return self._epoch[1]
