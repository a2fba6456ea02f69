"""The ELBO without the dead dimensions."""

# N examples, Z latent; nats per example

from __future__ import annotations

import torch

from vaecli.data.sets.base import Data
from vaecli.evaluation.estimate import mean_of
from vaecli.evaluation.measures import VARIANCE_THRESHOLD, mean_variance
from vaecli.evaluation.passes import Encoded, Model, distortion, sample_codes


def prune(encoded: Encoded) -> Encoded:
    """`encoded` with the posterior of every dead unit replaced by the prior, N(0, 1)."""
    dead = mean_variance(encoded) <= VARIANCE_THRESHOLD  # (Z,)
    mu, logvar, kl = (part.masked_fill(dead, 0.0) for part in encoded[:3])
    return encoded._replace(mu=mu, logvar=logvar, kl_per_dim=kl)


def pruning(
    vae: Model, data: Data, encoded: Encoded, neg_elbo_per_example: torch.Tensor, *, seed: int
) -> dict:
    """The group `pruning`: the ELBO when dead units are drawn from the prior and cost no KL.

    A change near zero says that they are dead indeed, and that the model is a smaller VAE of the
    same quality (Burda et al. 2016 remove them).

    Args:
        vae: the model.
        data: its data.
        encoded: the posteriors.
        neg_elbo_per_example: distortion + KL with all dimensions, from the same noise, (N,).
        seed: the run's.

    Returns:
        The group.
    """
    pruned = prune(encoded)
    z = sample_codes(pruned, seed)
    elbo = -distortion(vae, data, encoded.split, z) - pruned.kl_per_dim.sum(1)
    name = f"dimensions with Var_x[mu_j] <= {VARIANCE_THRESHOLD} drawn from the prior"
    return {
        "dead_units": int((mean_variance(encoded) <= VARIANCE_THRESHOLD).sum()),
        "elbo": mean_of(elbo, name, encoded.split),
        "change": mean_of(elbo + neg_elbo_per_example, f"{name}; same noise", encoded.split),
    }
