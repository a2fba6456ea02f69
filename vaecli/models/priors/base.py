"""Priors p(z)."""

# B batch, K samples, Z latent; nats

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn


class Prior(nn.Module, ABC):
    """p(z), and the KL of a diagonal Gaussian posterior from it."""

    factorised: ClassVar[bool]  # p(z) is the product of its marginals

    @abstractmethod
    def draws(self, eps: Tensor) -> Tensor:
        """Turn standard normal eps (..., Z) into draws from the prior."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """Log p(z): (K, B, Z) -> (K, B), nats."""

    @abstractmethod
    def kl_per_dim(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """Parts of KL(N(mu, exp(logvar)) || p(z)), one a latent: (B, Z) -> (B, Z), nats, >= 0."""
