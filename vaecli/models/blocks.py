"""What several families share: range checks, and the frame of convolutional encoders, decoders."""

# B batch, N decoded codes, C channels, H height, W width, Z latent

from __future__ import annotations

from vaecli.errors import require
from vaecli.models.base import Capacity


def require_at_least(least: int, key: str, value: int, suggestion: str) -> None:
    """Raise UsageError naming `key` unless value >= least."""
    require(value >= least, key, value, f"must be at least {least}", f"try {key}={suggestion}")


def require_size(capacity: Capacity, *, least_depth: int) -> None:
    """Raise UsageError unless the decoder has at least one unit and `least_depth` layers."""
    require_at_least(1, "decoder.width", capacity.width, "32")
    require_at_least(least_depth, "decoder.depth", capacity.depth, "1")
