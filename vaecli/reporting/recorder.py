"""The observer of a run: hands what training reports to the console, the files and TensorBoard."""

from __future__ import annotations

import logging
from typing import Any

from vaecli.core.rundir import RunDirectory
from vaecli.reporting.console import EVALUATIONS, ProgressBar, StackBar, evaluation_line
from vaecli.reporting.tensorboard import TensorBoard


class Recorder:
    """See `vaecli.training.fit.Observer`. `bar`: the stack's, if the run is part of one."""

    def __init__(
        self,
        directory: RunDirectory,
        board: TensorBoard,
        log: logging.Logger,
        *,
        steps: int,
        start: int,
        bar: StackBar | None = None,
    ):
        self.directory, self.board, self.log = directory, board, log
        self.bar = bar or ProgressBar(steps, start)
        self.closes_bar = bar is None
        self.every = steps / EVALUATIONS
        self.steps = steps
        self.next_line = 0.0

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the bar; a stack's is the stack's to remove."""
        if self.closes_bar:
            self.bar.close()

    def window(self, step: int, means: dict[str, float]) -> None:
        """Move the bar."""
        self.bar.window(step, means)

    def evaluation(self, row: dict[str, Any]) -> None:
        """Write the row everywhere."""
        self.directory.append_row(row)
        self.board.evaluation(row)
        self.bar.evaluation(row)
        if row["step"] >= self.next_line or row["step"] == self.steps:
            self.log.info(evaluation_line(row))
            self.next_line = row["step"] + self.every

    def warn(self, text: str) -> None:
        """Say it now, in the log too."""
        self.log.warning("Warning: %s", text)
