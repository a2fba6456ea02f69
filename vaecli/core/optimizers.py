"""PyTorch's Adam and AdamW, less the import of torch.compile's machinery.

PyTorch wraps an optimiser's methods so that they are left out of compiled code, where they never
are here; the wrappers import torch._dynamo when they are first called. That is 1.0 s of every start
(torch 2.14 on two cores), against 3 ms for the first step of these classes.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import unwrap
from typing import Any, TypeVar, cast

import torch
from torch.optim import Optimizer

WRAPPED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict", "step")

Kind = TypeVar("Kind", bound=Optimizer)


def light(kind: type[Kind]) -> type[Kind]:
    """`kind` with its methods unwrapped; `kind` itself if this release of PyTorch wraps none."""
    if not all(hasattr(getattr(kind, name, None), "__wrapped__") for name in WRAPPED):
        return kind
    methods: dict[str, Callable] = {name: unwrap(getattr(kind, name)) for name in WRAPPED}
    step = torch.no_grad()(methods["step"])
    step.hooked = True  # type: ignore[attr-defined]  # else it is wrapped again, for the profiler
    subclass = type(kind.__name__, (kind,), {**methods, "step": step})
    return cast(type[Kind], subclass)


Adam, AdamW = light(torch.optim.Adam), light(torch.optim.AdamW)


def take_moments(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Take the moments from `state`; all settings stay those of the run's config.

    Raises ValueError for moments of other weights: Adam's kernel compares neither shapes nor
    strides.
    """
    settings = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, configured in zip(optimizer.param_groups, settings, strict=True):
        group.update(configured)
    for p, moments in optimizer.state.items():
        for key in ("exp_avg", "exp_avg_sq"):
            if moments[key].shape != p.shape:
                raise ValueError("moments of other weights")
            placed = torch.empty_like(p, requires_grad=False)  # laid out as on this device
            moments[key] = placed.copy_(moments[key])
