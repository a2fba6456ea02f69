"""The test if runs can be stacked, and the forward pass that is mapped over them."""

# B batch; nats per example

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from vaecli.data.sets.base import Data
from vaecli.models.parts.stacked_layers import LayersAsAlone
from vaecli.models.vae import VAE
from vaecli.objectives.objective import Objective, Outcome, outcome
from vaecli.objectives.strategies.base import Strategy

Tensors = dict[str, Tensor]

# Attributes of a module that `agree` compares by name in the model; the loop sets `training`.
COMPARED_BY_NAME = {"_modules", "_parameters", "_buffers", "training"}
PLAIN = (bool, int, float, complex, str, bytes, torch.dtype, torch.device)


def forward_pass(vae: VAE, strategy: Strategy) -> Callable:
    """Make the forward pass of one run, to be mapped over the stack.

    Args:
        vae: the structure of the model.
        strategy: the one that fills the slot "loss".

    Returns:
        A function (leaves, buffers, numbers, x (B, ...), noise, beta (), state) -> Outcome.
        `numbers` are the strategy's fields that differ from run to run.
    """

    def forward(
        leaves: Tensors,
        buffers: Tensors,
        numbers: Tensors,
        x: Tensor,
        noise: Tensors,
        beta: Tensor,
        state: Tensors,
    ) -> Outcome:
        terms = functional_call(vae, (leaves, buffers), (x, noise))
        return outcome(terms, dataclasses.replace(strategy, **numbers), beta, state)

    return forward


def try_stacking(objective: Objective, data: Data) -> None:
    """Run a forward pass of two runs over two examples; raises the error that prevents stacking.

    Every number of the strategy that fills "loss" goes in as a tensor, as it may in a sweep.
    """
    vae, strategy = objective.vae, objective.filling("loss")
    x = data.batch(data.train, torch.arange(2))
    both = [2]
    numbers = {k: torch.ones(both) for k in number_fields(type(strategy))}
    noise = {n: torch.zeros(both + list(s)) for n, s in vae.noise_shapes(2).items()}
    state = {k: torch.stack([v, v]) for k, v in strategy.init_state().items()}
    tensors = [
        {name: torch.stack([t.detach(), t.detach()]) for name, t in named}
        for named in (vae.named_parameters(), vae.named_buffers())
    ]
    on_device = [
        {name: tensor.to(data.device) for name, tensor in part.items()}
        for part in (numbers, noise, state)
    ]
    beta = torch.ones(both, device=data.device)
    with LayersAsAlone():
        forward = torch.vmap(forward_pass(vae, strategy))
        forward(*tensors, on_device[0], x.expand(*both, *x.shape), on_device[1], beta, on_device[2])


def agree(first: VAE, other: VAE) -> bool:
    """True if two models differ only in the values of their tensors, so that they can be stacked.

    The stack uses all other attributes of the first run for every run. An attribute that cannot be
    compared counts as different.
    """
    ours, theirs = dict(first.named_modules()), dict(other.named_modules())
    tensors = [_tensors(vae) for vae in (first, other)]
    shapes = [{name: (t.shape, t.dtype) for name, t in named.items()} for named in tensors]
    if list(ours) != list(theirs) or shapes[0] != shapes[1]:
        return False
    try:
        registered = _Registered(
            {id(module): name for named in (ours, theirs) for name, module in named.items()},
            {t.untyped_storage().data_ptr() for named in tensors for t in named.values()},
        )
        return all(
            type(module) is type(theirs[name])
            and _equal(_held(module), _held(theirs[name]), registered)
            for name, module in ours.items()
        )
    except Exception:  # a list that holds itself, a kind of tensor that cannot be compared
        return False


class _Registered(NamedTuple):
    """The modules and the memory that are registered in two models."""

    names: dict[int, str]  # of the modules, by id
    memory: set[int]  # where parameters and buffers lie


def _tensors(vae: VAE) -> Tensors:
    return dict(vae.named_parameters()) | dict(vae.named_buffers())


def _held(module: nn.Module) -> dict[str, Any]:
    return {key: value for key, value in vars(module).items() if key not in COMPARED_BY_NAME}


def _equal(a: Any, b: Any, registered: _Registered) -> bool:
    """True if two values are equal; False for types that cannot be compared."""
    if type(a) is not type(b):
        return False
    if isinstance(a, nn.Module) and id(a) in registered.names:
        return registered.names[id(a)] == registered.names.get(id(b))
    if isinstance(a, Tensor):
        # A stack gives each run its parameters where they are registered, and nowhere else.
        unregistered = a.untyped_storage().data_ptr() not in registered.memory
        return unregistered and a.dtype == b.dtype and torch.equal(a, b)
    if a is b:
        return True
    if isinstance(a, dict):
        parts = list(a.items()), list(b.items())
    elif isinstance(a, list | tuple | set | frozenset):
        parts = list(a), list(b)
    elif dataclasses.is_dataclass(a):
        names = [field.name for field in dataclasses.fields(a)]
        parts = [getattr(a, name) for name in names], [getattr(b, name) for name in names]
    elif isinstance(a, PLAIN) and a == b:
        parts = [], []
    else:
        return False
    more = (getattr(a, "__dict__", None), getattr(b, "__dict__", None))  # of a user's class
    return (
        len(parts[0]) == len(parts[1])
        and all(_equal(x, y, registered) for x, y in zip(*parts, strict=True))
        and _equal(*more, registered)
    )


def differing_numbers(strategies: Iterable[Strategy]) -> list[str]:
    """The number fields in which strategies of one class differ."""
    strategies = list(strategies)
    return [
        key
        for key in number_fields(type(strategies[0]))
        if len({getattr(strategy, key) for strategy in strategies}) > 1
    ]


def number_fields(strategy: type[Strategy]) -> list[str]:
    """The fields that may differ within a stack: those annotated `float`."""
    return [f.name for f in dataclasses.fields(strategy) if f.type in (float, "float")]
