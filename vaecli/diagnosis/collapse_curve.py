"""Collapse by inputs, (epsilon, delta)-collapse: the share for which a posterior is the prior."""

# N examples, Z latent, E thresholds; nats

from __future__ import annotations

import math

import torch

from vaecli.evaluation.passes import Encoded

DELTA = 0.01
EPSILONS = torch.logspace(-5, 1, 61, dtype=torch.float64)  # nats


def collapse_curve(encoded: Encoded, *, threshold: float) -> dict:
    """The group `collapse_curve` (Lucas et al. 2019, "Don't Blame the ELBO!").

    Dimension j is (epsilon, delta)-collapsed if P_x[KL(q(z_j|x) || p(z_j)) < epsilon] >= 1 - delta.
    Unlike the mean KL this cannot be fooled by a dimension that is used for few inputs only.
    epsilon_per_dim: the infimum of the epsilons at which the dimension is collapsed.
    """
    kl = encoded.kl_per_dim.double().sort(0).values  # (N, Z)
    enough = math.ceil((1 - DELTA) * len(kl))  # so many inputs must lie below epsilon
    infimum = kl[enough - 1]  # (Z,)

    def fraction(epsilon: float) -> float:
        return (infimum < epsilon).double().mean().item()

    return {
        "delta": DELTA,
        "epsilon": EPSILONS.tolist(),
        "collapsed_fraction": [fraction(epsilon) for epsilon in EPSILONS.tolist()],
        "collapsed_at_threshold": fraction(threshold),
        "epsilon_per_dim": infimum.tolist(),
    }
