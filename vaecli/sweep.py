"""All the jobs of one command: validated together, run one after another, then compared."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import torch
from omegaconf import OmegaConf

from vaecli.build import check
from vaecli.config import Config, read
from vaecli.data.base import Data, DataSet
from vaecli.errors import UsageError
from vaecli.reporting.tables import comparison_csv, comparison_table
from vaecli.run import DIVERGED, DONE, FAILED, Job, run
from vaecli.rundir import SUMMARY, RunDirectory, check_writable
from vaecli.training.precision import prepare_process


def run_all(jobs: list[Job]) -> int:
    """Validate every job, run them, compare them; returns the command's exit code.

    Raises UsageError before anything runs if one of them is wrong.
    """
    prepare_process()
    loaded: dict[DataSet, Data] = {}
    prepared = [(job, *_prepare(job, loaded)) for job in jobs]
    if len(prepared) == 1:
        return run(*prepared[0])
    codes = []
    for number, (job, config, data) in enumerate(prepared, 1):
        print(f"\n=== run {number} of {len(jobs)}: {job.directory.name}", flush=True)
        codes.append(run(job, config, data))
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if codes[-1] not in (DONE, FAILED, DIVERGED):  # a signal ends the sweep
            break
    _compare([job.directory for job in jobs[: len(codes)]])
    if codes[-1] not in (DONE, FAILED, DIVERGED):
        return codes[-1]
    return FAILED if any(codes) else DONE


def run_now(job: Job) -> float | None:
    """One job under another launcher or sweeper; returns the validation loss it can minimise."""
    prepare_process()
    run(job, *_prepare(job, {}))
    return RunDirectory(job.directory).read_json(SUMMARY).get("validation_loss")


def _prepare(job: Job, loaded: dict[DataSet, Data]) -> tuple[Config, Data]:
    config = read(OmegaConf.create(job.composed))
    if not job.resume:
        if (job.directory / SUMMARY).exists():
            raise UsageError(
                "hydra.run.dir",
                job.directory,
                "already holds a run",
                f"go on with it: vae-train resume={job.directory}",
            )
        check_writable(job.directory)
    config.data.check_files()
    if config.data not in loaded:
        loaded[config.data] = config.data.load()
    check(config, loaded[config.data])
    return config, loaded[config.data]


def _compare(directories: list[Path]) -> None:
    runs = []
    for directory in directories:
        summary = json.loads((directory / SUMMARY).read_text(encoding="utf-8"))
        runs.append({**summary, "directory": directory.name})
    sweep = RunDirectory(directories[0].parent)
    sweep.write_text("comparison.csv", comparison_csv(runs))
    print(f"\n{comparison_table(runs)}\n\nComparison   {sweep.path / 'comparison.csv'}")
    print(f"TensorBoard  tensorboard --logdir {sweep.path}", flush=True)
