"""The device of a run, and its arithmetic."""

from __future__ import annotations

import contextlib
import ctypes
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from vaecli.core.errors import UsageError, require
from vaecli.training.settings import Amp

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h


@dataclass(frozen=True)
class Precision:
    """The device and the reduced-precision type of the networks (None: float32)."""

    device: torch.device
    dtype: torch.dtype | None = None

    def autocast(self) -> AbstractContextManager:
        """The context in which networks run; densities leave it by themselves."""
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def scaler(self) -> torch.amp.GradScaler:
        """fp16's gradient scaler; disabled, and so transparent, for everything else."""
        return torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)

    def __str__(self) -> str:
        names = {None: "float32", torch.bfloat16: "bf16 autocast", torch.float16: "fp16 autocast"}
        return names[self.dtype]


def choose_device(name: str) -> torch.device:
    """The device called `name`; `auto` is a GPU if there is one. Never falls back silently."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    unknown = UsageError("device", name, "is no device", "use auto, cpu, cuda, cuda:1 or mps")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise unknown from error
    if device.type not in ("cpu", "cuda", "mps"):
        raise unknown
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count <= (device.index or 0):
            why = f"there are {count} usable CUDA devices here"
            if hidden_gpus():
                why = "CUDA_VISIBLE_DEVICES is set but empty, which hides every GPU"
            raise UsageError("device", name, why, "use device=cpu, or make the GPU visible")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("device", name, "there is no MPS device here", "use device=cpu")
    return device


def prepare_process() -> None:
    """Set up the process; to be called before its first parallel operation.

    Weights of pixels that are always black get no gradient, so Adam's first moment of them decays
    into denormal numbers within a thousand steps, on which processors are many times slower: 15 to
    20 % of every step of an MLP on MNIST. Flushed to zero, the weights came out the same to the
    bit. Threads inherit the setting when they start, hence the order.

    The C library returns large freed blocks to the system, which then clears each page again when
    a step asks for it: two thirds of every step of 32 stacked MLPs. Told to keep them, it does.
    """
    torch.set_flush_denormal(True)
    # float32 is float32 on a GPU too, where cuDNN's convolutions would round to TF32; bf16 is
    # faster still, and is the default there.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Glibc only; other C libraries have no such switch, or need none."""
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        # Blocks below it come from the heap; before glibc 2.35 it was at most 2**25.
        if mallopt(M_MMAP_THRESHOLD, 2**30) or mallopt(M_MMAP_THRESHOLD, 2**25):
            mallopt(M_TRIM_THRESHOLD, 2**31 - 1)  # ... and keeps the end of the heap


def hidden_gpus() -> bool:
    """True if the environment hides every GPU, as a launcher does for a job without one."""
    return os.environ.get("CUDA_VISIBLE_DEVICES") == ""


def has_bf16(device: torch.device) -> bool:
    """True if the device computes in bf16; emulation is many times slower."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return True


def choose_precision(amp: Amp, device: torch.device) -> Precision:
    """The arithmetic for `amp` on `device`."""
    if amp is Amp.auto:
        able = device.type == "cuda" and has_bf16(device)
        return Precision(device, torch.bfloat16 if able else None)
    require(
        not (amp is Amp.fp16 and device.type != "cuda"),
        "trainer.amp",
        "fp16",
        f"needs a CUDA device, and this run is on {device.type}",
        "use trainer.amp=bf16 or trainer.amp=off",
    )
    return Precision(device, {Amp.bf16: torch.bfloat16, Amp.fp16: torch.float16}.get(amp))
