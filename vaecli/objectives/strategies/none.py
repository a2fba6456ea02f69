"""No mitigation."""

from __future__ import annotations

from dataclasses import dataclass

from vaecli.objectives.strategies.base import Strategy


@dataclass(frozen=True)
class Plain(Strategy):
    """The plain VAE (Kingma & Welling 2014): -E log p(x|z) + beta KL(q(z|x) || p(z))."""
