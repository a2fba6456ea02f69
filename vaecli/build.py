"""From a validated config and its data to the objective that is trained."""

from __future__ import annotations

import torch

from vaecli.config import Config
from vaecli.data.base import Data
from vaecli.errors import require
from vaecli.models.vae import VAE
from vaecli.objectives.objective import Objective
from vaecli.randomness import derive

STATISTICS_CHUNK = 2000  # images converted to float at once


def check(config: Config, data: Data) -> None:
    """Raise UsageError for combinations that only the data can tell are wrong."""
    n = len(data.train.x)
    size = config.trainer.batch_size
    require(
        size <= n,
        "trainer.batch_size",
        size,
        f"is larger than the training split of {data.name} ({n} examples)",
        f"use trainer.batch_size={n} or less",
    )
    config.model.validate_shape(data.shape)
    config.make_likelihood(data)
    per_epoch = n // size
    config.schedule.curve(config.trainer.total_steps(per_epoch), per_epoch)


def build(config: Config, data: Data) -> Objective:
    """A new objective on the data's device; its initialisation depends on the seed alone."""
    _, likelihood = config.make_likelihood(data)
    mean, variance = pixel_statistics(data)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(config.seed, "initialisation"))
        vae = VAE(
            encoder=config.model.encoder(data.shape, 2 * config.model.latent_dim),
            decoder=config.model.decoder(data.shape, likelihood.outputs, config.capacity),
            likelihood=likelihood,
            output_bias=likelihood.start(mean, variance),
            latent_dim=config.model.latent_dim,
            autoregressive=config.model.autoregressive,
        )
        objective = Objective(vae, config.strategies)
    return objective.to(data.device)


def pixel_statistics(data: Data) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and population variance of each pixel over the training split, (C, H, W) each.

    Of a dynamically binarised set: those of the binary pixels.
    """
    n = len(data.train.x)
    total = torch.zeros(data.shape, dtype=torch.float64)
    squares = torch.zeros(data.shape, dtype=torch.float64)
    for index in torch.arange(n).split(STATISTICS_CHUNK):
        x = data.batch(data.train, index).cpu().double()
        total += x.sum(0)
        squares += x.square().sum(0)
    mean = total / n
    variance = mean * (1 - mean) if data.dynamic else (squares / n - mean.square()).clamp(min=0)
    return mean.float(), variance.float()
