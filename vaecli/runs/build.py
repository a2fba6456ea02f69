"""From a validated config and its data to the objective that is trained."""

from __future__ import annotations

import copy
import math

import torch
from torch import nn

from vaecli.config.schema import Config, Resolved
from vaecli.core.errors import require
from vaecli.core.machine import free_bytes
from vaecli.core.randomness import derive
from vaecli.data.sets.base import Data
from vaecli.data.sets.statistics import pixel_statistics
from vaecli.objectives.objective import Objective
from vaecli.theory import prediction
from vaecli.theory.prediction import Prediction
from vaecli.training.compiling import chosen

MOST_STEPS = 10**8  # beta at each of them is held in memory
COPIES = 4  # of the weights, in training: themselves, the gradient, Adam's two moments


def check(config: Config, data: Data) -> Resolved:
    """The config resolved for `data`. Raises UsageError for what does not go together."""
    n = len(data.train.x)
    size = config.trainer.batch_size
    require(
        size <= n,
        "trainer.batch_size",
        size,
        f"is larger than the training split of {data.name} ({n} examples)",
        f"use trainer.batch_size={n} or less",
    )
    _require_fitting(config, data)
    config.model.validate_shape(data.shape)
    resolved = config.resolved(data)
    per_epoch = n // size
    steps = config.trainer.total_steps(per_epoch)
    require(
        steps <= MOST_STEPS,
        "trainer.epochs",
        config.trainer.epochs,
        f"are {steps:,} updates, more than {MOST_STEPS:,}",
        "choose fewer",
    )
    config.schedule.curve(steps, per_epoch)
    chosen(config.trainer.compile, data.device, steps=1)
    _require_room(resolved, data)
    return resolved


def _require_fitting(config: Config, data: Data) -> None:
    """Raise UsageError for a family of images over sequences, or the other way round."""
    sequences = data.kind.of_sequences
    wanted, other = ("sequences", "lstm") if sequences else ("images", "mlp")
    require(
        config.model.of_sequences is sequences,
        "model",
        config.plain["model"]["name"],
        f"is not for {wanted}, and data={data.name} holds {wanted}",
        f"try model={other}",
    )


def _require_room(config: Resolved, data: Data) -> None:
    """Raise UsageError, before anything is allocated, for a model that memory cannot hold."""
    free = free_bytes(data.device)
    try:
        with torch.device("meta"):
            parts = _networks(config, data)
        weights = [p for part in parts for p in part.parameters()]
        need = COPIES * sum(p.numel() * p.element_size() for p in weights)
    except (RuntimeError, OverflowError, TypeError):  # a size that is no size
        need = math.inf
    room = "" if free is None else f", and {free / 2**30:.3g} GiB are free"
    require(
        free is None or need <= free,
        "model",
        config.plain["model"]["name"],
        f"needs {need / 2**30:.3g} GiB for its weights, their gradients and Adam's moments{room}",
        "make it smaller: model.latent_dim, model.encoder_width, decoder=small",
    )


def _networks(config: Resolved, data: Data) -> tuple[nn.Module, nn.Module]:
    encoder = config.model.encoder(data.shape, 2 * config.model.latent_dim)
    return encoder, config.model.decoder(data.shape, config.likelihood.outputs, config.capacity)


def build(config: Config, data: Data) -> Objective:
    """A new objective on the data's device; its initialisation depends on the seed alone."""
    resolved = config.resolved(data)
    likelihood = copy.deepcopy(resolved.likelihood)  # it may own parameters
    mean, variance = pixel_statistics(data)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(config.seed, "initialisation"))
        encoder, decoder = _networks(resolved, data)
        vae = config.model.vae(
            encoder=encoder,
            decoder=decoder,
            likelihood=likelihood,
            output_bias=likelihood.start(mean, variance),
            latent_dim=config.model.latent_dim,
            autoregressive=config.model.autoregressive,
            shape=data.shape,
        )
        objective = Objective(vae, config.strategies)
    if data.device.type == "cuda":  # what tensor cores want; a CPU gains nothing (docs/speed.md)
        objective = objective.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return objective.to(data.device)


def prediction_for(data: Data, config: Config) -> Prediction | None:
    """The prediction of theory for the run; None where theory has none."""
    likelihood = config.resolved(data).likelihood
    slots = frozenset().union(*(strategy.slots for strategy in config.strategies))
    return prediction.predict(data, config.model, likelihood, slots, beta=config.schedule.beta)
