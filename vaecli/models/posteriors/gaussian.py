"""The default posterior family; a strategy may put another in its place."""

# B batch, K samples, Z latent

from __future__ import annotations

import math

from torch import Tensor, nn

# Where exp(logvar) and its reciprocal are still far from float32's limits.
LOGVAR_RANGE = (-30.0, 20.0)
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def gaussian_log_prob(eps: Tensor, logvar: Tensor) -> Tensor:
    """Log N(z; mu, exp(logvar)) at z = mu + exp(logvar/2) eps: (K, B, Z), (B, Z) -> (K, B)."""
    return -(0.5 * eps.square() + 0.5 * logvar + HALF_LOG_2PI).sum(-1)


class Posterior(nn.Module):
    """q(z|x) = N(mu, diag exp(logvar)), with no restriction on either."""

    def forward(self, stats: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's output (B, 2Z) -> mu, logvar (B, Z) each."""
        mu, logvar = stats.chunk(2, dim=-1)
        return mu, logvar.clamp(*LOGVAR_RANGE)
