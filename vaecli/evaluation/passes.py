"""The one pass over a split that every figure starts from: q(z|x), its KL, and the distortion."""

# N examples, Z latent; nats per example

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from vaecli.core.randomness import generator
from vaecli.data.sets.base import Data, Split
from vaecli.models.priors.base import Prior

BATCH = 500  # examples in one forward pass without gradients
TOKENS = 2**17  # the most in one, of sequences
FIRST_BLOCK = 10**6  # of the evaluation stream's indices: those of training images to be binarised


class NotFinite(ArithmeticError):
    """An output of the model is NaN or infinite."""


class Encoder(Protocol):
    """A model with an approximate posterior q(z|x)."""

    prior: Prior

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """X (B, ...) -> mu, logvar of q(z|x), each (B, Z)."""
        ...


class Model(Encoder, Protocol):
    """A model with q(z|x) and p(x|z): a VAE of vaecli, or of other code."""

    autoregressive: bool

    def log_px(self, x: Tensor, z: Tensor) -> Tensor:
        """Log p(x|z): x (B, ...), z (K, B, Z) -> (K, B)."""
        ...

    def modules(self) -> Iterator[nn.Module]:
        """The modules of PyTorch that it consists of."""
        ...


class Encoded(NamedTuple):
    """The posterior of every example of a split, float32 on the host."""

    mu: Tensor  # (N, Z)
    logvar: Tensor  # (N, Z)
    kl_per_dim: Tensor  # (N, Z)
    y: Tensor | None  # (N,)
    split: str


def first_rows(encoded: Encoded, n: int) -> Encoded:
    """The first n examples (all, if there are fewer)."""
    mu, logvar, kl_per_dim, y, split = encoded
    return Encoded(mu[:n], logvar[:n], kl_per_dim[:n], None if y is None else y[:n], split)


def batches(n: int, size: int = BATCH) -> list[Tensor]:
    """The indices 0..n-1 in order, in chunks that fit a forward pass."""
    return list(torch.arange(n).split(size))


def at_once(data: Data) -> int:
    """The number of examples in a forward pass without gradients; fewer of long sequences."""
    return min(BATCH, max(1, TOKENS // data.shape[2])) if data.kind.of_sequences else BATCH


def first(split: Split, samples: int | None) -> int:
    """The number of examples of the split to use: all, or the first `samples`."""
    return len(split.x) if samples is None else min(samples, len(split.x))


@torch.no_grad()
def encode(vae: Encoder, data: Data, split: str, *, samples: int | None = None) -> Encoded:
    """Encode a split.

    Args:
        vae: the model.
        data: the data set.
        split: train, val or test.
        samples: encode the first N examples only; None: all.

    Returns:
        q(z|x) of N examples.
    """
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
def distortion(vae: Model, data: Data, split: str, z: Tensor) -> Tensor:
    """-log p(x|z) of the first N examples of a split, each with its code.

    Args:
        vae: the model.
        data: the data set.
        split: train, val or test.
        z: (N, Z), one code an example.

    Returns:
        (N,) nats, on the host.
    """
    parts = []
    for index in batches(len(z), at_once(data)):
        x = examples(data, split, index)
        parts.append(-vae.log_px(x, z[index].to(x.device)[None])[0].float().cpu())
    return torch.cat(parts)


def look(
    vae: Model, data: Data, split: str, *, seed: int, samples: int | None = None
) -> tuple[Encoded, Tensor]:
    """Encode a split, draw one code for each example, and decode it.

    Args:
        vae: the model.
        data: the data set.
        split: train, val or test.
        seed: of the codes.
        samples: use the first N examples only; None: all.

    Returns:
        The encoded split, and each example's distortion (N,).
    """
    encoded = encode(vae, data, split, samples=samples)
    return encoded, distortion(vae, data, split, sample_codes(encoded, seed))


def examples(data: Data, split: str, index: Tensor) -> Tensor:
    """Gather the examples of an evaluation: always the same pixels for the same example.

    Args:
        data: the data set.
        split: train, val or test.
        index: (B,).

    Returns:
        (B, C, H, W) on the data's device.
    """
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
