"""The loop that every training goes through: a single run's, and a stack's."""

from __future__ import annotations

from abc import ABC, abstractmethod

from vaecli.training.settings import TrainerConfig
from vaecli.training.signals import StopRequests

READ_EVERY = 50  # updates between two looks at the device: progress bar and finiteness


class Loop(ABC):
    """Updates until the end, with evaluations and checkpoints at their cadence.

    trainer: whose keys set the cadence. steps: decoder updates in the whole run. per_epoch: in an
    epoch.
    """

    trainer: TrainerConfig
    steps: int
    per_epoch: int

    @property
    @abstractmethod
    def step(self) -> int:
        """The number of decoder updates so far."""

    @property
    @abstractmethod
    def begun(self) -> bool:
        """True after the first update; the encoder may move before the first `step`."""

    @property
    @abstractmethod
    def unread(self) -> int:
        """Updates since the last look at the device."""

    @property
    def running(self) -> bool:
        """True if there are more updates to do."""
        return self.step < self.steps

    @property
    def out_of_time(self) -> bool:
        """True after `trainer.max_seconds`."""
        return False

    @property
    @abstractmethod
    def sees_epochs(self) -> bool:
        """True if the strategy wants to see the validation split after every epoch."""

    @abstractmethod
    def update(self) -> bool:
        """One optimiser step; True if the decoder moved."""

    @abstractmethod
    def read_window(self) -> None:
        """Read the statistics of the updates since the last look; finds runs that diverged."""

    @abstractmethod
    def pause(self, *, evaluate: bool, epoch_over: bool) -> None:
        """Look at the validation split, off the clock, for the records or for the strategy."""

    @abstractmethod
    def save_last(self) -> None:
        """Write the checkpoint to go on from, off the clock."""

    def go(self, stop: StopRequests) -> None:
        """Train to the end. Raises Interrupted with the checkpoint written."""
        every = max(1, round(self.trainer.evaluate_every * self.per_epoch))
        save_every = max(1, round(self.trainer.checkpoint_every * self.per_epoch))
        self.pause(evaluate=not self.begun, epoch_over=False)
        over = self.out_of_time
        while self.running and not over:
            decoder_moved = self.update()
            if self.unread == READ_EVERY:
                self.read_window()
            if decoder_moved:  # else the run is inside a step, which time may not end
                over = self.out_of_time
                at_end = over or not self.running
                epoch_over = self.sees_epochs and self.step % self.per_epoch == 0
                due = at_end or self.step % every == 0
                if due or epoch_over:
                    self.pause(evaluate=due, epoch_over=epoch_over)
                if at_end or self.step % save_every == 0:
                    self.save_last()
            if stop.received is not None:
                self.save_last()
                stop.raise_if_received()
