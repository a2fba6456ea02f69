"""The random streams of a stack's runs: batches and noise, shared by runs of one seed."""

# S stacked runs, L distinct streams among them, B batch, K samples, Z latent

from __future__ import annotations

import torch
from torch import Tensor

from vaecli.training.fit import Fit


def share(fits: list[Fit]) -> Streams:
    """Let runs that stand at the same place of the same streams draw from one of them.

    The first of such runs leads. The others give up their `batches`, `noise` and `binarisation`
    and refer to the leader's from now on.

    Args:
        fits: the S runs of a stack.

    Returns:
        The streams of all runs, each drawn once.
    """
    leaders: list[Fit] = []
    rows = []
    for fit in fits:
        same = (i for i, leader in enumerate(leaders) if _same_streams(fit, leader))
        row = next(same, len(leaders))
        if row == len(leaders):
            leaders.append(fit)
        leader = leaders[row]
        fit.batches, fit.noise = leader.batches, leader.noise
        fit.binarisation = leader.binarisation
        rows.append(row)
    return Streams(leaders, rows)


class Streams:
    """Batches and noise for all runs of a stack at once."""

    def __init__(self, leaders: list[Fit], rows: list[int]):
        """Draw from the L `leaders` for S runs; rows: S numbers of leaders."""
        self.data, self.device = leaders[0].data, leaders[0].precision.device
        self._leaders = leaders
        self._row = torch.tensor(rows, device=self.device)  # (S,) the stream of each run

    def batch(self, which: str) -> Tensor:
        """The batches that an update asks for, (S, B, C, H, W)."""
        rows = [leader.batches.rows(which) for leader in self._leaders]
        if self.data.dynamic:  # each stream draws the pixels of its batch
            pairs = zip(rows, self._leaders, strict=True)
            x = torch.stack([self.data.ready(part, fit.binarisation) for part, fit in pairs])
        else:
            # Moved first: joined on the host they would be in memory that a GPU has to wait for.
            moved = [part.to(self.device, non_blocking=True) for part in rows]
            x = self.data.ready(torch.cat(moved)).unflatten(0, (len(rows), -1))
        return self._for_runs(x)

    def noise(self, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
        """The noise of all runs: name -> (S, K, B, Z) for "z"."""
        return {name: self._for_runs(self._normal(shape)) for name, shape in shapes.items()}

    def _normal(self, shape: tuple[int, ...]) -> Tensor:
        """Standard normal numbers of `shape` from each stream, (L, *shape)."""
        noise = (fit.noise for fit in self._leaders)
        return torch.stack([torch.randn(shape, generator=g, device=self.device) for g in noise])

    def _for_runs(self, streams: Tensor) -> Tensor:
        """Repeat each stream for its runs: (L, ...) -> (S, ...)."""
        runs = len(self._row)
        if len(self._leaders) == runs:
            return streams
        if len(self._leaders) == 1:
            return streams.expand(runs, *streams.shape[1:])
        return streams.index_select(0, self._row)


def _same_streams(fit: Fit, leader: Fit) -> bool:
    if fit.seed != leader.seed:
        return False
    ours, theirs = fit.batches.state_dict(), leader.batches.state_dict()
    held = (ours.pop("held"), theirs.pop("held"))
    same_held = held[0] is held[1] or (None not in held and torch.equal(*held))
    return (
        same_held
        and ours["taken"] == theirs["taken"]
        and torch.equal(ours["random"], theirs["random"])
        and torch.equal(fit.noise.get_state(), leader.noise.get_state())
        and torch.equal(fit.binarisation.get_state(), leader.binarisation.get_state())
    )
