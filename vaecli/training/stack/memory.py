"""The size of a stack that fits into memory."""

from __future__ import annotations

import torch
from torch import Tensor

from vaecli.core.machine import free_bytes
from vaecli.data.sets.base import Data
from vaecli.objectives.objective import Objective

SHARE = 0.6  # of the free memory, the rest is for evaluations and gaps of the allocator
COPIES = 6  # of the weights: themselves, the gradient, Adam's two moments, the run's start, a spare
ROOM = 3  # times the tensors that autograd keeps: both passes need intermediates beside them


def largest_stack(objective: Objective, data: Data, batch_size: int) -> int | None:
    """Estimate how many runs like this one fit into free memory.

    One forward pass shows the size of the weights and of the tensors that autograd keeps for the
    backward pass.

    Args:
        objective: of one run.
        data: on the run's device.
        batch_size: of one run.

    Returns:
        The number of runs, at least 1; None where the free memory is unknown.
    """
    free = free_bytes(data.device)
    if free is None:
        return None
    weights = sum(p.numel() * p.element_size() for p in objective.parameters())
    need = COPIES * weights + ROOM * _kept_by_autograd(objective, data, batch_size)
    return max(1, int(SHARE * free / need))


def _kept_by_autograd(objective: Objective, data: Data, batch_size: int) -> int:
    weights = {p.untyped_storage().data_ptr() for p in objective.parameters()}
    sizes: dict[int, int] = {}  # bytes of each storage, by its address

    def remember(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(remember, lambda tensor: tensor):
        try_pass(objective, data, batch_size)
    return sum(sizes.values())


def try_pass(objective: Objective, data: Data, batch_size: int) -> Tensor:
    """Run one forward pass over the first examples, with no noise, at beta 1.

    Args:
        objective: of one run.
        data: on the run's device.
        batch_size: number of examples.

    Returns:
        The loss, ().
    """
    device = data.device
    x = data.batch(data.train, torch.arange(batch_size))
    shapes = objective.vae.noise_shapes(len(x))
    noise = {name: torch.zeros(shape, device=device) for name, shape in shapes.items()}
    return objective(x, noise, torch.ones((), device=device), objective.init_state())[0]
