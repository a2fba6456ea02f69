"""Aggressive encoder training against the lag of the inference network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from vaecli.core.errors import require
from vaecli.objectives.strategies.base import State, Strategy, Update

if TYPE_CHECKING:
    from vaecli.evaluation.passes import Encoded


@dataclass(frozen=True)
class Aggressive(Strategy):
    """Lagging inference networks (He et al. 2019, algorithm 1), with the rules of their code.

    While aggressive, each decoder update is preceded by encoder-only updates: the first on the
    outer batch, the others on random ones, at most `aggressive_max_updates` - 1. After every
    `aggressive_window` of them the window's mean loss (of sequences: per token) is compared with
    that of the window before, and they end as soon as it has risen. The decoder then moves alone,
    on the outer batch.

    After each epoch the mutual information I_q(x; z) of the validation split is estimated. Once it
    has fallen below its best `aggressive_patience` times in all, training goes on as plain
    VAE training. The authors' images: 5; text: 1. An epoch of it costs 10 to 30 plain ones.

    Example::

        vae-train strategy=aggressive strategy.aggressive_max_updates=20

    References:
        He et al. 2019, "Lagging Inference Networks and Posterior Collapse in Variational
        Autoencoders", algorithm 1.
    """

    slots: ClassVar[frozenset[str]] = frozenset({"updates"})
    sees_epochs: ClassVar[bool] = True
    stackable: ClassVar[bool] = False  # the losses of each run end its inner loop

    aggressive_max_updates: int = 100
    aggressive_window: int = 10
    aggressive_patience: int = 5

    def validate(self) -> None:
        """Raise UsageError for counts that leave no encoder update, no window or no epoch."""
        least = {"aggressive_max_updates": 2, "aggressive_window": 1, "aggressive_patience": 1}
        for key, smallest in least.items():
            require(
                getattr(self, key) >= smallest,
                f"strategy.{key}",
                getattr(self, key),
                f"must be at least {smallest}",
                "He et al. use 100 updates, windows of 10 and a patience of 5 for images",
            )

    def init_state(self) -> State:
        """Aggressive, at the start of the first outer step. Lives on the host, but for the sums."""
        return {
            "aggressive.on": torch.tensor(True),
            "aggressive.made": torch.tensor(0),  # encoder-only updates in this outer step
            "aggressive.inner": torch.tensor(True),  # the inner loop goes on
            "aggressive.window_sum": torch.tensor(0.0),
            "aggressive.previous": torch.tensor(math.inf),
            "aggressive.best_mi": torch.tensor(-math.inf),
            "aggressive.failures": torch.tensor(0),
        }

    def next_update(self, state: State) -> Update:
        """Encoder alone while the inner loop goes on, then the decoder alone; both once off."""
        if not state["aggressive.on"]:
            return Update()
        count = state["aggressive.made"].item()
        if state["aggressive.inner"] and count < self.aggressive_max_updates - 1:
            return Update(decoder=False, batch="random" if count else "next")
        return Update(encoder=False, batch="held" if count else "next")

    def after_update(self, state: State, update: Update, loss: Tensor) -> State:
        """Compare windows; the loss is read back from the device once a window.

        Args:
            state: before the step.
            update: the step.
            loss: (), as in `Strategy.after_update`.

        Returns:
            The new state.
        """
        if not state["aggressive.on"]:
            return state
        fresh = self.init_state()
        inner = ("made", "inner", "window_sum", "previous")
        if update.decoder:  # the outer step is over
            return {**state, **{f"aggressive.{key}": fresh[f"aggressive.{key}"] for key in inner}}
        count = state["aggressive.made"] + 1
        total = state["aggressive.window_sum"].to(loss.device) + loss.detach().float()
        state = {**state, "aggressive.made": count, "aggressive.window_sum": total}
        if count.item() % self.aggressive_window == 0:
            fell = total <= state["aggressive.previous"].to(loss.device)
            state["aggressive.inner"] = fell.cpu()
            state["aggressive.previous"] = total
            state["aggressive.window_sum"] = fresh["aggressive.window_sum"]
        return state

    def after_epoch(self, state: State, validation: Encoded) -> State:
        """Switch off once mutual information has failed to grow often enough."""
        from vaecli.evaluation.aggregate import mutual_information

        if not state["aggressive.on"]:
            return state
        mi = torch.tensor(mutual_information(validation).value)
        failed = mi < state["aggressive.best_mi"]
        failures = state["aggressive.failures"] + failed.long()
        return {
            **state,
            "aggressive.best_mi": torch.maximum(mi, state["aggressive.best_mi"]),
            "aggressive.failures": failures,
            "aggressive.on": failures < self.aggressive_patience,
        }
