"""One job of a launched sweep, in the process that the launcher chose."""

from __future__ import annotations

import os
import traceback
from dataclasses import dataclass

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vaecli.config.compose import job_of
from vaecli.config.job import Job
from vaecli.config.sweep_inside import overrides_of
from vaecli.core.errors import UsageError
from vaecli.core.rundir import SUMMARY, RunDirectory, RunState, never_began
from vaecli.reporting.comparison.runs import find_runs
from vaecli.runs.launch.subsweep import run_inside
from vaecli.runs.sweep.run_all import run_now

LONGEST_REASON = 300


@dataclass(frozen=True)
class Worker:
    """The task of every job. Launchers pickle it on its way to another process or machine."""

    directory: str  # in which the command was typed
    environment: dict[str, str]  # of that process: the variables that jobs need
    flags: tuple[str, ...]  # of the command, for a job that is a sweep
    typed: tuple[str, ...]  # the overrides of the command
    jobs: dict[int, Job] | None  # by Hydra's numbers; None: the sweeper chooses them as it goes

    def __call__(self, config: DictConfig) -> float | None:
        """Do the job of this process; returns the loss that another sweeper can minimise."""
        if self.jobs is None:
            return self.work(job_of(config, list(self.typed)))
        job = self.jobs.get(HydraConfig.get().job.num)
        return None if job is None else self.work(job)  # None: it equals another job

    def work(self, job: Job) -> float | None:
        """Do one job. An error becomes a row of the comparison.

        Nothing is raised: the driver would learn of this job only, and show no other.
        """
        try:
            self._enter()
            if job.inside is None:
                return run_now(job)
            run_sweep(job, self.flags)
        except UsageError as error:
            record_end(job, RunState.FAILED, " ".join(str(error).split()))
        except Exception as error:
            traceback.print_exc()
            record_end(job, RunState.FAILED, f"{type(error).__name__}: {error}".splitlines()[0])
        return None

    def _enter(self) -> None:
        """Take over the directory and the variables of the process that was typed to."""
        try:
            os.chdir(self.directory)
        except OSError as error:
            raise UsageError(
                "working directory",
                self.directory,
                f"cannot be entered here ({error.strerror})",
                "start vae-train in a directory that every machine sees",
            ) from error
        for name, value in self.environment.items():
            os.environ.setdefault(name, value)


def run_sweep(job: Job, flags: tuple[str, ...]) -> int:
    """Run the sweep that a job is, in the job's directory; returns its exit code."""
    where = job.directory
    if never_began(where):
        (where / SUMMARY).unlink()  # it holds what `record_end` wrote before there were runs
    assert job.inside is not None
    code = run_inside(overrides_of(job.overrides, job.inside), where, list(flags))
    if code and not (where.is_dir() and list(find_runs(where))):
        reason = f"its sweep ended with exit code {code}; the job's output says why"
        record_end(job, RunState.FAILED, reason)
    return code


def record_end(job: Job, state: str, reason: str) -> None:
    """Write into summary.json how a job ended that could not do so itself. Finished runs stay."""
    job.directory.mkdir(parents=True, exist_ok=True)
    files, summary = RunDirectory(job.directory), {"overrides": job.overrides}
    if (job.directory / SUMMARY).exists():
        summary = files.read_json(SUMMARY)
    if summary.get("run_state") != RunState.DONE:
        end = {"run_state": state, "reason": reason[:LONGEST_REASON]}
        files.write_json(SUMMARY, {**summary, **end})
