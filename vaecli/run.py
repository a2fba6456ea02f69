"""One run from its validated config to its report."""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaecli import environment
from vaecli.build import build
from vaecli.config import Config, from_yaml, to_yaml
from vaecli.data.base import Data
from vaecli.errors import UsageError, require
from vaecli.load import restore
from vaecli.models.vae import VAE
from vaecli.report import report
from vaecli.reporting import console
from vaecli.reporting.recorder import Recorder
from vaecli.reporting.tensorboard import TensorBoard
from vaecli.rundir import RunDirectory
from vaecli.training import checkpoint
from vaecli.training.fit import Fit
from vaecli.training.meter import Diverged
from vaecli.training.precision import Precision, choose_device, choose_precision, hidden_gpus
from vaecli.training.signals import Interrupted, StopRequests

DONE, FAILED, DIVERGED = 0, 1, 3  # exit codes of a run


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
    directory = _open(job, plain)
    log = console.open_log(directory.path / "train.log")
    try:
        with StopRequests() as stop:
            _Run(job, config, plain, data, precision, directory, log).go(stop)
        return DONE
    except Interrupted as interrupted:
        directory.update_summary(run_state="interrupted", reason=str(interrupted))
        log.warning("Interrupted by %s. Go on: vae-train resume=%s", interrupted, directory.path)
        return interrupted.exit_code
    except Diverged as diverged:
        directory.update_summary(run_state="diverged", reason=str(diverged))
        log.error("Diverged: %s. The checkpoint before it is kept.", diverged)
        log.error("Try a lower trainer.lr, or trainer.clip=5.")
        return DIVERGED
    except UsageError:
        directory.update_summary(run_state="failed", reason="wrong use")
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


def _open(job: Job, plain: dict[str, Any]) -> RunDirectory:
    if job.resume:
        directory = RunDirectory.reopen(job.directory)
        _require_same(from_yaml((job.directory / "config.resolved.yaml").read_text()), plain)
        directory.update_summary(run_state="running", reason=None)
        return directory
    directory = RunDirectory.claim(
        job.directory, {"run_state": "running", "overrides": job.overrides}
    )
    directory.write_text("overrides.yaml", to_yaml(job.overrides))
    directory.write_text("config.yaml", job.composed)
    directory.write_text("config.resolved.yaml", to_yaml(plain))
    return directory


# What may differ between a run and its continuation.
FREE_ON_RESUME = ("trainer.epochs", "trainer.max_steps", "trainer.checkpoint_every", "device")


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
            "leave it out, or start a new run; only trainer.epochs, trainer.max_steps, device, "
            "trainer.checkpoint_every and diagnosis.* may change",
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

    def go(self, stop: StopRequests) -> None:
        """Train from the start or from the last checkpoint, then report."""
        config, directory = self.config, self.directory
        position = self._position()
        start = position["progress"]["step"] if position else 0
        self._record_environment()
        directory.keep_rows_until(start if position else -1)
        with TensorBoard(
            directory.path / "tensorboard",
            latent_dim=config.model.latent_dim,
            hparams={k: v for k, v in _flat(self.plain).items() if not k.startswith("diagnosis.")},
            purge_step=start + 1 if position else None,
            history=directory.rows(),
            threshold=config.diagnosis.threshold,
        ) as board:
            fit = Fit(
                build(config, self.data),
                self.data,
                trainer=config.trainer,
                schedule=config.schedule,
                precision=self.precision,
                seed=config.seed,
                threshold=config.diagnosis.threshold,
                directory=directory.checkpoints,
            )
            if position:
                fit.load_state_dict(position)
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
            self._report(fit.objective.vae, board)

    def _position(self) -> dict[str, Any] | None:
        last = self.directory.checkpoints / "last.pt"
        return checkpoint.load(last) if self.job.resume and last.exists() else None

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
        return {
            "Data": f"{data.name} {'x'.join(map(str, data.shape))} {data.kind.value}: "
            f"{len(data.train.x):,} train, {len(data.val.x):,} val, {len(data.test.x):,} test",
            "Model": f"{plain['model']['name']}, {plain['decoder']['size']} decoder, "
            f"{config.model.latent_dim} latents, {plain['likelihood']['name']} likelihood",
            "Parameters": f"encoder {counts['encoder']:,}, decoder {counts['decoder']:,}",
            "Objective": f"strategy {strategies}, schedule {plain['schedule']['name']} to beta "
            f"{config.schedule.beta:g}",
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
