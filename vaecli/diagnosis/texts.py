"""Texts of the model: reconstructions, draws from the prior, lines between two sentences."""

# n texts, N sequences, Z latent

from __future__ import annotations

import torch
from torch import Tensor

from vaecli.core.randomness import generator
from vaecli.data.sets.base import Data
from vaecli.evaluation.passes import Encoded
from vaecli.models.parts.sequences import SequenceVAE

SHOWN = 8  # reconstructions, samples
STEPS = 7  # of an interpolation, its ends among them
NEIGHBOURS = 3
SEEN = 2000  # sequences to look for neighbours in


def texts(vae: SequenceVAE, data: Data, encoded: Encoded, *, seed: int) -> dict:
    """The group `texts` of the diagnosis, in words.

    reconstructions: pairs of a sequence and the most probable tokens at its posterior mean, one
    after the other. samples: drawn token by token at codes from the prior. interpolation: the same
    way of writing as for the first, at codes on the line between two posterior means. neighbours:
    sequences, each with those whose posterior means are closest (Euclidean).

    Args:
        vae: the model.
        data: its data.
        encoded: the posteriors.
        seed: the run's.

    Returns:
        The group.
    """
    n = min(SHOWN, len(encoded.mu))
    originals = said(data, encoded.split, torch.arange(min(SEEN, len(encoded.mu))))
    again = _written(vae, data, encoded.mu[:n], None)
    group = {
        "reconstructions": list(zip(originals[:n], again, strict=True)),
        "samples": _samples(vae, data, seed),
    }
    if len(encoded.mu) > 1:
        weight = torch.linspace(0, 1, STEPS)[:, None]
        line = (1 - weight) * encoded.mu[0] + weight * encoded.mu[1]
        group["interpolation"] = _written(vae, data, line, None)
        group["neighbours"] = _neighbours(encoded.mu[: len(originals)], originals)
    return group


def said(data: Data, split: str, index: Tensor) -> list[str]:
    """The sequences at `index` of a split, in words.

    Args:
        data: the data set.
        split: train, val or test.
        index: (n,).

    Returns:
        n texts.
    """
    return [_text(data, row) for row in getattr(data, split).x[index]]


def _text(data: Data, tokens: Tensor) -> str:
    assert data.vocabulary is not None  # as of every set of sequences
    return data.vocabulary.text(tokens.flatten().tolist())


def _samples(vae: SequenceVAE, data: Data, seed: int) -> list[str]:
    eps = torch.randn(SHOWN, vae.latent_dim, generator=generator(seed, "evaluation", index=2))
    z = vae.prior.draws(eps)
    shape = (SHOWN, 1, 1, data.shape[2])
    return _written(
        vae, data, z, torch.rand(shape, generator=generator(seed, "evaluation", index=3))
    )


def _written(vae: SequenceVAE, data: Data, z: Tensor, noise: Tensor | None) -> list[str]:
    device = vae.output_bias.device
    tokens = vae.draw(z.to(device), None if noise is None else noise.to(device))
    return [_text(data, row) for row in tokens.cpu()]


def _neighbours(mu: Tensor, originals: list[str]) -> list[dict]:
    """The neighbours of the first sequences by posterior mean, the closest first."""
    neighbours = []
    for row in range(min(4, len(mu))):
        apart = (mu - mu[row]).square().sum(1)
        apart[row] = torch.inf
        nearest = apart.argsort()[: min(NEIGHBOURS, len(mu) - 1)].tolist()
        neighbours.append({"text": originals[row], "nearest": [originals[i] for i in nearest]})
    return neighbours
