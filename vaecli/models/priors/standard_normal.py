"""The default prior; a strategy may put another in its place."""

# B batch, K samples, Z latent

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from vaecli.models.posteriors.gaussian import HALF_LOG_2PI
from vaecli.models.priors.base import Prior


class StandardNormal(Prior):
    """p(z) = N(0, I)."""

    factorised: ClassVar[bool] = True

    def draws(self, eps: Tensor) -> Tensor:
        """Turn standard normal eps (..., Z) into draws from the prior."""
        return eps

    def log_prob(self, z: Tensor) -> Tensor:
        """Log p(z): (K, B, Z) -> (K, B), nats."""
        return -(0.5 * z.square() + HALF_LOG_2PI).sum(-1)

    def kl_per_dim(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """KL(N(mu, exp(logvar)) || N(0, 1)) per latent: (B, Z) -> (B, Z), nats, >= 0.

        Source: Kingma & Welling 2014, appendix B. expm1 keeps the digits of a nearly collapsed
        dimension, where exp(logvar) - 1 - logvar cancels.
        """
        return 0.5 * (mu.square() + torch.expm1(logvar) - logvar)
