"""The training step's one forward pass: model and strategies together."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from vaecli.models.vae import VAE, Terms
from vaecli.objectives.strategies.base import State, Strategy

PLAIN = Strategy()


class Outcome(NamedTuple):
    """The results of a forward pass; a compiled one returns nothing else."""

    loss: Tensor  # () nats per example
    statistics: Tensor  # (3,) for the meter, without gradient: loss, distortion, rate
    state: State  # without gradient


class Objective(nn.Module):
    """Model and strategies as one module: (x, noise, beta, state) -> Outcome.

    Noise and beta come in as tensors: no generator, config or logger is inside, so the same forward
    is called alone, compiled, or mapped over a stack of runs.
    """

    def __init__(self, vae: VAE, strategies: tuple[Strategy, ...] = ()):
        super().__init__()
        self.vae = vae
        self.strategies = strategies
        for strategy in strategies:
            strategy.install(vae)
        # The part of the strategies' state that `forward` reads and renews; it lies on the device.
        self.loss_keys = tuple(self.filling("loss").init_state())

    def forward(self, x: Tensor, noise: dict[str, Tensor], beta: Tensor, state: State) -> Outcome:
        """The forward pass of one training step.

        Args:
            x: a batch (B, C, H, W).
            noise: by name, as `VAE.noise_shapes` says; "z" is (K, B, Z).
            beta: (), the present weight of the KL.
            state: the part of the strategies' state named by `loss_keys`.

        Returns:
            Loss, statistics and new state.
        """
        return outcome(self.vae(x, noise), self.filling("loss"), beta, state)

    def filling(self, slot: str) -> Strategy:
        """The strategy that fills `slot`, or plain training."""
        return next((s for s in self.strategies if slot in s.slots), PLAIN)

    def fills(self, slot: str) -> bool:
        """True if a strategy fills `slot`."""
        return self.filling(slot) is not PLAIN

    def init_state(self) -> State:
        """The state of all strategies before the first step."""
        state: State = {}
        for strategy in self.strategies:
            state |= strategy.init_state()
        return state

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The two halves that move together: inference (q) and generation (p)."""
        vae = self.vae
        encoder = [*vae.encoder.parameters(), *vae.posterior.parameters()]
        inference = {id(p) for p in encoder}
        return {
            "encoder": encoder,
            "decoder": [p for p in vae.parameters() if id(p) not in inference],
        }


def outcome(terms: Terms, strategy: Strategy, beta: Tensor, state: State) -> Outcome:
    """Reduce a batch's terms to its loss.

    Args:
        terms: of one forward pass.
        strategy: the one that fills the slot "loss".
        beta: (), the present weight of the KL.
        state: the strategy's.

    Returns:
        Loss, statistics and new state.
    """
    loss, state = strategy.loss(terms, beta, state)
    rate = terms.kl_per_dim.sum(-1).mean()
    statistics = torch.stack((loss, -terms.log_px.mean(), rate)).detach()
    return Outcome(loss, statistics, {key: value.detach() for key, value in state.items()})
