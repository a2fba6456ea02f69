"""Evaluation mode for the length of a diagnosis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def evaluation_mode(model: Any) -> Iterator[None]:
    """Put `model` into evaluation mode, then each of its modules back into the mode before.

    A frozen batch normalisation inside a model in training is in evaluation mode already, and must
    be so afterwards. Any other object stays as it is. cuDNN passes gradients back through
    recurrent modules in training mode only, and those without dropout are the same in both.
    """
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    before = [module.training for module in modules]
    for module in modules:
        module.training = isinstance(module, nn.RNNBase) and not module.dropout
    try:
        yield
    finally:
        for module, training in zip(modules, before, strict=True):
            module.training = training
