"""An autoregressive prior over a sequence of codes, and the rate that it commits to."""

# B batch, K samples, Z latent, n steps of the latent sequence

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from vaecli.models.posteriors.gaussian import HALF_LOG_2PI
from vaecli.models.priors.base import Prior
from vaecli.models.priors.standard_normal import StandardNormal


class LatentSequence(Prior):
    """p(z) of a sequence of n codes: z_1 ~ N(0, I), z_t = a z_t-1 + sqrt(1 - a^2) N(0, I).

    Every code by itself is N(0, I), and codes next to each other are alike (Razavi et al. 2019,
    section 2.2). The Z latents are the n codes one behind the other.
    """

    factorised: ClassVar[bool] = False

    a: Tensor
    var: Tensor

    def __init__(self, steps: int, a: float):
        super().__init__()
        self.steps = steps
        # Buffers: stacked runs may differ in them. Not saved: they follow from the config. 1 - a^2
        # is computed before a is rounded to float32, which would cancel its digits for a near 1.
        self.register_buffer("a", torch.tensor(a), persistent=False)
        self.register_buffer("var", torch.tensor(1 - a * a), persistent=False)

    def draws(self, eps: Tensor) -> Tensor:
        """Turn standard normal eps (..., Z) into draws from the prior."""
        a, spread = self.a.to(eps), self.var.sqrt().to(eps)
        codes = list(eps.unflatten(-1, (self.steps, -1)).unbind(-2))
        for t in range(1, self.steps):
            codes[t] = a * codes[t - 1] + spread * codes[t]
        return torch.cat(codes, dim=-1)

    def log_prob(self, z: Tensor) -> Tensor:
        """Log p(z): (K, B, Z) -> (K, B), nats."""
        a, var = self.a.to(z), self.var.to(z)
        first, others, before = self._apart(z)
        eps = torch.cat([first, (others - a * before) / var.sqrt()], dim=-1)
        return -(0.5 * eps.square() + HALF_LOG_2PI).sum(-1) - 0.5 * others.shape[-1] * var.log()

    def kl_per_dim(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """E_q KL(q(z_t|x) || p(z_t|z_t-1)) per latent: (B, Z) -> (B, Z), nats, >= 0.

        Their sum is KL(q(z|x) || p(z)), since q is independent over the sequence.
        """
        a, var = self.a.to(mu), self.var.to(mu)
        first, others, before = self._apart(mu)
        logvar_first, logvar_others, logvar_before = self._apart(logvar)
        missed = (others - a * before).square() + a.square() * logvar_before.exp()
        kl = 0.5 * ((logvar_others.exp() + missed) / var - 1 + var.log() - logvar_others)
        return torch.cat([StandardNormal().kl_per_dim(first, logvar_first), kl], dim=-1)

    def _apart(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The first code, all others, and the ones before these."""
        size = z.shape[-1] // self.steps
        return z[..., :size], z[..., size:], z[..., :-size]


def committed_rate(steps: int, a: float) -> float:
    """The least KL of any q independent over the sequence, nats per code and dimension of it.

    Razavi et al. 2019, eq. 4: its variances are the reciprocals of the diagonal of the prior's
    precision.
    """
    return 0.5 * ((steps - 2) * math.log1p(a * a) - math.log1p(-a * a)) / steps
