"""One stream of random numbers per purpose, all derived from the run's seed."""

from __future__ import annotations

import hashlib

import torch

# Evaluation has a separate stream and starts it afresh each time: it neither takes numbers from the
# streams of training nor depends on their position.
PURPOSES = ("initialisation", "order", "random_batches", "noise", "binarisation", "evaluation")


def derive(seed: int, purpose: str, index: int = 0) -> int:
    """Derive the seed of one stream.

    Args:
        seed: the run's.
        purpose: one of PURPOSES.
        index: separates e.g. epochs.

    Returns:
        63 bits of a SHA-256 sum.
    """
    if purpose not in PURPOSES:
        raise ValueError(f"purpose={purpose!r} is not one of {PURPOSES}")
    digest = hashlib.sha256(f"{seed}/{purpose}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(
    seed: int, purpose: str, *, index: int = 0, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A new generator at the start of one stream.

    Args:
        seed: the run's.
        purpose: one of PURPOSES.
        index: separates e.g. epochs.
        device: where the numbers are drawn; the streams of CPU and GPU differ.

    Returns:
        The generator.
    """
    return torch.Generator(device=device).manual_seed(derive(seed, purpose, index))
