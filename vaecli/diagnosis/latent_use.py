"""The use of z by the decoder: the rise of the distortion when z is changed."""

# N examples, Z latent; nats per example

from __future__ import annotations

import torch
from torch import Tensor

from vaecli.core.randomness import generator
from vaecli.data.sets.base import Data
from vaecli.evaluation.estimate import Estimate, mean_of
from vaecli.evaluation.passes import Encoded, Model, distortion, first_rows, sample_codes


def shuffled(
    vae: Model, data: Data, encoded: Encoded, per_example: Tensor, *, seed: int
) -> Estimate:
    """The rise of the distortion when every example gets another one's code.

    For a decoder that is the true conditional p(x|z) the rise is I(x; z) + L(x; z), with L >= 0 the
    lautum information (Palomar & Verdu 2008): it is never smaller than the information that the
    decoder uses.

    Args:
        vae: the model.
        data: its data.
        encoded: the posteriors.
        per_example: the distortion with the right codes, (N,).
        seed: the run's.

    Returns:
        The mean rise.
    """
    z = sample_codes(encoded, seed)
    rise = distortion(vae, data, encoded.split, z[derangement(len(z), seed)]) - per_example
    return mean_of(rise, "one z per example, codes permuted without fixed points", encoded.split)


def replaced(vae: Model, data: Data, encoded: Encoded, per_example: Tensor, *, seed: int) -> dict:
    """The rise of the distortion when z is drawn from the prior, and when it is zero.

    A draw from the prior says more about the aggregate posterior than shuffling does: the decoder
    has never seen such codes. Zero is the code of a collapsed encoder's mean; a decoder may do well
    there by accident.

    Args:
        vae: the model.
        data: its data.
        encoded: the posteriors.
        per_example: the distortion with the right codes, (N,).
        seed: the run's.

    Returns:
        The mean rises, by the keys prior and zeroed.
    """
    eps = torch.randn(encoded.mu.shape, generator=generator(seed, "evaluation", index=4))
    drawn = vae.prior.draws(eps)
    zero = torch.zeros_like(encoded.mu)
    return {
        name: mean_of(distortion(vae, data, encoded.split, z) - per_example, how, encoded.split)
        for name, z, how in (
            ("prior", drawn, "z ~ p(z) in place of q(z|x)"),
            ("zeroed", zero, "z = 0 for every example"),
        )
    }


def ablation(
    vae: Model, data: Data, encoded: Encoded, per_example: Tensor, *, most: int, seed: int
) -> dict:
    """The rise of the distortion when one dimension alone comes from another example's code.

    A permutation keeps the distribution of the dimension. So a dimension whose mean is constant
    counts nothing, however far from zero it lies.

    Args:
        vae: the model.
        data: its data.
        encoded: the posteriors.
        per_example: the distortion with the right codes, (N,).
        most: use the first N examples.
        seed: the run's.

    Returns:
        rise_per_dim (Z,), and ranking: the dimensions, most used first.
    """
    part = first_rows(encoded, most)
    z = sample_codes(encoded, seed)[:most]  # (N, Z)
    other = z[derangement(len(z), seed)]
    rises = []
    for j in range(z.shape[1]):
        changed = z.clone()
        changed[:, j] = other[:, j]
        rise = distortion(vae, data, part.split, changed) - per_example[:most]
        rises.append(rise.double().mean().item())
    return {
        "ablation": {
            "estimator": "one dimension of z permuted across examples",
            "split": part.split,
            "n": len(z),
        },
        "rise_per_dim": rises,
        "ranking": sorted(range(len(rises)), key=lambda j: -rises[j]),
    }


def derangement(n: int, seed: int) -> Tensor:
    """A random permutation of 0..n-1 without fixed points (one random cycle), (n,)."""
    cycle = torch.randperm(n, generator=generator(seed, "evaluation", index=1))
    other = torch.empty_like(cycle)
    other[cycle] = cycle.roll(1)
    return other
