"""Inference lag: the gain of gradient steps on the posteriors of single examples."""

# K samples, N examples, Z latent; nats per example

from __future__ import annotations

import torch
from torch import Tensor

from vaecli.core.optimizers import Adam
from vaecli.core.randomness import generator
from vaecli.data.sets.base import Data
from vaecli.evaluation.estimate import mean_of
from vaecli.evaluation.passes import Encoded, Model, examples, first_rows
from vaecli.models.posteriors.gaussian import LOGVAR_RANGE

PAIRS = 2  # of z in each step: +eps and -eps, which cancels most of the gradient's noise in mu
MEASURED = 32  # of z before and after
LR = 0.1  # falls to zero along a cosine


def refine(
    vae: Model, data: Data, encoded: Encoded, *, most: int, steps: int, seed: int
) -> tuple[dict, Encoded] | None:
    """The group `inference`: the gain in ELBO from optimising q(z|x) of each example.

    From the encoder's answer, `steps` Adam steps on (mu, logvar) of each of the first `most`
    examples, the model fixed, reparametrised gradients (the SVI steps of Kim et al. 2018, used as a
    measurement). The gain is the part of the amortisation gap that these steps find; next to a
    collapsed encoder it tells whether the true posterior has collapsed as well (He et al. 2019:
    inference collapse against model collapse).

    Args:
        vae: the trained model.
        data: its data.
        encoded: the encoder's answers.
        most: optimise the first N examples.
        steps: of Adam.
        seed: the run's.

    Returns:
        The group and the refined posteriors. None for a foreign model whose log_px passes no
        gradient to z, since the steps would follow the KL alone.
    """
    part = first_rows(encoded, most)
    x = examples(data, part.split, torch.arange(len(part.mu)))
    noise = generator(seed, "evaluation", index=5)
    shape = part.mu.shape
    start = part.mu.to(x.device), part.logvar.to(x.device)
    with torch.enable_grad():
        if not vae.log_px(x[:1], start[0][None, :1].clone().requires_grad_()).requires_grad:
            return None
    mu, logvar = (tensor.clone().requires_grad_() for tensor in start)
    optimizer = Adam([mu, logvar], lr=LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        eps = torch.randn(PAIRS, *shape, generator=noise).to(x.device)
        eps = torch.cat([eps, -eps])  # (2 PAIRS, N, Z)
        optimizer.zero_grad()
        (-_elbo(vae, x, mu, logvar, eps).sum()).backward(inputs=[mu, logvar])
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            logvar.clamp_(*LOGVAR_RANGE)
    eps = torch.randn(MEASURED, *shape, generator=noise).to(x.device)
    mu, logvar = mu.detach(), logvar.detach()
    with torch.no_grad():
        zero = torch.zeros(len(x), device=x.device)
        before = sum((_elbo(vae, x, *start, one[None]) for one in eps), zero) / MEASURED
        after = sum((_elbo(vae, x, mu, logvar, one[None]) for one in eps), zero) / MEASURED
        kl_per_dim = vae.prior.kl_per_dim(mu, logvar)
    mu, logvar, kl_per_dim = (t.float().cpu() for t in (mu, logvar, kl_per_dim))
    refined = Encoded(mu, logvar, kl_per_dim, part.y, part.split)
    name = f"{steps} Adam steps on the posterior of each example"
    return {
        "gain": mean_of((after - before).cpu(), name, part.split),
        "refined_rate": mean_of(refined.kl_per_dim.sum(1), name, part.split),
        "steps": steps,
    }, refined


def _elbo(vae: Model, x: Tensor, mu: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    """The ELBO of each example under its q(z|x), noise (K, N, Z): (N,)."""
    z = mu + (0.5 * logvar).exp() * eps
    return vae.log_px(x, z).mean(0) - vae.prior.kl_per_dim(mu, logvar).sum(1)
