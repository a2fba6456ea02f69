"""The one pass over a split that every figure starts from: q(z|x), its KL, and the distortion."""

# N examples, Z latent; nats per example

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vaecli.data.base import Data, Kind, Split
from vaecli.models.posterior import LatentSequence, StandardNormal
from vaecli.models.vae import VAE
from vaecli.randomness import generator

BATCH = 500  # examples in one forward pass without gradients
TOKENS = 2**17  # the most in one, of sequences
FIRST_BLOCK = 10**6  # of the evaluation stream's indices: those of training images to be binarised
VARIANCE_THRESHOLD = 0.01  # of an active unit, Var_x[mu_j] (Burda et al. 2016)


class NotFinite(ArithmeticError):
    """The model's answers are no numbers."""


class Encoded(NamedTuple):
    """The posterior of every example of a split, float32 on the host."""

    mu: Tensor  # (N, Z)
    logvar: Tensor  # (N, Z)
    kl_per_dim: Tensor  # (N, Z)
    y: Tensor | None  # (N,)
    split: str


def first_rows(encoded: Encoded, n: int) -> Encoded:
    """The first n examples (all, if there are fewer)."""
    return Encoded(*(None if part is None else part[:n] for part in encoded[:4]), encoded.split)


def batches(n: int, size: int = BATCH) -> list[Tensor]:
    """The indices 0..n-1 in order, in chunks that fit a forward pass."""
    return list(torch.arange(n).split(size))


