"""Figures that only sequences have: perplexity, and where in a sequence the code is used."""

# N sequences, L their longest, Z latent; nats

from __future__ import annotations

import math

import torch
from torch import Tensor

from vaecli.data.base import Data
from vaecli.diagnosis.estimate import Estimate
from vaecli.diagnosis.latent_use import derangement
from vaecli.diagnosis.rate import Encoded, batches, examples, sample_codes
from vaecli.models.sequences import SequenceVAE

LEAST_AT_POSITION = 20  # sequences; the mean over fewer is noise


def sequences(
    vae: SequenceVAE, data: Data, encoded: Encoded, groups: dict, neg_elbo: Tensor, *, seed: int
) -> dict:
    """The group `sequences`: perplexities per token, and the use of z by position.

    groups: `likelihood` and `baseline`, where there are such. neg_elbo (N,): distortion + KL.
    A sequence's end is one of its tokens, padding is none. Perplexity is exp(nats / tokens).
    """
    length = getattr(data, encoded.split).length[: len(neg_elbo)].cpu()  # (N,)
    found = {
        "tokens_per_sequence": length.double().mean().item(),
        "perplexity": _perplexity(neg_elbo, length, "of distortion + rate", encoded.split),
    }
    bound = groups.get("likelihood", {}).get("importance_weighted")
    if bound is not None:
        found["perplexity_importance_weighted"] = _of_mean(bound, -1, length)
    bare = groups.get("baseline", {}).get("no_code")
    if bare is not None:
        found["perplexity_no_code"] = _of_mean(bare, 1, length)
    if len(length) > 1:
        found |= use_by_position(vae, data, encoded, seed=seed)
    return found


def _perplexity(nats: Tensor, length: Tensor, name: str, split: str) -> Estimate:
    """exp(sum nats / sum tokens) and its standard error by the delta method."""
    tokens = length.double()
    per_token = (nats.double().sum() / tokens.sum()).item()
    n = len(tokens)
    residual = nats.double() - per_token * tokens
    error = None
    if n > 1:
        error = residual.std().item() / math.sqrt(n) / tokens.mean().item() * math.exp(per_token)
    return Estimate(math.exp(per_token), error, f"exp(nats per token) {name}", split, n)


def _of_mean(mean: Estimate, sign: int, length: Tensor) -> Estimate:
    """The perplexity of a mean of nats over the first `mean.n` sequences."""
    tokens = length[: mean.n].double().mean().item()
    value = math.exp(sign * mean.value / tokens)
    error = mean.standard_error
    error = None if error is None else value * error / tokens
    return mean._replace(value=value, standard_error=error)


def use_by_position(vae: SequenceVAE, data: Data, encoded: Encoded, *, seed: int) -> dict:
    """The rise of each position's distortion when the sequence gets another one's code.

    rise_by_position (L,), the mean over the sequences that have such a position, of which
    `sequences_at_position` counts; positions that fewer than 20 have are left out.
    """
    z = sample_codes(encoded, seed)
    other = z[derangement(len(z), seed)]
    rise = torch.zeros(data.shape[2], dtype=torch.float64)
    count = torch.zeros(data.shape[2], dtype=torch.float64)
    with torch.no_grad():
        for index in batches(len(z)):
            x = examples(data, encoded.split, index)
            own, theirs = (
                vae.log_px_by_position(x, codes[index].to(x.device)).double().cpu()
                for codes in (z, other)
            )  # (B, L) each
            L = own.shape[1]
            rise[:L] += (own - theirs).sum(0)
            count[:L] += (x[:, 0, 0] > 0).sum(0).cpu()
    kept = int((count >= min(LEAST_AT_POSITION, len(z))).sum())
    return {
        "rise_by_position": (rise[:kept] / count[:kept]).tolist(),
        "sequences_at_position": count[:kept].int().tolist(),
    }
