"""One run from its validated config to its report."""

from __future__ import annotations

import shlex
from contextlib import ExitStack
from typing import Any

import torch

from vaecli.config.identity import flat
from vaecli.core import machine
from vaecli.core.errors import DONE, FAILED, UsageError, require
from vaecli.core.rundir import VOCABULARY, RunState
from vaecli.data.sets.sequence_set import lost
from vaecli.reporting import console
from vaecli.reporting.console import StackBar
from vaecli.reporting.recorder import Recorder
from vaecli.reporting.tensorboard import TensorBoard
from vaecli.runs.attempt import Attempt, Prepared
from vaecli.runs.build import build, prediction_for
from vaecli.runs.load import restore
from vaecli.runs.opening import open_run, position, write_down
from vaecli.runs.report import report
from vaecli.training.fit import STRANGE, Fit
from vaecli.training.precision import choose_precision, has_bf16, hidden_gpus
from vaecli.training.signals import StopRequests


def run(prepared: Prepared, stop: StopRequests) -> int:
    """Train, diagnose and report; returns the run's exit code.

    stop: active, and heeded.
    Raises UsageError, before anything is written, for a directory that cannot be used.
    """
    attempt = open_run(prepared)
    try:
        with attempt.guard(), Run(attempt) as this:
            this.fit.run(stop, this.recorder)
            this.trained()
            stop.raise_if_received()
            this.report()
    finally:
        attempt.close()
    return attempt.code if attempt.code is not None else FAILED


