"""torch.compile for the forward and backward pass of a step, where it pays."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable

import torch
from torch import Tensor

from vaecli.core.errors import require
from vaecli.objectives.objective import Outcome
from vaecli.training.settings import Compile

# Times by which `auto` decides; estimates, not measured on a GPU.
COMPILE_SECONDS = 30  # with an empty cache
STEP_SECONDS = 2e-3  # of the host, for an update of a small model that is not compiled
# Compilations in one run: one for each width of a batch of sequences. PyTorch's own limit is 8.
MOST_GRAPHS = 256


def chosen(setting: Compile, device: torch.device, steps: int) -> bool:
    """Decide if a run is compiled.

    Args:
        setting: auto compiles on a GPU, if the run takes ten times as long as compiling. Not on a
            CPU, where an MLP gains little and a convolutional net loses (docs/speed.md).
        device: of the run.
        steps: updates of the run.

    Returns:
        True if it is compiled.

    Raises:
        UsageError: the setting is `on`, and there is no compiler for this device.
    """
    able = device.type in ("cpu", "cuda") and compiler() is not None
    if setting is Compile.auto:
        long = steps * STEP_SECONDS >= 10 * COMPILE_SECONDS
        return able and device.type == "cuda" and long
    require(
        able or setting is Compile.off,
        "trainer.compile",
        "on",
        "needs a C++ compiler, and a CPU or a CUDA device",
        "install g++, or trainer.compile=off",
    )
    return setting is Compile.on


def compiler() -> str | None:
    """The C++ compiler that torch.compile would call; None if it is not there."""
    return shutil.which(os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++"))


def compiled(
    forward: Callable[..., Outcome],
    device: torch.device,
    *,
    whole: bool = True,
    otherwise: Callable[[str], None] | None = None,
) -> Callable[..., Outcome]:
    """Compile `forward` at its first call, with its shapes fixed; on a GPU as a CUDA graph.

    Only tensors change from call to call. So there is one compilation for every way in which the
    two halves of the model move, for every width of a batch of sequences, and again for a stack
    that a run has left. The compilations of earlier runs are dropped: torch.compile counts all of
    them against one limit.

    Args:
        forward: the forward pass.
        device: of the run.
        whole: compile it as one graph; if False, parts that torch.compile cannot take, such as an
            LSTM, run as they are.
        otherwise: called with the reason if compiling fails; `forward` then runs as it is. None
            raises the error.

    Returns:
        A function like `forward`.
    """
    import torch._dynamo.config

    torch.compiler.reset()
    torch._dynamo.config.recompile_limit = MOST_GRAPHS
    if device.type == "cuda":
        step = _graphed(forward, whole)
    else:
        step = torch.compile(forward, fullgraph=whole, dynamic=False)
    return step if otherwise is None else _or_eager(step, forward, otherwise)


def _graphed(forward: Callable[..., Outcome], whole: bool) -> Callable[..., Outcome]:
    graphed = torch.compile(forward, fullgraph=whole, dynamic=False, mode="reduce-overhead")

    def step(*inputs) -> Outcome:
        # A graph writes each result where it wrote the last one; results to keep have to be copied.
        torch.compiler.cudagraph_mark_step_begin()
        loss, statistics, state = graphed(*inputs)
        return Outcome(loss, statistics.clone(), _copied(state))

    return step


def _or_eager(
    step: Callable[..., Outcome], eager: Callable[..., Outcome], otherwise: Callable[[str], None]
) -> Callable[..., Outcome]:
    # A second, which only compiling needs.
    from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException

    chosen = step

    def try_step(*inputs) -> Outcome:
        nonlocal chosen
        try:
            return chosen(*inputs)
        except (TorchDynamoException, FailOnRecompileLimitHit) as error:  # nothing has moved yet
            if chosen is eager:
                raise
            chosen = eager
            reason = " ".join(str(error).split())[:200]
            otherwise(f"trainer.compile=auto: not compiled, {reason}")
            return eager(*inputs)

    return try_step


def _copied(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in state.items()}
