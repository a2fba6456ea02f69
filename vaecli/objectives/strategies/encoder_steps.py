"""More encoder steps, or larger ones, for each decoder step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vaecli.core.errors import require
from vaecli.objectives.strategies.base import State, Strategy, Update

MOST = 1000  # encoder updates: with many more the decoder never moves


@dataclass(frozen=True)
class EncoderSteps(Strategy):
    """`encoder_steps` = k encoder updates per decoder update, at `encoder_lr_factor` times the lr.

    The fixed-ratio form of lagging inference (He et al. 2019 without their stopping rules): k - 1
    steps of the encoder alone, on random batches, then one of both on the epoch's next batch. With
    k = 1 and a factor above 1 the encoder takes larger steps instead of more.

    Example::

        vae-train strategy=encoder_steps strategy.encoder_steps=3

    References:
        He et al. 2019, "Lagging Inference Networks and Posterior Collapse in Variational
        Autoencoders", algorithm 1 with a fixed number of inner steps.
    """

    slots: ClassVar[frozenset[str]] = frozenset({"updates"})

    encoder_steps: int = 5
    encoder_lr_factor: float = 1.0

    def validate(self) -> None:
        """Raise UsageError for fewer than one step, or a factor that is not positive."""
        require(
            1 <= self.encoder_steps <= MOST,
            "strategy.encoder_steps",
            self.encoder_steps,
            f"must be from 1 to {MOST:,}",
            "1 is plain training, 5 a common choice",
        )
        require(
            self.encoder_lr_factor > 0,
            "strategy.encoder_lr_factor",
            self.encoder_lr_factor,
            "must be above 0",
            "1 keeps the encoder's learning rate",
        )

    def init_state(self) -> State:
        """The number of encoder-only steps since the last decoder step: 0."""
        return {"encoder_steps.made": torch.zeros((), dtype=torch.int64)}

    def lr_factors(self) -> dict[str, float]:
        """The encoder's factor."""
        return {"encoder": self.encoder_lr_factor}

    def next_update(self, state: State) -> Update:
        """K - 1 times the encoder alone, then both."""
        if state["encoder_steps.made"].item() < self.encoder_steps - 1:
            return Update(decoder=False, batch="random")
        return Update()

    def after_update(self, state: State, update: Update, loss: Tensor) -> State:
        """Count the encoder-only steps.

        Args:
            state: before the step.
            update: the step.
            loss: ignored.

        Returns:
            The new state.
        """
        count = state["encoder_steps.made"]
        return {**state, "encoder_steps.made": count * 0 if update.decoder else count + 1}
