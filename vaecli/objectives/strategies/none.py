"""No mitigation."""

from __future__ import annotations

from dataclasses import dataclass

from vaecli.objectives.strategies.base import Strategy


@dataclass(frozen=True)
class Plain(Strategy):
    """The plain VAE: -E log p(x|z) + beta KL(q(z|x) || p(z)).

    Example::

        vae-train model=mlp strategy=none schedule.beta=4

    References:
        Kingma & Welling 2014, "Auto-Encoding Variational Bayes", eq. 3 (beta = 1).
        Higgins et al. 2017, "beta-VAE", eq. 4 (any beta).
    """
