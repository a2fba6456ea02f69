"""Figures that only sequences have: perplexity, and where in a sequence the code is used."""

# N sequences, L their longest, Z latent; nats

from __future__ import annotations

import math

import torch
from torch import Tensor

from vaecli.data.files.vocabulary import SPECIAL
from vaecli.data.sets.base import Data, Split
from vaecli.data.sets.sequence_set import cut, unknown
from vaecli.data.sets.sources import LSTMSource, MarkovSource
from vaecli.diagnosis.latent_use import derangement
from vaecli.evaluation.estimate import Estimate, mean_of
from vaecli.evaluation.passes import Encoded, at_once, batches, examples, sample_codes
from vaecli.models.parts.sequences import SequenceVAE

LEAST_AT_POSITION = 20  # sequences; the mean over fewer is noise
OF_SOURCE = 200  # sequences whose likelihood under their source is computed


def sequences(
    vae: SequenceVAE, data: Data, encoded: Encoded, nats: dict[str, Tensor], *, seed: int
) -> dict:
    """The group `sequences`: perplexities per token, and the use of z by position.

    The end of a sequence is one of its tokens, padding is none. Perplexity is exp(nats / tokens).

    Args:
        vae: the model.
        data: its data.
        encoded: the posteriors.
        nats: for the key of each perplexity, the nats of the first n sequences of the split, (n,).
        seed: the run's.

    Returns:
        The group.
    """
    part: Split = getattr(data, encoded.split)
    assert part.length is not None  # as of every split of sequences
    x, length = (rows[: len(encoded.mu)].cpu() for rows in (part.x, part.length))
    group: dict = {
        "tokens_per_sequence": length.double().mean().item(),
        "cut": cut(x),
        "unknown": unknown(x),
    }
    if data.source is not None:
        of_source = _under_source(data.source, x[:OF_SOURCE])
        nats = {**nats, "perplexity_source": of_source}
        above = nats["perplexity"][: len(of_source)] - of_source
        name = "distortion + rate, less -log p(x) under the source, of the same sequences"
        group["above_source"] = mean_of(above, name, encoded.split)
    for key, values in nats.items():
        group[key] = perplexity(values, length[: len(values)], encoded.split)
    if len(length) > 1:
        group |= use_by_position(vae, data, encoded, seed=seed)
    return group


def _under_source(source: LSTMSource | MarkovSource, x: Tensor) -> Tensor:
    """-log p(x) of sequences (n, 1, 1, T) under their source, (n,)."""
    words = x[:, 0, 0, :-1].long() - len(SPECIAL)  # without the end, which is certain
    return -source.log_prob(words)


def perplexity(nats: Tensor, length: Tensor, split: str) -> Estimate:
    """Perplexity of n sequences, exp(sum nats / sum tokens).

    Its standard error comes from the delta method: long sequences cost more, and that is no error.

    Args:
        nats: (n,).
        length: tokens of each, (n,).
        split: name of the split.

    Returns:
        The estimate, inf if a float cannot hold it.
    """
    nats, tokens = nats.double(), length.double()
    n = len(tokens)
    per_token = nats.sum() / tokens.sum()
    value, error = per_token.exp(), None
    if n > 1 and value.isfinite():
        residual = nats - per_token * tokens
        error = (value * residual.std() / math.sqrt(n) / tokens.mean()).item()
    return Estimate(value.item(), error, "exp(nats per token)", split, n)


def use_by_position(vae: SequenceVAE, data: Data, encoded: Encoded, *, seed: int) -> dict:
    """The rise of each position's distortion when the sequence gets another one's code.

    Args:
        vae: the model.
        data: its data.
        encoded: the posteriors.
        seed: the run's.

    Returns:
        rise_by_position (L,), a mean over the sequences that have the position, and
        sequences_at_position (L,), their number. Positions of fewer than 20 sequences are dropped.
    """
    z = sample_codes(encoded, seed)
    other = z[derangement(len(z), seed)]
    rise = torch.zeros(data.shape[2], dtype=torch.float64)
    count = torch.zeros(data.shape[2], dtype=torch.float64)
    with torch.no_grad():
        for index in batches(len(z), at_once(data)):
            x = examples(data, encoded.split, index)
            right, wrong = (
                vae.log_px_by_position(x, codes[index].to(x.device)).double().cpu()
                for codes in (z, other)
            )  # (B, L) each
            L = right.shape[1]
            rise[:L] += (right - wrong).sum(0)
            count[:L] += (x[:, 0, 0] > 0).sum(0).cpu()
    positions = int((count >= min(LEAST_AT_POSITION, len(z))).sum())
    return {
        "rise_by_position": (rise[:positions] / count[:positions]).tolist(),
        "sequences_at_position": count[:positions].int().tolist(),
    }
