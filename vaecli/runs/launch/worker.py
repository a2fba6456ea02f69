"""One job of a launched sweep, in the process that the launcher chose."""

from __future__ import annotations

import os
import traceback
from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from vaecli.config.compose import Composed
from vaecli.config.inside import overrides_of
from vaecli.core.errors import UsageError
from vaecli.core.rundir import SUMMARY, RunDirectory, never_began
from vaecli.reporting.comparison.runs import find_runs
from vaecli.runs.launch.inside import run_inside
from vaecli.runs.opening import Job
from vaecli.runs.sweep.run_all import run_now

LONGEST_REASON = 300


@dataclass(frozen=True)
class Worker:
    """What every job does; pickled on its way to another process or machine."""

    directory: str  # that the command was typed in
    environment: dict[str, str]  # of it, what jobs need
    flags: tuple[str, ...]  # of the command, for a job that is a sweep
    places: dict[int, str] | None  # the directory of each job, by its number

    def __call__(self, composed: Composed) -> float | None:
        """Do the job of this process; returns the loss that another sweeper can minimise."""
        where = composed.directory
        if self.places is not None:
            number = HydraConfig.get().job.num
            if number not in self.places:  # it equals another job
                return None
            where = Path(self.places[number])
        return self.work(composed, where)

    def work(self, composed: Composed, where: Path) -> float | None:
        """Do one job in the directory `where`. What goes wrong becomes a row of the comparison.

        Nothing is raised: the driver would learn of this job only, and show no other.
        """
        try:
            self._enter()
            if OmegaConf.create(composed.text).sweep.inside is None:
                return run_now(Job(composed.overrides, composed.text, where, composed.sweep))
            run_sweep(composed, where, self.flags)
        except UsageError as error:
            record_end(where, composed.overrides, "failed", " ".join(str(error).split()))
        except Exception as error:
            traceback.print_exc()
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            record_end(where, composed.overrides, "failed", reason)
        return None

    def _enter(self) -> None:
        """Make relative paths and vaecli's variables mean what they mean where they were typed."""
        try:
            os.chdir(self.directory)
        except OSError as error:
            raise UsageError(
                "working directory", self.directory, f"cannot be entered here ({error.strerror})",
                "start vae-train in a directory that every machine sees",
            ) from error  # fmt: skip
        for name, value in self.environment.items():
            os.environ.setdefault(name, value)


def run_sweep(job: Composed, where: Path, flags: tuple[str, ...]) -> int:
    """Run the sweep that a job is, in the directory `where`; returns its exit code."""
    if never_began(where):
        (where / SUMMARY).unlink()  # what `record_end` said before it had runs
    text = OmegaConf.create(job.text).sweep.inside
    code = run_inside(overrides_of(job.overrides, text), where, list(flags))
    if code and not (where.is_dir() and list(find_runs(where))):
        reason = f"its sweep ended with exit code {code}; the job's output says why"
        record_end(where, job.overrides, "failed", reason)
    return code


def record_end(directory: Path, overrides: list[str], state: str, reason: str) -> None:
    """Say in summary.json how a job ended that could not say it itself; finished runs stay."""
    directory.mkdir(parents=True, exist_ok=True)
    files, summary = RunDirectory(directory), {"overrides": overrides}
    if (directory / SUMMARY).exists():
        summary = files.read_json(SUMMARY)
    if summary.get("run_state") != "done":
        end = {"run_state": state, "reason": reason[:LONGEST_REASON]}
        files.write_json(SUMMARY, {**summary, **end})
