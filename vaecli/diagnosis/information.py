"""What z knows of x: mutual information under the encoder."""

# N examples, M codes drawn, Z latent; nats

from __future__ import annotations

import math

import torch
from torch import Tensor

from vaecli.diagnosis.estimate import Estimate, mean_of
from vaecli.diagnosis.rate import Encoded, sample_codes
from vaecli.models.posterior import HALF_LOG_2PI

CHUNK = 2**24  # elements of the largest intermediate tensor


def mutual_information(encoded: Encoded, *, seed: int = 0, most: int = 2000) -> Estimate:
    """I_q(x; z) = E log q(z|x) - E log q(z), q(z) the mixture over the examples themselves.

    The estimator of He et al. 2019 (their eq. 5) with the aggregate over up to `most` examples
    instead of a minibatch. Each z's own component is in the mixture, so the value cannot exceed
    log N: a figure near that ceiling is a lower bound only.
    """
    part = Encoded(*(None if f is None else f[:most] for f in encoded[:4]), split=encoded.split)
    z = sample_codes(part, seed)  # (N, Z)
    own = log_density(z, part.mu, part.logvar)  # (N,)
    values = own - log_aggregate(z, part.mu, part.logvar)
    n = len(z)
    return mean_of(values, f"aggregate posterior over {n} examples, own included", part.split)


def log_density(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """Log N(z; mu, exp(logvar)), summed over dimensions: three (N, Z) -> (N,) float64."""
    z, mu, logvar = z.double(), mu.double(), logvar.double()
    return -(0.5 * (z - mu).square() / logvar.exp() + 0.5 * logvar + HALF_LOG_2PI).sum(-1)


def log_aggregate(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """Log q(z) = log 1/N sum_n N(z; mu_n, exp(logvar_n)): (M, Z), (N, Z), (N, Z) -> (M,) float64.

    The quadratic form is expanded into matrix products, so memory is M x N, never M x N x Z.
    """
    mu, precision = mu.double(), (-logvar.double()).exp()  # (N, Z)
    constant = -0.5 * ((mu.square() * precision).sum(-1) + logvar.double().sum(-1))  # (N,)
    constant -= mu.shape[1] * HALF_LOG_2PI + math.log(len(mu))
    parts = []
    for chunk in z.double().split(max(1, CHUNK // len(mu))):
        exponent = chunk @ (mu * precision).T - 0.5 * chunk.square() @ precision.T  # (m, N)
        parts.append((exponent + constant).logsumexp(1))
    return torch.cat(parts)
