"""Gaussian pixels that share one learned standard deviation."""

# N examples, C channels, H height, W width, D = C*H*W pixels

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from vaecli.core.errors import require
from vaecli.data.sets.base import Kind
from vaecli.models.likelihoods.base import Likelihood
from vaecli.models.likelihoods.gaussian import LOG_2PI, standard_normal

# exp(-6) = 0.0025 is half a level of an 8-bit image: a smaller sigma would fit the rounding.
MIN_LOG_SIGMA = -6.0


@dataclass(eq=False)
class GaussianLearned(Likelihood):
    """p(x|z) = N(x; out, sigma^2 I) with one learned sigma (Rybkin et al. 2021, sigma-VAE).

    The optimal sigma^2 is the mean squared error, so beta 1 is the honest evidence bound and
    there is no weight between reconstruction and KL to tune. log sigma is bounded below smoothly,
    as in the authors' code, so that its gradient never vanishes.

    initial_sigma: sigma at the start, in units of the data. None takes the standard deviation of
    the data about its pixel means, the best value for a decoder without a code; the paper's 1.0 is
    far above it for images, and takes steps to come down.
    """

    initial_sigma: float | None = None

    start_is_best: ClassVar[bool] = True
    learns_sigma: ClassVar[bool] = True
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.GREY, Kind.COLOUR, Kind.REAL})

    def __post_init__(self) -> None:
        super().__post_init__()
        sigma = 1.0 if self.initial_sigma is None else self.initial_sigma
        self.raw_log_sigma = nn.Parameter(_unbound(torch.tensor(float(sigma)).log()))

    def validate(self) -> None:
        """Raise UsageError unless initial_sigma lies above the floor."""
        floor = math.exp(MIN_LOG_SIGMA)
        require(
            self.initial_sigma is None
            or (math.isfinite(self.initial_sigma) and self.initial_sigma > floor),
            "likelihood.initial_sigma",
            self.initial_sigma,
            f"must be finite and above {floor:.4f}, the smallest sigma that can be learned",
            "leave it null to take the data's own standard deviation",
        )

    @property
    def log_sigma(self) -> Tensor:
        """The log of the current standard deviation, a scalar above MIN_LOG_SIGMA."""
        return MIN_LOG_SIGMA + softplus(self.raw_log_sigma - MIN_LOG_SIGMA)

    @property
    def sigma2(self) -> float:
        """The current sigma^2."""
        return math.exp(2 * self.log_sigma.item())

    def untrained(self) -> Self:
        """A copy whose `start` takes sigma from the data."""
        copied = super().untrained()
        copied.initial_sigma = None
        return copied

    def start(self, mean: Tensor, variance: Tensor) -> Tensor:
        """Each pixel's mean, (C, H, W); takes sigma from the variance if it has no initial one."""
        if self.initial_sigma is None:
            # Constant data has no variance; start it within reach of the floor, not on it.
            log_sigma = (0.5 * variance.mean().log()).clamp(min=MIN_LOG_SIGMA + 1)
            with torch.no_grad():
                self.raw_log_sigma.copy_(_unbound(log_sigma))
        return mean.float()

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        """The log density in nats, summed over pixels: means and x (N, C, H, W) -> (N,)."""
        error = (x - out.float()).flatten(1)  # (N, D)
        log_sigma = self.log_sigma
        constant = error.shape[1] * (0.5 * LOG_2PI + log_sigma)
        return -0.5 * torch.exp(-2 * log_sigma) * (error * error).sum(1) - constant

    def mean(self, out: Tensor) -> Tensor:
        """E[x|z], the output itself."""
        return out.float()

    def sample(self, out: Tensor, noise: Tensor) -> Tensor:
        """The mean plus sigma times the normal quantile of noise; not clipped to [0, 1]."""
        return out.float() + self.log_sigma.exp() * standard_normal(noise)

    def whitened_score(self, x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        """Compute (x - m) / sigma with the best sigma of a decoder without a code.

        Args:
            x: examples (N, C, H, W).
            mean: (C, H, W) of each pixel over the training set.
            variance: likewise.

        Returns:
            (N, D).
        """
        return (x - mean).flatten(1) / variance.mean().sqrt().clamp(min=math.exp(MIN_LOG_SIGMA))


def _unbound(log_sigma: Tensor) -> Tensor:
    """The raw parameter whose bounded value is `log_sigma` > MIN_LOG_SIGMA."""
    # log(e^y - 1) = y + log(1 - e^-y), the inverse of softplus, without overflow
    return log_sigma + torch.log(-torch.expm1(MIN_LOG_SIGMA - log_sigma))
