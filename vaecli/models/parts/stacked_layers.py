"""Layers of a stack of models, computed as in each of them alone."""

# S stacked models, B batch

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d, linear
from torch.overrides import TorchFunctionMode

CONVOLUTIONS = (conv2d, conv_transpose2d)


class LayersAsAlone(TorchFunctionMode):
    """While active, layers mapped by vmap round as those of a single model do.

    An affine layer becomes one baddbmm instead of a bmm and a sum. On a CPU each matrix of it then
    is, bit for bit, the addmm that a single model computes; rounding twice instead changed losses
    by 1e-4 within a hundred updates, by the units that it switched on or off. It also saves a pass
    over the activations. vmap takes these layers past autocast, so they are cast here.
    """

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Replace affine layers, cast convolutions, and leave all other functions as they are."""
        kwargs = kwargs or {}
        affine = func is linear and not kwargs and len(args) == 3 and args[2] is not None
        affine = affine and args[0].dim() == 2
        if affine or func in CONVOLUTIONS:
            device = args[0].device.type
            if torch.is_autocast_enabled(device):
                dtype = torch.get_autocast_dtype(device)
                args = tuple(a.to(dtype) if isinstance(a, Tensor) else a for a in args)
        return _Affine.apply(*args) if affine else func(*args, **kwargs)


class _Affine(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return linear(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple:
        raise RuntimeError("it is only used under vmap, which differentiates what stands below")

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple, x: Tensor, weight: Tensor, bias: Tensor
    ) -> tuple[Tensor, int]:
        x, weight, bias = (
            part.expand(info.batch_size, *part.shape) if at is None else part.movedim(at, 0)
            for part, at in zip((x, weight, bias), in_dims, strict=True)
        )  # (S, B, in), (S, out, in), (S, out)
        return _StackedAffine.apply(x, weight, bias), 0


class _StackedAffine(torch.autograd.Function):
    """x (S, B, in), weight (S, out, in), bias (S, out) -> (S, B, out), S times an affine layer.

    The backward pass takes its products as autograd takes those of a single layer: BLAS may round a
    product otherwise than its transpose.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return torch.baddbmm(bias[:, None], x, weight.mT)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            torch.bmm(gradient, weight) if of_x else None,
            torch.bmm(gradient.mT, x) if of_weight else None,
            gradient.sum(1) if of_bias else None,
        )