class Run:
    """A run in training: what is trained, from its start or its last checkpoint, and its records.

    Alone it is trained and reported in one go (`run`); in a stack the training in between is
    shared with others (`stack.run_stack`).
    """

    def __init__(self, attempt: Attempt, bar: StackBar | None = None):
        """Build the model and open the records. Raises UsageError if the checkpoint does not fit.

        bar: of the stack that the run is trained in.
        """
        self.attempt, self.directory, self.log = attempt, attempt.directory, attempt.log
        self.job, self.config, self.data = attempt.job, attempt.config, attempt.data
        self.precision = choose_precision(self.config.trainer.amp, self.data.device)
        checkpoint = position(self.job, self.log) if self.job.resume else None
        self.fit = self._fit(checkpoint)
        start = self.fit.progress.step
        if self.job.resume:  # it may be longer than it was, or diagnosed in another way
            write_down(self.directory, self.job, self.config)
            self.directory.update_summary(overrides=self.job.overrides)
        self._record_environment()
        self.directory.keep_rows_until(-1 if checkpoint is None else start)
        self._open = ExitStack()
        try:
            self.board = self._open.enter_context(self._tensorboard(start))
            self._introduce()
            records = (self.directory, self.board, self.log)
            self.recorder = self._open.enter_context(
                Recorder(*records, steps=self.fit.steps, start=start, bar=bar)
            )
        except BaseException:
            self.close()
            raise
        self.fit.observer = self.recorder

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def trained(self, *, stacked: int = 1) -> None:
        """Record how the training went; stacked: how many runs were trained together."""
        self.recorder.close()
        progress = self.fit.progress
        self.directory.update_summary(
            reason=None,
            collapsed_at_step=progress.collapsed_at_step,
            encoder_updates=progress.encoder_updates,
            decoder_updates=progress.step,
            seconds=self.fit.meter.seconds,
            stacked=stacked,
            validation_loss=progress.best,
        )

    def report(self) -> None:
        """Diagnose the trained model and write the report: the run is done."""
        directory, vae = self.directory, self.fit.objective.vae
        if self.config.diagnosis.checkpoint.value == "best":
            restore(vae, directory.checkpoints / "best.pt")
        with self.precision.autocast():
            final = report(
                vae, self.data, self.config, directory, self.board, overrides=self.job.overrides
            )
        for line in ["", *console.verdict_lines(final), ""]:
            self.log.info(line)
        directory.update_summary(run_state=RunState.DONE)
        self.log.info("Report       %s", directory.path / "report.html")
        self.attempt.code = DONE

    def close(self) -> None:
        """Close the records. What is lost of the curves then is logged, not raised."""
        try:
            self._open.close()
        except OSError as error:
            self.log.error("TensorBoard's file could not be closed: %s", error)

    # ------------------------------------------------------------------ its parts

    def _fit(self, checkpoint: dict[str, Any] | None) -> Fit:
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
        if checkpoint is not None:
            try:
                fit.load_state_dict(checkpoint)
            except STRANGE as error:
                raise UsageError(
                    "checkpoint",
                    self.directory.checkpoints,
                    "does not fit the run that the config describes",
                    "use the run's own checkpoint",
                ) from error
            require(
                fit.step <= fit.steps,
                "trainer.epochs",
                self.config.trainer.epochs,
                f"ends the run at update {fit.steps}, and it has made {fit.step}",
                "leave it out, or let it go on for longer",
            )
        return fit

    def _record_environment(self) -> None:
        if not (self.directory.path / "environment.json").exists():
            seeds = {
                "seed": self.config.seed,
                "data.seed": self.config.plain["data"].get("seed", 0),
            }
            described = machine.describe(self.precision.device, seeds)
            self.directory.write_json("environment.json", described)
        words = self.data.vocabulary
        if words is not None and not (self.directory.path / VOCABULARY).exists():
            known = {"level": words.level.value, "words": words.words}
            self.directory.write_json(VOCABULARY, known)

    def _tensorboard(self, start: int) -> TensorBoard:
        plain = flat(self.config.plain)
        return TensorBoard(
            self.directory.path / "tensorboard",
            latent_dim=self.config.model.latent_dim,
            hparams={k: v for k, v in plain.items() if not k.startswith("diagnosis.")},
            purge_step=start if self.job.resume else None,
            history=self.directory.rows(),
            threshold=self.config.diagnosis.threshold,
        )

    def _introduce(self) -> None:
        fit = self.fit
        for line in console.start_lines(self.facts()):
            self.log.info(line)
        if self.config.device == "auto" and hidden_gpus():
            self.log.warning(
                "Warning: CUDA_VISIBLE_DEVICES is set but empty, so no GPU can be used"
            )
        if self.precision.dtype is torch.bfloat16 and not has_bf16(self.precision.device):
            self.log.warning(
                "Warning: this processor emulates bf16, many times slower than float32; "
                "trainer.amp=off"
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

    def facts(self) -> dict[str, str]:
        """The lines of the console at the start: name -> text."""
        fit = self.fit
        data, config, plain = self.data, self.config, self.config.plain
        counts = {name: sum(p.numel() for p in params) for name, params in fit.groups.items()}
        strategies = "+".join(name for name, on in plain["strategy"]["use"].items() if on)
        start = f", from step {fit.progress.step}" if fit.progress.step else ""
        expected = prediction_for(data, config)
        theory = {} if expected is None else {"Theory": expected.words}
        return {
            "Data": f"{data.name} {'x'.join(map(str, data.shape))} {data.kind.value}: "
            f"{len(data.train.x):,} train, {len(data.val.x):,} val, {len(data.test.x):,} test"
            + lost(data),
            "Model": f"{plain['model']['name']}, {plain['decoder']['size']} decoder, "
            f"{config.model.latent_dim} latents, {plain['likelihood']['name']} likelihood",
            "Parameters": f"encoder {counts['encoder']:,}, decoder {counts['decoder']:,}",
            "Objective": f"strategy {strategies}, schedule {plain['schedule']['name']} to beta "
            f"{config.schedule.beta:g}",
            **theory,
            "Training": f"{fit.steps:,} decoder updates of {config.trainer.batch_size} examples "
            f"({fit.steps / fit.batches.per_epoch:.3g} epochs){start}",
            "Device": f"{self.precision.device} "
            f"({machine.device_name(self.precision.device)}), {self.precision}"
            + (", compiled" if fit.compiled else ""),
            "Run": str(self.directory.path),
            "TensorBoard": shlex.join(["tensorboard", "--logdir", str(self.directory.path)]),
        }