def at_once(data: Data) -> int:
    """How many examples a forward pass without gradients takes; fewer of long sequences."""
    return min(BATCH, max(1, TOKENS // data.shape[2])) if data.kind is Kind.TOKENS else BATCH


def first(split: Split, samples: int | None) -> int:
    """How many examples of the split to use: all, or the first `samples`."""
    return len(split.x) if samples is None else min(samples, len(split.x))


@torch.no_grad()
def encode(vae: VAE, data: Data, split: str, *, samples: int | None = None) -> Encoded:
    """q(z|x) for the first `samples` examples of the split called `split`."""
    part: Split = getattr(data, split)
    n = first(part, samples)
    rows = []
    for index in batches(n, at_once(data)):
        mu, logvar = vae.encode(examples(data, split, index))
        rows.append((mu, logvar, vae.prior.kl_per_dim(mu, logvar)))
    mu, logvar, kl_per_dim = (torch.cat(column).float().cpu() for column in zip(*rows, strict=True))
    return Encoded(mu, logvar, kl_per_dim, None if part.y is None else part.y[:n].cpu(), split)


def sample_codes(encoded: Encoded, seed: int) -> Tensor:
    """One z ~ q(z|x) per example, (N, Z): the same draw at every evaluation of the same run."""
    eps = torch.randn(encoded.mu.shape, generator=generator(seed, "evaluation"))
    return encoded.mu + (0.5 * encoded.logvar).exp() * eps


@torch.no_grad()
def distortion(vae: VAE, data: Data, split: str, z: Tensor) -> Tensor:
    """-log p(x|z) of the first N examples of the split, each with its row of z (N, Z): (N,)."""
    parts = []
    for index in batches(len(z), at_once(data)):
        x = examples(data, split, index)
        parts.append(-vae.log_px(x, z[index].to(x.device)[None])[0].float().cpu())
    return torch.cat(parts)


def figures(
    encoded: Encoded,
    *,
    threshold: float,
    prior: StandardNormal | LatentSequence | None = None,
) -> dict:
    """The figures that need q(z|x) and the prior alone, in float64.

    threshold: nats; a dimension is active if its mean KL is above it. prior: None is N(0, I).
    A unit is active if the population variance Var_x[mu_j] is above VARIANCE_THRESHOLD.
    """
    kl = encoded.kl_per_dim.double().mean(0)  # (Z,)
    spread = mean_variance(encoded)
    active = int((kl > threshold).sum())
    return {
        "active_dimensions": active,
        "total_dimensions": kl.numel(),
        "utilization": active / kl.numel(),
        "rate": kl.sum().item(),
        "kl_per_dim": kl.tolist(),
        "active_units": int((spread > VARIANCE_THRESHOLD).sum()),
        "active_directions": active_directions(encoded),
        "mu_variance": spread.mean().item(),
        "mean_offset_kl": _mean_offset_kl(encoded.mu, prior or StandardNormal()),
        "mean_logvar": encoded.logvar.double().mean().item(),
    }


def _mean_offset_kl(mu: Tensor, prior: StandardNormal | LatentSequence) -> float:
    """What the rate owes to the average mean: the KL is quadratic in mu, whatever logvar."""
    mean = mu.double().mean(0, keepdim=True)
    none = torch.zeros_like(mean)
    return (prior.kl_per_dim(mean, none) - prior.kl_per_dim(none, none)).sum().item()


def mean_variance(encoded: Encoded) -> Tensor:
    """Var_x[mu_j], the population variance of the posterior means: (Z,) float64."""
    return encoded.mu.double().var(0, correction=0)


def active_directions(encoded: Encoded) -> int:
    """Eigenvalues of Cov_x[mu] above VARIANCE_THRESHOLD: active units, whatever the axes.

    A rotation of z changes the active units and hardly the ELBO, so training aligns directions
    with axes late: until then few directions are spread over many dimensions.
    """
    mu = encoded.mu.double()
    mu = mu - mu.mean(0)
    return int((torch.linalg.eigvalsh(mu.T @ mu / len(mu)) > VARIANCE_THRESHOLD).sum())


def evaluate(
    vae: VAE, data: Data, split: str, *, seed: int, threshold: float, samples: int | None = None
) -> tuple[dict, Encoded, Tensor]:
    """Figures with distortion and ELBO; also the encoded split and each example's distortion."""
    encoded, per_example = look(vae, data, split, seed=seed, samples=samples)
    found = measured(encoded, per_example, threshold=threshold, prior=vae.prior)
    return found, encoded, per_example


def look(
    vae: VAE, data: Data, split: str, *, seed: int, samples: int | None = None
) -> tuple[Encoded, Tensor]:
    """The pass itself: the encoded split, and each example's distortion at one code (N,)."""
    encoded = encode(vae, data, split, samples=samples)
    return encoded, distortion(vae, data, split, sample_codes(encoded, seed))


def measured(
    encoded: Encoded,
    per_example: Tensor,
    *,
    threshold: float,
    prior: StandardNormal | LatentSequence,
) -> dict:
    """`figures`, with the mean of each example's distortion (N,), and the ELBO."""
    found = figures(encoded, threshold=threshold, prior=prior)
    found["distortion"] = per_example.double().mean().item()
    found["elbo"] = -found["distortion"] - found["rate"]
    return found


def examples(data: Data, split: str, index: Tensor) -> Tensor:
    """The examples at `index` of the split called `split`, (B, C, H, W) on the data's device."""
    part: Split = getattr(data, split)
    if split != "train" or not data.dynamic:
        return data.batch(part, index)  # validation and test images were binarised when loaded
    # A dynamically binarised split is drawn here, in fixed blocks, so that an example has the same
    # pixels whichever batch it is in.
    drawn = []
    blocks = index // BATCH
    for block in blocks.unique().tolist():
        rows = torch.arange(block * BATCH, min((block + 1) * BATCH, len(part.x)))
        noise = generator(0, "evaluation", index=FIRST_BLOCK + block, device=data.device)
        drawn.append((blocks == block, data.batch(part, rows, noise), block * BATCH))
    out = torch.empty(len(index), *data.shape, device=data.device)
    for mask, x, start in drawn:
        out[mask.to(out.device)] = x[(index[mask] - start).to(x.device)]
    return out
