"""Adam over stacked leaves, with a learning rate and a weight decay for each run."""

# S stacked runs, s of them side by side with the same rates

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import NamedTuple

import torch
from torch import Tensor

from vaecli.core.optimizers import Adam, AdamW

VECTOR = 16  # float32 numbers in the widest vector register of a CPU


class Rates(NamedTuple):
    """The settings that may differ from run to run."""

    lrs: tuple[tuple[str, float], ...]  # (group, learning rate)
    weight_decay: float


class StackedAdam:
    """torch.optim.Adam or AdamW for S runs at once: every run is updated as if it were alone.

    Adam is elementwise, so the rows of runs with the same rates are one parameter to PyTorch's own
    fused kernel, and come out of it bit for bit as they would alone. Runs of equal rates should lie
    side by side: each change of rates along the stack costs one more call.

    On a CPU the kernel rounds the last elements of a tensor differently, those that do not fill a
    vector register: each row whose size is no multiple of VECTOR is then a separate parameter.
    """

    def __init__(self, groups: dict[str, list[Tensor]], rates: list[Rates], *, decoupled: bool):
        """Groups: name -> leaves (S, ...); rates: S of them.

        decoupled: AdamW's decay, of the weights themselves, instead of L2 in the gradient.
        """
        self.groups = groups
        self._parts: dict[Tensor, list[tuple[_Part, torch.optim.Adam]]] = defaultdict(list)
        self._adams: list[torch.optim.Adam] = []
        kind = AdamW if decoupled else Adam
        start = 0
        for rate, runs in itertools.groupby(rates):
            span = slice(start, start := start + len(list(runs)))
            parts = {
                name: [p for leaf in groups[name] for p in _parts(leaf, span)] for name in groups
            }
            adam = kind(
                [{"params": [p.rows for p in parts[name]], "lr": lr} for name, lr in rate.lrs],
                weight_decay=rate.weight_decay,
                fused=next(iter(groups.values()))[0].device.type in ("cpu", "cuda"),
            )
            self._adams.append(adam)
            for part in itertools.chain.from_iterable(parts.values()):
                self._parts[part.leaf] += [(part, adam)]
        self._lrs = [[group["lr"] for group in adam.param_groups] for adam in self._adams]

    def state(self, leaf: Tensor, run: int) -> dict[str, Tensor]:
        """The live state of one run's part of a leaf: step (), exp_avg and exp_avg_sq.

        step may be shared by runs of the same rates.
        """
        part, adam = next(
            (part, adam)
            for part, adam in self._parts[leaf]
            if part.span.start <= run < part.span.stop
        )
        state = adam.state[part.rows]
        if not state:
            on = part.rows.device if adam.defaults["fused"] else "cpu"
            state["step"] = torch.zeros((), dtype=torch.float32, device=on)
            state["exp_avg"] = torch.zeros_like(part.rows, requires_grad=False)
            state["exp_avg_sq"] = torch.zeros_like(part.rows, requires_grad=False)
        row = run - part.span.start
        return {"step": state["step"], **{k: state[k][row] for k in ("exp_avg", "exp_avg_sq")}}

    def step(self, share: float) -> None:
        """Move the leaves that have a gradient, at `share` of the learning rates; drop it."""
        for part, _ in itertools.chain.from_iterable(self._parts.values()):
            gradient = part.leaf.grad
            part.rows.grad = None if gradient is None else gradient[part.span]
        for adam, lrs in zip(self._adams, self._lrs, strict=True):
            for group, lr in zip(adam.param_groups, lrs, strict=True):
                group["lr"] = lr * share
            adam.step()
            adam.zero_grad(set_to_none=True)
        for leaf in itertools.chain.from_iterable(self.groups.values()):
            leaf.grad = None


class _Part(NamedTuple):
    """Some runs' rows of a leaf, as a separate parameter on the same memory."""

    leaf: Tensor
    span: slice
    rows: Tensor


def _parts(leaf: Tensor, span: slice) -> list[_Part]:
    each = leaf.device.type == "cpu" and leaf[0].numel() % VECTOR
    spans = [slice(run, run + 1) for run in range(span.start, span.stop)] if each else [span]
    return [_Part(leaf, part, leaf.detach()[part].requires_grad_()) for part in spans]
