"""One attempt at a run: the directory that it holds, its log, and how it ends."""

from __future__ import annotations

import logging
import shlex
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from vaecli.config.job import Job
from vaecli.config.schema import Resolved
from vaecli.core.errors import DIVERGED, FAILED, INTERRUPTED, UsageError
from vaecli.core.rundir import SUMMARY, RunDirectory, RunState
from vaecli.data.sets.base import Data
from vaecli.reporting import console
from vaecli.runs.report import report_so_far
from vaecli.training.fit import LAST, PREVIOUS, VALIDATION_SAMPLES
from vaecli.training.meter import Diverged
from vaecli.training.signals import Interrupted


class Prepared(NamedTuple):
    """A job that has been checked: its config resolved, its data on the device."""

    job: Job
    config: Resolved
    data: Data


class Attempt:
    """A run's directory, held by this process until the log is closed.

    `code` is the run's exit code, None while it goes on. `ended` says how it ended, and why, if
    that was not at its end.
    """

    def __init__(
        self,
        prepared: Prepared,
        directory: RunDirectory,
        log: logging.Logger,
        before: dict[str, Any],
        *,
        alone: bool,
    ):
        """Hold `directory`, which `log` locks; before: the summary to go back to on a refusal."""
        self.job, self.config, self.data = prepared
        self.directory, self.log, self.alone = directory, log, alone
        self.code: int | None = None
        self.ended = ""
        self._before = before

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Turn whatever ends the block into the exit code, the recorded state and the log.

        Raises UsageError for a continuation that is refused; the run stays as it was.
        """
        try:
            yield
        except (Interrupted, KeyboardInterrupt) as interrupted:
            self._end(RunState.INTERRUPTED, str(interrupted) or "SIGINT")
            if isinstance(interrupted, Interrupted):  # else it is the second, and wants out
                self._report_so_far()
            self.log.warning("Interrupted. Go on: %s", self._again)
            self.code = getattr(interrupted, "exit_code", INTERRUPTED)
        except Diverged as diverged:
            self._end(RunState.DIVERGED, str(diverged))
            self._report_so_far()
            kept = bool(checkpoints(self.directory.path))
            before = " The checkpoint before it is kept." if kept else ""
            self.log.error("Diverged: %s.%s", diverged, before)
            self.log.error("Try a lower trainer.lr, or trainer.clip=5.")
            self.code = DIVERGED
        except UsageError:
            self.directory.write_json(SUMMARY, self._before)
            raise
        except OSError as error:  # a full disk, a file system that is gone
            self._end(RunState.FAILED, f"{type(error).__name__}: {error}"[:300])
            self.log.error("Failed: %s", error)
            if checkpoints(self.directory.path):
                self.log.error("The checkpoint before it is kept. Go on: %s", self._again)
            self.code = FAILED
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            self._end(RunState.FAILED, reason.splitlines()[0][:300])
            self.log.error("Failed: %s", "".join(traceback.format_exception(error)))
            # A traceback's frames keep this run's tensors alive; the next of a sweep needs them.
            traceback.clear_frames(error.__traceback__)
            self.code = FAILED

    def summary(self) -> dict[str, Any]:
        """The run's state and figures so far, as in summary.json."""
        return self.directory.read_json(SUMMARY)

    def close(self) -> None:
        """Close the log, and with it let go of the directory."""
        console.close_log(self.log)

    @property
    def _again(self) -> str:
        return shlex.join(["vae-train", f"resume={self.directory.path}"])

    def _end(self, state: str, reason: str) -> None:
        self.ended = f"{state}, {reason}"
        try:
            self.directory.update_summary(run_state=state, reason=reason)
        except (OSError, UsageError) as error:  # what ended the run may keep it from being told
            self.log.error("%s; not recorded: %s", self.ended, str(error).splitlines()[0])

    def _report_so_far(self) -> None:
        """Write a page of what is recorded; without plots in a stack, whose runs stop at once.

        An error here is logged, not raised: the run must still end as it should.
        """
        try:
            page = report_so_far(
                self.directory,
                self.config,
                overrides=self.job.overrides,
                examples=min(len(self.data.val.x), VALIDATION_SAMPLES),
                plots=self.alone and self.config.diagnosis.plots,
            )
            self.log.info("Report       %s", page)
        except (Exception, KeyboardInterrupt) as error:  # a second SIGINT costs the page only
            self.log.warning("No report: %s: %s", type(error).__name__, error)


def checkpoints(directory: Path) -> list[Path]:
    """The checkpoints to resume from: the last one, then the one before."""
    places = (directory / "checkpoints" / name for name in (LAST, PREVIOUS))
    return [path for path in places if path.exists()]
