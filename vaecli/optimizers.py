"""PyTorch's Adam and AdamW, less the import of torch.compile's machinery: a second of every start.

PyTorch wraps an optimiser's methods so that they are left out of compiled code, where they never
are here; the wrappers import torch._dynamo when they are first called.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import unwrap

import torch
from torch.optim import Optimizer

WRAPPED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")


def _light(kind: type[Optimizer]) -> type[Optimizer]:
    methods: dict[str, Callable] = {name: unwrap(getattr(kind, name)) for name in WRAPPED}
    methods["step"] = torch.no_grad()(unwrap(kind.step))
    methods["step"].hooked = True  # else it is wrapped once more, for the profiler
    return type(kind.__name__, (kind,), methods)


Adam, AdamW = _light(torch.optim.Adam), _light(torch.optim.AdamW)
