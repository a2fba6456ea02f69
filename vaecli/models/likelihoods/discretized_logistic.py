"""Pixels of 256 levels under a discretised logistic distribution."""

# N examples, C channels, H height, W width

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from vaecli.data.sets.base import Kind
from vaecli.models.likelihoods.base import Likelihood

LEVELS = 256
STEP = 1 / (LEVELS - 1)  # between two levels of x in [0, 1]
# PixelCNN++'s floor, -7 on [-1, 1], in our units. The ceiling keeps the mass of the inner levels
# representable; a scale of e^7 already puts all but 0.0003 of it on the two outermost.
MIN_LOG_SCALE, MAX_LOG_SCALE = -7 - math.log(2), 7.0
# Logistic noise at exactly 0 or 1 would be infinite.
NOISE_EDGE = 1e-7


@dataclass(eq=False)
class DiscretizedLogistic(Likelihood):
    """P(x|z) for x in {0, 1/255, ..., 1}: the logistic mass of the bin of width 1/255 around x.

    The outermost bins take the tails, so the 256 masses sum to one: nats are exact for 8-bit data
    and comparable with any other mass function (Kingma et al. 2016; Salimans et al. 2017,
    PixelCNN++, with a single component and independent channels). Output: means, then log scales.
    """

    outputs: ClassVar[int] = 2
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.GREY, Kind.COLOUR})

    def start(self, mean: Tensor, variance: Tensor) -> Tensor:
        """The logistic with each pixel's mean and variance, (2C, H, W).

        Moments, not maximum likelihood: the two agree for pixels that are logistic, and otherwise
        this is within reach of the best. The scale is at least a quarter of a level.
        """
        scale = (3 * variance.float()).sqrt() / math.pi  # variance = pi^2 scale^2 / 3
        return torch.cat([mean.float(), scale.clamp(min=STEP / 4).log()])

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        """The log mass in nats, summed over pixels: (N, 2C, H, W), (N, C, H, W) -> (N,)."""
        mean, log_scale = _parameters(out)
        inverse = torch.exp(-log_scale)
        above = (x - mean + STEP / 2) * inverse  # upper edge of the bin, in scales
        below = (x - mean - STEP / 2) * inverse
        # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - e^(b-a)): no cancellation, and its
        # factors are the pieces that the outermost bins, whose far edge is infinite, leave out.
        bottom, top = x < STEP / 2, x > 1 - STEP / 2
        log_below_upper_edge = logsigmoid(above).masked_fill(top, 0.0)
        log_above_lower_edge = logsigmoid(-below).masked_fill(bottom, 0.0)
        log_overlap = torch.log(-torch.expm1(-STEP * inverse)).masked_fill(bottom | top, 0.0)
        log_mass = log_below_upper_edge + log_above_lower_edge + log_overlap
        return log_mass.flatten(1).sum(1)

    def mean(self, out: Tensor) -> Tensor:
        """The mean of the logistic clipped to [0, 1], which is E[x|z] but for the rounding."""
        mean, log_scale = _parameters(out)
        scale = log_scale.exp()
        # E[clip(X)] = 1 - integral of the CDF over [0, 1]
        area = scale * (softplus((1 - mean) / scale) - softplus(-mean / scale))
        return (1 - area).clamp(0, 1)

    def sample(self, out: Tensor, noise: Tensor) -> Tensor:
        """The logistic quantile of noise, rounded to the nearest of the 256 levels."""
        mean, log_scale = _parameters(out)
        x = mean + log_scale.exp() * torch.logit(noise, eps=NOISE_EDGE)
        return (x / STEP).round().clamp(0, LEVELS - 1) * STEP


def _parameters(out: Tensor) -> tuple[Tensor, Tensor]:
    """Means and bounded log scales, (N, C, H, W) each."""
    mean, log_scale = out.float().chunk(2, dim=1)
    return mean, log_scale.clamp(MIN_LOG_SCALE, MAX_LOG_SCALE)
