"""vae-train on a machine whose clock stands still: every run wants the same directory."""

import datetime

import doors
import hydra.core.utils


class Frozen(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 1, 2, 3, 4, 5, 678901)


def train(arguments: list[str]) -> int:
    """Stop the clock of this process, for good."""
    hydra.core.utils.datetime = Frozen
    return doors.train(arguments)
