"""The batches of a run, gathered by index, with no loader in between."""

# N training examples, B batch

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from vaecli.core.randomness import generator
from vaecli.data.sets.base import Data


class Batches:
    """The run's stream of batch indices, and its exact position.

    The order of epoch e depends on (seed, e) alone, so a position is two integers. The last,
    smaller batch of an epoch is dropped: every step then has the same shapes.

    Rows of a memory-mapped file are read one batch ahead, in a thread: the step does not wait for
    the disk.
    """

    def __init__(self, data: Data, batch_size: int, seed: int):
        self.x = data.train.x
        self.n = len(self.x)
        self.device = self.x.device  # the host, for a memory-mapped file
        self.pinned = data.device.type == "cuda"
        self.batch_size = batch_size
        self.per_epoch = self.n // batch_size
        self.seed = seed
        self.taken = 0  # batches of the epochs' order handed out so far
        self.held: Tensor | None = None
        self.random = generator(seed, "random_batches")
        self._epoch: tuple[int, Tensor] | None = None
        self._reader = ThreadPoolExecutor(1) if data.train.memory_mapped else None
        self._ahead: Future[Tensor] | None = None  # the rows of the next "next"

    def index(self, which: str) -> Tensor:
        """Indices (B,) of the batch that an `Update` asks for: next, random or held."""
        if which == "random":
            drawn = torch.randint(self.n, (self.batch_size,), generator=self.random)
            if self.device.type != "cuda":
                return drawn.to(self.device)
            return drawn.pin_memory().to(self.device, non_blocking=True)
        if which == "next":
            self.held = self._next()
            self.taken += 1
        if self.held is None:
            raise RuntimeError("an update asked for the held batch before any was taken")
        return self.held

    def rows(self, which: str) -> Tensor:
        """The rows (B, ...) of that batch, as they are stored; see `Data.ready`."""
        index = self.index(which)
        if self._reader is None:
            return self.x.index_select(0, index)
        if which != "next":
            return self._read(index)
        rows = self._read(index) if self._ahead is None else self._ahead.result()
        self._ahead = self._reader.submit(self._read, self._next())
        return rows

    def state_dict(self) -> dict:
        """The position, in plain types."""
        held = None if self.held is None else self.held.cpu().clone()
        return {"taken": self.taken, "held": held, "random": self.random.get_state()}

    def load_state_dict(self, state: dict) -> None:
        """Go to the position that `state_dict` returned. Raises ValueError if it is none."""
        held, taken = state["held"], state["taken"]
        if type(taken) is not int or taken < 0:
            raise ValueError("a place before the first batch")
        if held is not None and (
            held.shape != (self.batch_size,) or held.min() < 0 or held.max() >= self.n
        ):
            raise ValueError("a batch of other data")
        self.taken = taken
        self.held = None if held is None else held.to(self.device)
        self.random.set_state(state["random"])
        self._ahead = None

    def _next(self) -> Tensor:
        epoch, position = divmod(self.taken, self.per_epoch)
        return self._order(epoch).narrow(0, position * self.batch_size, self.batch_size)

    def _read(self, index: Tensor) -> Tensor:
        # NumPy's: PyTorch would start further threads beside those of the step.
        rows = torch.from_numpy(np.take(self.x.numpy(), index.numpy(), axis=0))
        return rows.pin_memory() if self.pinned else rows

    def _order(self, epoch: int) -> Tensor:
        if self._epoch is None or self._epoch[0] != epoch:
            order = self._drawn(generator(self.seed, "order", index=epoch))
            # Moved once an epoch: a copy for each batch would make the host wait for the device.
            self._epoch = (epoch, order.to(self.device))
        return self._epoch[1]

    def _drawn(self, random: torch.Generator) -> Tensor:
        """The order of an epoch: (N,) int64."""
        return torch.randperm(self.n, generator=random)
