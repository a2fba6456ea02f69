"""Posteriors written down, and not computed by any encoder."""

import math

import torch

from vaecli.evaluation.passes import Encoded
from vaecli.models.priors.standard_normal import StandardNormal


def encoded(mu, logvar):
    return Encoded(mu, logvar, StandardNormal().kl_per_dim(mu, logvar), None, "test")


def gaussian(n, k, signal, seed):
    """Means of variance `signal`, posteriors of variance 1 - signal: q(z) = N(0, I) exactly."""
    g = torch.Generator().manual_seed(seed)
    mu = math.sqrt(signal) * torch.randn(n, k, generator=g)
    return encoded(mu, torch.full((n, k), math.log(1 - signal)))
