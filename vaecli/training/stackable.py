"""Which runs can be trained together, and the forward pass that is mapped over them."""

# B batch; nats per example

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from vaecli.data.base import Data
from vaecli.models.stacked_layers import LayersAsAlone
from vaecli.models.vae import VAE
from vaecli.objectives.objective import Objective
from vaecli.objectives.strategies.base import Strategy

Tensors = dict[str, Tensor]
OWN_OF_ALL = set(vars(nn.Module()))  # what PyTorch keeps in every module


def forward_pass(vae: VAE, strategy: Strategy) -> Callable:
    """The forward pass of one run, to be mapped over the stack.

    (leaves, buffers, numbers, x (B, ...), noise, beta (), state) -> loss (), the meter's
    statistics (3,), state.
    """

    def forward(
        leaves: Tensors, buffers: Tensors, numbers: Tensors, x: Tensor, noise: Tensors,
        beta: Tensor, state: Tensors,
    ) -> tuple[Tensor, Tensor, Tensors]:  # fmt: skip
        terms = functional_call(vae, (leaves, buffers), (x, noise))
        loss, state = dataclasses.replace(strategy, **numbers).loss(terms, beta, state)
        rate = terms.kl_per_dim.sum(-1).mean()
        return loss, torch.stack((loss, -terms.log_px.mean(), rate)), state

    return forward


def try_stacking(objective: Objective, data: Data) -> None:
    """A forward pass of two runs over two examples; raises whatever keeps them from being stacked.

    Every number of the strategy that fills "loss" goes in as a tensor, as it may in a sweep.
    """
    vae, strategy = objective.vae, objective.filling("loss")
    x = data.batch(data.train, torch.arange(2))
    both = [2]
    numbers = {k: torch.ones(both) for k in number_fields(type(strategy))}
    noise = {n: torch.zeros(both + list(s)) for n, s in vae.noise_shapes(2).items()}
    state = {k: torch.stack([v, v]) for k, v in strategy.init_state().items()}
    tensors = [
        {name: torch.stack([t.detach(), t.detach()]) for name, t in found}
        for found in (vae.named_parameters(), vae.named_buffers())
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
    """Whether two models differ in nothing but the values of their tensors, so that they stack.

    Whatever else a module holds would be taken from the first run for all: what cannot be seen to
    be equal counts as different.
    """
    ours, theirs = dict(first.named_modules()), dict(other.named_modules())
    if list(ours) != list(theirs):
        return False
    named = _names(first) | _names(other)
    for name, module in ours.items():
        if type(module) is not type(theirs[name]):
            return False
        if not _equal(_held(module), _held(theirs[name]), named):
            return False
    tensors = (dict(vae.named_parameters()) | dict(vae.named_buffers()) for vae in (first, other))
    shapes = [{name: (t.shape, t.dtype) for name, t in found.items()} for found in tensors]
    return shapes[0] == shapes[1]


def _names(vae: VAE) -> dict[int, str]:
    """By id, what a model has registered: these are compared by name."""
    registered = (*vae.named_parameters(), *vae.named_buffers(), *vae.named_modules())
    return {id(thing): name for name, thing in registered}


def _held(module: nn.Module) -> dict[str, Any]:
    return {key: value for key, value in vars(module).items() if key not in OWN_OF_ALL}


def _equal(a: Any, b: Any, named: dict[int, str]) -> bool:
    """Whether two values can be seen to be equal; False for what is not known."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if id(a) in named and id(b) in named:
        return named[id(a)] == named[id(b)]
    if isinstance(a, Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(_equal(a[key], b[key], named) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(_equal(x, y, named) for x, y in zip(a, b, strict=True))
    if dataclasses.is_dataclass(a):
        fields = [f.name for f in dataclasses.fields(a)]
        return all(_equal(getattr(a, key), getattr(b, key), named) for key in fields)
    plain = (bool, int, float, str, bytes, set, frozenset, Enum, torch.dtype, torch.device)
    return isinstance(a, plain) and a == b


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
