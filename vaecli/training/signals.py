"""SIGINT and SIGTERM: finish the step, write a checkpoint, exit with 130 or 143."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Interrupted(Exception):
    """A signal asks the run to stop; its checkpoint is written."""

    def __init__(self, received: signal.Signals):
        super().__init__(received.name)
        self.exit_code = 128 + received


class StopRequests:
    """While active, remembers the first SIGINT or SIGTERM; a second SIGINT stops at once."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopRequests:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    @property
    def exit_code(self) -> int:
        """128 and the signal's number; 0 if none has arrived."""
        return 0 if self.received is None else 128 + self.received

    def raise_if_received(self) -> None:
        """Raise Interrupted if a signal has arrived."""
        if self.received is not None:
            raise Interrupted(self.received)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
