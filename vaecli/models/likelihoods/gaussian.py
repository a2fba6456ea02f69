"""Gaussian pixels with a fixed standard deviation."""

# N examples, C channels, H height, W width

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vaecli.core.errors import require
from vaecli.data.sets.base import Kind
from vaecli.models.likelihoods.base import Likelihood

LOG_2PI = math.log(2 * math.pi)
# Uniform noise drawn as float32 may be exactly 0, where the inverse CDF is infinite.
NOISE_EDGE = 1e-7


@dataclass(eq=False)
class Gaussian(Likelihood):
    """p(x|z) = N(x; out, sigma^2 I), with its constant -D/2 log(2 pi sigma^2).

    sigma, in units of the data, sets the price of a squared error. Only beta * sigma^2 matters to
    the trade between distortion and rate: halving sigma keeps the dimensions alive that dividing
    beta by four would (Lucas et al. 2019).

    Not offered for binary data, which has no density; `data.binarise=none` or `bernoulli` instead.
    """

    sigma: float = 1.0

    start_is_best: ClassVar[bool] = True
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.GREY, Kind.COLOUR, Kind.REAL})

    def validate(self) -> None:
        """Raise UsageError unless sigma is positive and finite."""
        require(
            math.isfinite(self.sigma) and self.sigma > 0,
            "likelihood.sigma",
            self.sigma,
            "must be positive and finite",
            "try likelihood.sigma=1.0, or likelihood=gaussian_learned to learn it",
        )

    @property
    def sigma2(self) -> float:
        """sigma^2."""
        return self.sigma**2

    def start(self, mean: Tensor, variance: Tensor) -> Tensor:
        """Each pixel's mean, (C, H, W)."""
        return mean.float()

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        """The log density in nats, summed over pixels: means and x (N, C, H, W) -> (N,)."""
        error = (x - out.float()).flatten(1)  # (N, D)
        log_sigma = math.log(self.sigma)
        constant = 0.5 * error.shape[1] * (LOG_2PI + 2 * log_sigma)
        return -0.5 * math.exp(-2 * log_sigma) * (error * error).sum(1) - constant

    def mean(self, out: Tensor) -> Tensor:
        """E[x|z], the output itself."""
        return out.float()

    def sample(self, out: Tensor, noise: Tensor) -> Tensor:
        """The mean plus sigma times the normal quantile of noise; not clipped to [0, 1]."""
        return out.float() + self.sigma * standard_normal(noise)

    def whitened_score(self, x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        """Compute (x - m) / sigma.

        Args:
            x: examples (N, C, H, W).
            mean: (C, H, W) of each pixel over the training set.
            variance: likewise.

        Returns:
            (N, D).
        """
        return (x - mean).flatten(1) / self.sigma


def standard_normal(noise: Tensor) -> Tensor:
    """Uniform noise turned into standard normal noise by the inverse CDF."""
    return torch.special.ndtri(noise.clamp(NOISE_EDGE, 1 - NOISE_EDGE))
