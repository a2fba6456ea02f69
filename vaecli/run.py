"""One run from its validated config to its report."""

from __future__ import annotations

import logging
import shlex
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaecli import environment
from vaecli.build import build, predict
from vaecli.config import Config, to_yaml
from vaecli.data.base import Data
from vaecli.errors import UsageError, require
from vaecli.load import load_plain, restore
from vaecli.models.vae import VAE
from vaecli.report import report
from vaecli.reporting import console
from vaecli.reporting.recorder import Recorder
from vaecli.reporting.tensorboard import TensorBoard
from vaecli.rundir import SUMMARY, RunDirectory
from vaecli.training import checkpoint
from vaecli.training.fit import Fit
from vaecli.training.meter import Diverged
from vaecli.training.precision import Precision, choose_device, choose_precision, hidden_gpus
from vaecli.training.signals import Interrupted, StopRequests

DONE, FAILED, DIVERGED = 0, 1, 3  # exit codes of a run
POSITION = {"model", "optimizer", "strategies", "batches", "progress"}  # of a run in training


@dataclass(frozen=True)
class Job:
    """What Hydra composed: one run to be made."""

    overrides: list[str]
    composed: str  # config.yaml: the composition before interpolations are resolved
    directory: Path
    resume: bool = False


def run(job: Job, config: Config, data: Data) -> int:
    """Train, diagnose and report; returns the run's exit code.

    Raises UsageError, before anything is written, for a directory that cannot be used.
    """
    precision = choose_precision(config.trainer.amp, choose_device(config.device))
    data = data.to(precision.device)
    plain = recorded(config, data)
    position = _position(job) if job.resume else None
    directory, before = _open(job, plain)
    log = console.open_log(directory.path / "train.log")
    try:
        with StopRequests() as stop:
            _Run(job, config, plain, data, precision, directory, log).go(position, stop)
        return DONE
    except (Interrupted, KeyboardInterrupt) as interrupted:
        directory.update_summary(run_state="interrupted", reason=str(interrupted) or "SIGINT")
        again = shlex.join(["vae-train", f"resume={directory.path}"])
        log.warning("Interrupted. Go on: %s", again)
        return getattr(interrupted, "exit_code", 130)
    except Diverged as diverged:
        directory.update_summary(run_state="diverged", reason=str(diverged))
        kept = " The checkpoint before it is kept." if _last(directory.path).exists() else ""
        log.error("Diverged: %s.%s", diverged, kept)
        log.error("Try a lower trainer.lr, or trainer.clip=5.")
        return DIVERGED
    except UsageError:
        # A continuation that is refused leaves the run as it was.
        directory.write_json(SUMMARY, before)
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        directory.update_summary(run_state="failed", reason=reason.splitlines()[0][:300])
        log.error("Failed: %s", traceback.format_exc())
        # A traceback's frames keep this run's tensors alive; the next run of a sweep needs them.
        traceback.clear_frames(error.__traceback__)
        return FAILED
    finally:
        console.close_log()


def recorded(config: Config, data: Data) -> dict[str, Any]:
    """The resolved config with the automatic likelihood named."""
    name, _ = config.make_likelihood(data)
    likelihood = {**config.plain["likelihood"], "name": name}
    return {**config.plain, "likelihood": likelihood, "resume": None}


# ---------------------------------------------------------------------- the directory


def _open(job: Job, plain: dict[str, Any]) -> tuple[RunDirectory, dict[str, Any]]:
    """The run's directory, marked as running, and its summary before that."""
    if job.resume:
        directory = RunDirectory.reopen(job.directory)
        _require_same(load_plain(job.directory), plain)
        before = directory.read_json(SUMMARY)
        directory.update_summary(run_state="running", reason=None)
        return directory, before
    summary = {"run_state": "running", "overrides": job.overrides}
    directory = RunDirectory.claim(job.directory, summary)
    directory.write_text("overrides.yaml", to_yaml(job.overrides))
    directory.write_text("config.yaml", job.composed)
    directory.write_text("config.resolved.yaml", to_yaml(plain))
    return directory, {**summary, "run_state": "failed", "reason": "wrong use"}


def _last(directory: Path) -> Path:
    return directory / "checkpoints" / "last.pt"


def _position(job: Job) -> dict[str, Any] | None:
    """The checkpoint to go on from; None for a run that stopped before it wrote one."""
    last = _last(job.directory)
    position = checkpoint.load(last) if last.exists() else None
    if position is not None and not set(position) >= POSITION:
        raise UsageError("checkpoint", last, "is not one of a run in training", "use its last.pt")
    return position


# What may differ between a run and its continuation.
FREE_ON_RESUME = {"trainer.epochs", "trainer.max_steps", "trainer.checkpoint_every", "device"}
FREE_ON_RESUME |= {"data.root", "data.path", "data.download"}  # where the same data lies


def _require_same(before: dict[str, Any], now: dict[str, Any]) -> None:
    old, new = _flat(before), _flat(now)
    for key in sorted({*old, *new}):
        if key in FREE_ON_RESUME or key.startswith("diagnosis."):
            continue
        require(
            old.get(key) == new.get(key),
            key,
            new.get(key),
            f"the run was made with {old.get(key)}, and a resumed run goes on as it was",
            "leave it out, or start a new run; only diagnosis.* and these may change: "
            + ", ".join(sorted(FREE_ON_RESUME)),
        )


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


