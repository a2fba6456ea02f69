"""The importance-weighted bound on log p(x)."""

# B batch, K samples, N examples, Z latent; nats per example

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vaecli.core.randomness import generator
from vaecli.data.sets.base import Data
from vaecli.evaluation.estimate import mean_of
from vaecli.evaluation.passes import Encoded, Model, examples
from vaecli.models.posteriors.gaussian import gaussian_log_prob
from vaecli.models.vae import VAE

BUDGET = 2**28  # bytes of activations in one forward pass
BATCH = 100  # examples whose samples are decoded together


@torch.no_grad()
def importance_weighted(
    vae: Model, data: Data, encoded: Encoded, *, samples: int, seed: int, budget: int = BUDGET
) -> tuple[dict, Tensor]:
    """The group `likelihood`: the importance-weighted bound, and its quality.

    log 1/K sum_k p(x, z_k) / q(z_k|x), z_k ~ q(z|x) as `encoded`, and its mean over examples: a
    lower bound of log p(x) that rises with K = `samples` (Burda et al. 2016), exact for every K
    if q is the true posterior. effective_sample_size: (sum w)^2 / sum w^2, between 1 and K; near 1
    a single sample carries the figure, and it is far below log p(x).
    gain_over_elbo: the bound less the closed-form-KL ELBO estimate of the same samples.

    Args:
        vae: the model.
        data: its data.
        encoded: posteriors of N examples.
        samples: K.
        seed: of the codes.
        budget: bytes of activations in one forward pass.

    Returns:
        The group, and the bound of each example (N,).
    """
    bound, elbo, effective = [], [], []
    one = examples(data, encoded.split, torch.tensor([_longest(data, encoded)]))
    rows_at_once = max(1, budget // bytes_per_code(vae, one, encoded.mu[:1, None].to(one.device)))
    dims = encoded.mu.shape[1]
    together = min(BATCH, rows_at_once, max(1, budget // (32 * samples * dims)))  # 4 x float64 z
    for index in torch.arange(len(encoded.mu)).split(together):
        x = examples(data, encoded.split, index)
        mu, logvar = encoded.mu[index], encoded.logvar[index]  # on the host, as all of `encoded`
        eps = _noise(index, samples, dims, seed)  # (K, B, Z)
        z = mu + (0.5 * logvar).exp() * eps  # (K, B, Z)
        log_ratio = vae.prior.log_prob(z.double()) - gaussian_log_prob(
            eps.double(), logvar.double()
        )
        log_px = torch.cat(
            [
                vae.log_px(x, part.to(x.device)).cpu().double()
                for part in z.split(max(1, rows_at_once // len(index)))
            ]
        )  # (K, B)
        log_w = log_px + log_ratio
        bound.append(log_w.logsumexp(0) - math.log(samples))
        elbo.append(log_px.mean(0) - encoded.kl_per_dim[index].double().sum(1))
        effective.append((2 * log_w.logsumexp(0) - (2 * log_w).logsumexp(0)).exp())
    name, split = f"importance-weighted bound, K = {samples}", encoded.split
    value = torch.cat(bound)
    group = {
        "importance_weighted": mean_of(value, name, split),
        "importance_samples": samples,
        "effective_sample_size": mean_of(torch.cat(effective), f"of K = {samples}", split),
        "gain_over_elbo": mean_of(value - torch.cat(elbo), f"{name}, less the ELBO", split),
    }
    return group, value


def _longest(data: Data, encoded: Encoded) -> int:
    """The number of the example that takes most memory."""
    length = getattr(data, encoded.split).length
    return 0 if length is None else int(length[: len(encoded.mu)].argmax())


def _noise(index: Tensor, samples: int, dims: int, seed: int) -> Tensor:
    """The noise of each example, the same in any batch: (K, B, Z)."""
    each = (generator(seed, "evaluation", index=1000 + n) for n in index.tolist())
    return torch.stack([torch.randn(samples, dims, generator=g) for g in each], dim=1)


def bytes_per_code(vae: Model, x: Tensor, z: Tensor) -> int:
    """Measure the activations of decoding one code.

    Args:
        vae: the model.
        x: one example (1, ...).
        z: one code (1, 1, Z).

    Returns:
        Bytes of all outputs of all modules, as float32: no more than that is alive at once.
    """
    size = math.prod(vae.shape) if isinstance(vae, VAE) else x.numel()
    counted = 8 * size  # the likelihood works on a few tensors of the size of x, one-hot for tokens

    def count(module: nn.Module, inputs: object, output: object) -> None:
        nonlocal counted
        parts = output if isinstance(output, tuple) else (output,)  # two of a recurrent module
        counted += sum(part.numel() for part in parts if isinstance(part, Tensor))

    hooks = [module.register_forward_hook(count) for module in vae.modules()]
    try:
        vae.log_px(x, z)
    finally:
        for hook in hooks:
            hook.remove()
    return 4 * counted
