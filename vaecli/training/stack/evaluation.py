"""The one pass over a split, of a stack of models at once."""

# S stacked models, N examples, B batch, K samples, Z latent; nats per example

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

from vaecli.data.sets.base import Data
from vaecli.evaluation.passes import Encoded, batches, examples, first, sample_codes
from vaecli.models.vae import VAE

EXAMPLES = 4000  # of all models together, in one forward pass


@torch.no_grad()
def look_together(
    vae: VAE,
    leaves: dict[str, Tensor],
    buffers: dict[str, Tensor],
    data: Data,
    split: str,
    *,
    seeds: list[int],
    samples: int | None = None,
) -> list[tuple[Encoded, Tensor]]:
    """`evaluation.passes.look` for S models at once.

    Args:
        vae: one of the models; the others have its structure.
        leaves: parameters (S, ...) by their name in `vae`.
        buffers: likewise.
        data: the data set.
        split: train, val or test.
        seeds: S, of the codes.
        samples: use the first N examples only; None: all.

    Returns:
        For each model the encoded split, and each example's distortion (N,).
    """
    part = getattr(data, split)
    n = first(part, samples)
    size = max(32, EXAMPLES // len(seeds))
    y = None if part.y is None else part.y[:n].cpu()

    def mapped(module: nn.Module, *shared: Tensor, rows: tuple[Tensor, ...] = ()) -> tuple:
        def one(leaves: dict, buffers: dict, *rows: Tensor) -> tuple:
            return functional_call(module, (leaves, buffers), (*shared, *rows))

        return torch.vmap(one)(_within(leaves), _within(buffers), *rows)

    encoded = [
        mapped(_Encode(vae), examples(data, split, index)) for index in batches(n, size)
    ]  # of (S, B, Z) each
    mu, logvar, kl = (torch.cat(parts, dim=1).float().cpu() for parts in zip(*encoded, strict=True))
    models = [Encoded(mu[s], logvar[s], kl[s], y, split) for s in range(len(seeds))]
    z = torch.stack([sample_codes(one, seed) for one, seed in zip(models, seeds, strict=True)])
    distortion = []
    for index in batches(n, size):
        x = examples(data, split, index)
        (log_px,) = mapped(_LogPx(vae), x, rows=(z[:, index].to(x.device),))  # (S, B)
        distortion.append(-log_px.float().cpu())
    per_example = torch.cat(distortion, dim=1)  # (S, N)
    return list(zip(models, per_example, strict=True))


class _Encode(nn.Module):
    """The encoder's half of the pass: x (B, ...) -> mu, logvar, KL, (B, Z) each."""

    def __init__(self, vae: VAE):
        super().__init__()
        self.vae = vae

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, logvar = self.vae.encode(x)
        return mu, logvar, self.vae.prior.kl_per_dim(mu, logvar)


class _LogPx(nn.Module):
    """The decoder's half of the pass: x (B, ...), z (B, Z) -> log p(x|z), (B,)."""

    def __init__(self, vae: VAE):
        super().__init__()
        self.vae = vae

    def forward(self, x: Tensor, z: Tensor) -> tuple[Tensor]:
        return (self.vae.log_px(x, z[None])[0],)


def _within(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"vae.{name}": tensor for name, tensor in tensors.items()}
