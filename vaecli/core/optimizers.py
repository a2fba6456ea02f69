"""PyTorch's Adam and AdamW, less the import of torch.compile's machinery: a second of every start.

PyTorch wraps an optimiser's methods so that they are left out of compiled code, where they never
are here; the wrappers import torch._dynamo when they are first called.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import unwrap
from typing import Any

import torch
from torch.optim import Optimizer

WRAPPED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")


def _light(kind: type[Optimizer]) -> type[Optimizer]:
    methods: dict[str, Callable] = {name: unwrap(getattr(kind, name)) for name in WRAPPED}
    methods["step"] = torch.no_grad()(unwrap(kind.step))
    methods["step"].hooked = True  # else it is wrapped once more, for the profiler
    return type(kind.__name__, (kind,), methods)


Adam, AdamW = _light(torch.optim.Adam), _light(torch.optim.AdamW)


def take_moments(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Take the moments from `state`, and all settings from the run's own config.

    Raises ValueError for moments of other weights: Adam's kernel compares neither shapes nor
    strides.
    """
    settings = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, own in zip(optimizer.param_groups, settings, strict=True):
        group.update(own)
    for p, moments in optimizer.state.items():
        for key in ("exp_avg", "exp_avg_sq"):
            if moments[key].shape != p.shape:
                raise ValueError("moments of other weights")
            placed = torch.empty_like(p, requires_grad=False)  # laid out as on this device
            moments[key] = placed.copy_(moments[key])
