"""The likelihood of a decoder without a code: the line that a code has to beat."""

# N examples, B batch, C channels, H height, W width, Z latent; nats per example

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vaecli.core.optimizers import Adam
from vaecli.core.randomness import generator
from vaecli.data.sets.base import Data
from vaecli.data.sets.statistics import pixel_statistics
from vaecli.evaluation.estimate import mean_of
from vaecli.evaluation.passes import batches, distortion, examples
from vaecli.models.likelihoods.base import Likelihood
from vaecli.models.vae import VAE

CONSTANT_STEPS = 300  # to fit the constants of a likelihood whose start is not the best


def baseline(
    vae: VAE, data: Data, split: str, neg_elbo: Tensor, *, steps: int, seed: int
) -> tuple[dict, Tensor] | None:
    """The group `baseline`: the distortion without a code, and the gain of the code over it.

    If pixels are independent given z, the best decoder without a code is one constant per output
    and pixel, fitted to the training split (`Likelihood.start`, and some steps where that is not
    the best). An autoregressive decoder models the data by itself: a copy of it gets z = 0 and
    `steps` more updates on the training split. They start from the trained decoder, so a few are
    enough; the figure is an upper bound of the distortion that a decoder reaches that is trained
    without a code from the start. Next to a model that has not converged the copy has the advantage
    of these updates.

    Args:
        vae: the trained model.
        data: its data.
        split: train, val or test.
        neg_elbo: distortion + KL of the first N examples of `split`, which are used, (N,).
        steps: updates of an autoregressive decoder's copy.
        seed: the run's.

    Returns:
        The group, and the distortion of each example without a code (N,). None for an
        autoregressive decoder and no steps.
    """
    n = len(neg_elbo)
    if not vae.autoregressive:
        without_code = _constant(vae, data, split, n, seed)
        name = "one constant per pixel of the training split"
    elif steps:
        alone = copy.deepcopy(vae).requires_grad_()  # one half may have rested at the last update
        _train(alone, data, steps, seed)
        without_code = distortion(alone, data, split, torch.zeros(n, vae.latent_dim))
        name = f"a copy of the decoder with z = 0, after {steps} more updates"
    else:
        return None
    gain = mean_of(
        without_code - neg_elbo, "distortion without a code, less distortion + rate", split
    )
    return {"no_code": mean_of(without_code, name, split), "gain": gain}, without_code


def _constant(vae: VAE, data: Data, split: str, n: int, seed: int) -> Tensor:
    """The distortion of the best constant output, (N,)."""
    likelihood = vae.likelihood.untrained()
    out = likelihood.start(*pixel_statistics(data)).to(data.device)
    if not likelihood.start_is_best:
        out = _fitted(likelihood, out, data, seed)
    parts = []
    with torch.no_grad():
        for index in batches(n):
            x = examples(data, split, index)
            parts.append(-likelihood.log_prob(out.expand(len(x), *out.shape), x).float().cpu())
    return torch.cat(parts)


def _fitted(likelihood: Likelihood, start: Tensor, data: Data, seed: int) -> Tensor:
    """The constant output of largest likelihood on the training split, from `start`."""
    out = start.clone().requires_grad_()

    def loss(x: Tensor) -> Tensor:
        return -likelihood.log_prob(out.expand(len(x), *out.shape), x).mean()

    _descend(loss, [out], data, steps=CONSTANT_STEPS, size=500, lr=0.05, seed=seed)
    return out.detach()


def _train(vae: VAE, data: Data, steps: int, seed: int) -> None:
    """Fit decoder, output bias and likelihood of `vae` to the training split with z = 0."""
    moved = [p for name, p in vae.named_parameters() if not name.startswith("encoder.")]

    def loss(x: Tensor) -> Tensor:
        return -vae.log_px(x, torch.zeros(1, len(x), vae.latent_dim, device=x.device)).mean()

    _descend(loss, moved, data, steps=steps, size=64, lr=1e-3, seed=seed)


def _descend(
    loss: Callable[[Tensor], Tensor],
    moved: Sequence[Tensor],
    data: Data,
    *,
    steps: int,
    size: int,
    lr: float,
    seed: int,
) -> None:
    """Adam on random training batches of `size`; the rate falls to zero along a cosine."""
    order = generator(seed, "evaluation", index=6)
    binarisation = generator(seed, "evaluation", index=7, device=data.device)
    optimizer = Adam(moved, lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    n = len(data.train.x)
    kind = data.device.type
    # Autocast would keep the reduced copies of the weights that it makes at the first step.
    uncached = torch.autocast(
        kind,
        dtype=torch.get_autocast_dtype(kind),
        enabled=torch.is_autocast_enabled(kind),
        cache_enabled=False,
    )
    with torch.enable_grad(), uncached:
        for _ in range(steps):
            index = torch.randint(n, (min(size, n),), generator=order)
            optimizer.zero_grad()
            loss(data.batch(data.train, index, binarisation)).backward(inputs=list(moved))
            optimizer.step()
            schedule.step()
