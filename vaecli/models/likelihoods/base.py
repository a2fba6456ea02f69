"""Likelihoods p(x|z): the decoder's output as parameters of a density of the data."""

# N examples, C channels, H height, W width; out (N, outputs*C, H, W) is laid out as `outputs`
# blocks of C channels: out.chunk(outputs, dim=1) gives one (N, C, H, W) tensor per parameter.

from __future__ import annotations

import copy
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Tensor, nn

from vaecli.data.sets.base import Kind


@dataclass(eq=False)  # modules are compared and hashed by identity
class Likelihood(nn.Module):
    """p(x|z), pixels independent given the decoder's output; fields are the yaml's keys."""

    outputs: ClassVar[int] = 1  # decoder channels per data channel
    # True if `start` is the constant of maximum likelihood: no decoder without a code beats it.
    start_is_best: ClassVar[bool] = False
    learns_sigma: ClassVar[bool] = False  # p(x|z) = N(out, sigma^2 I), and sigma is a parameter
    kinds: ClassVar[frozenset[Kind]]  # kinds of data it is a density or mass function for

    def __post_init__(self) -> None:
        super().__init__()

    def validate(self) -> None:
        """Raise UsageError for keys outside their range."""

    @property
    def sigma2(self) -> float | None:
        """The variance of Gaussian pixels, p(x|z) = N(out, sigma2 I); None for any other p(x|z)."""
        return None

    def untrained(self) -> Self:
        """A copy whose `start` fits all constants to the data, as before training."""
        return copy.deepcopy(self)

    @abstractmethod
    def start(self, mean: Tensor, variance: Tensor) -> Tensor:
        """The output bias of a good, if possible the best, code-free decoder, (outputs*C, H, W).

        mean, variance: (C, H, W) of each pixel over the training set.
        """

    @abstractmethod
    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        """Log p(x|z) in nats, summed over pixels: (N, outputs*C, H, W), (N, C, H, W) -> (N,)."""

    @abstractmethod
    def mean(self, out: Tensor) -> Tensor:
        """E[x|z], (N, C, H, W), for pictures."""

    @abstractmethod
    def sample(self, out: Tensor, noise: Tensor) -> Tensor:
        """A draw of x given z; noise is uniform on (0, 1), (N, C, H, W)."""

    def whitened_score(self, x: Tensor, mean: Tensor, variance: Tensor) -> Tensor | None:
        """F^-1/2 times the gradient of log p(x|out) by out, at the decoder that ignores z.

        The covariance of these scores decides at which beta collapse is stable (theory.thresholds).

        Args:
            x: examples (N, C, H, W).
            mean: (C, H, W) of each pixel over the training set.
            variance: likewise.

        Returns:
            (N, D), zero for a pixel without variance; None where nobody has worked it out. The
            gradient is taken at out = start(mean, variance), which must be the best constant
            output. F is minus the second derivative, averaged over the data: the Fisher
            information if it does not depend on x, as for all likelihoods here.
        """
        return None