# ---------------------------------------------------------------------- the run


@dataclass(frozen=True)
class _Run:
    """What a run is made of, once its directory is claimed."""

    job: Job
    config: Config
    plain: dict[str, Any]  # config.resolved.yaml
    data: Data
    precision: Precision
    directory: RunDirectory
    log: logging.Logger

    def go(self, position: dict[str, Any] | None, stop: StopRequests) -> None:
        """Train from the start or from the last checkpoint, then report."""
        config, directory = self.config, self.directory
        self._record_environment()
        fit = self._fit(position)
        start = fit.progress.step
        directory.keep_rows_until(start if position else -1)
        with TensorBoard(
            directory.path / "tensorboard",
            latent_dim=config.model.latent_dim,
            hparams={k: v for k, v in _flat(self.plain).items() if not k.startswith("diagnosis.")},
            purge_step=start + 1 if position else None,
            history=directory.rows(),
            threshold=config.diagnosis.threshold,
        ) as board:
            self._introduce(fit)
            with Recorder(directory, board, self.log, steps=fit.steps, start=start) as recorder:
                progress = fit.run(stop, recorder)
            directory.update_summary(
                reason=None,
                collapsed_at_step=progress.collapsed_at_step,
                encoder_updates=progress.encoder_updates,
                decoder_updates=progress.step,
                seconds=fit.meter.seconds,
                validation_loss=progress.best,
            )
            stop.raise_if_received()
            self._report(fit.objective.vae, board)
            stop.raise_if_received()

    def _fit(self, position: dict[str, Any] | None) -> Fit:
        fit = Fit(
            build(self.config, self.data),
            self.data,
            trainer=self.config.trainer,
            schedule=self.config.schedule,
            precision=self.precision,
            seed=self.config.seed,
            threshold=self.config.diagnosis.threshold,
            directory=self.directory.checkpoints,
        )
        if position is not None:
            try:
                fit.load_state_dict(position)
            except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
                raise UsageError(
                    "checkpoint",
                    _last(self.directory.path),
                    "does not fit the run that the config describes",
                    "use the run's own checkpoint",
                ) from error
        return fit

    def _record_environment(self) -> None:
        if not (self.directory.path / "environment.json").exists():
            seeds = {"seed": self.config.seed, "data.seed": self.plain["data"].get("seed", 0)}
            described = environment.describe(self.precision.device, seeds)
            self.directory.write_json("environment.json", described)

    def _introduce(self, fit: Fit) -> None:
        for line in console.start_lines(self._facts(fit)):
            self.log.info(line)
        if self.config.device == "auto" and hidden_gpus():
            self.log.warning(
                "Warning: CUDA_VISIBLE_DEVICES is set but empty, so no GPU can be used"
            )
        if fit.restarted_streams:
            self.log.warning(
                "Warning: resumed on another kind of device, so the noise goes on from a new stream"
            )
        ends, target = fit.betas[-1].item(), self.config.schedule.beta
        if abs(ends - target) > 0.01 * target:
            self.log.warning(
                "Warning: the schedule ends at beta %.3g, its target is %.3g", ends, target
            )

    def _facts(self, fit: Fit) -> dict[str, str]:
        data, config, plain = self.data, self.config, self.plain
        counts = {name: sum(p.numel() for p in params) for name, params in fit.groups.items()}
        strategies = "+".join(name for name, on in plain["strategy"]["use"].items() if on)
        start = f", from step {fit.progress.step}" if fit.progress.step else ""
        expected = predict(data, config)
        theory = {} if expected is None else {"Theory": expected.words}
        return {
            "Data": f"{data.name} {'x'.join(map(str, data.shape))} {data.kind.value}: "
            f"{len(data.train.x):,} train, {len(data.val.x):,} val, {len(data.test.x):,} test",
            "Model": f"{plain['model']['name']}, {plain['decoder']['size']} decoder, "
            f"{config.model.latent_dim} latents, {plain['likelihood']['name']} likelihood",
            "Parameters": f"encoder {counts['encoder']:,}, decoder {counts['decoder']:,}",
            "Objective": f"strategy {strategies}, schedule {plain['schedule']['name']} to beta "
            f"{config.schedule.beta:g}",
            **theory,
            "Training": f"{fit.steps:,} decoder updates of {config.trainer.batch_size} examples "
            f"({fit.steps / fit.batches.per_epoch:.3g} epochs){start}",
            "Device": f"{self.precision.device} "
            f"({environment.device_name(self.precision.device)}), {self.precision}",
            "Run": str(self.directory.path),
            "TensorBoard": f"tensorboard --logdir {self.directory.path}",
        }

    def _report(self, vae: VAE, board: TensorBoard) -> None:
        directory = self.directory
        if self.config.diagnosis.checkpoint.value == "best":
            restore(vae, directory.checkpoints / "best.pt")
        with self.precision.autocast():
            final = report(
                vae, self.data, self.config, directory, board, overrides=self.job.overrides
            )
        for line in ["", *console.verdict_lines(final), ""]:
            self.log.info(line)
        directory.update_summary(run_state="done")
        self.log.info("Report       %s", directory.path / "report.html")
