"""One run from its validated config to its report."""

from __future__ import annotations

import shlex
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from vaecli.config.identity import flat
from vaecli.config.schema import Config
from vaecli.core import machine
from vaecli.core.errors import DIVERGED, DONE, FAILED, UsageError, require
from vaecli.core.rundir import SUMMARY, VOCABULARY
from vaecli.data.sets.base import Data
from vaecli.data.sets.sequence_set import lost
from vaecli.reporting import console
from vaecli.reporting.console import StackBar
from vaecli.reporting.recorder import Recorder
from vaecli.reporting.tensorboard import TensorBoard
from vaecli.runs.build import build, predict
from vaecli.runs.load import restore
from vaecli.runs.opening import Job, checkpoints, open_run, position, recorded, write_down
from vaecli.runs.report import report, report_so_far
from vaecli.training.fit import STRANGE, VALIDATION_SAMPLES, Fit
from vaecli.training.meter import Diverged
from vaecli.training.precision import choose_precision, has_bf16, hidden_gpus
from vaecli.training.signals import Interrupted, StopRequests


def run(job: Job, config: Config, data: Data, stop: StopRequests) -> int:
    """Train, diagnose and report; returns the run's exit code.

    data: on the device that the config chooses. stop: active, and heeded.
    Raises UsageError, before anything is written, for a directory that cannot be used.
    """
    one = Run(job, config, data)
    try:
        with one.guard():
            one.begin()
            one.fit.run(stop, one.recorder)
            one.trained()
            stop.raise_if_received()
            one.report()
    finally:
        one.close()
    return one.code


class Run:
    """One run: its directory and its log, how it is recorded, and how it ends.

    Alone it is begun, trained and reported in one go (`run`); in a stack the training in between
    is shared with others (`stack.run_stack`). `code` is its exit code; None while it goes on.
    """

    fit: Fit
    recorder: Recorder

    def __init__(self, job: Job, config: Config, data: Data, *, bar: StackBar | None = None):
        """Claim or reopen the directory. Raises UsageError if that cannot be.

        data: on the device. bar: of the stack that the run is trained in; it then leaves the
        console to it.
        """
        self.job, self.config, self.data, self.bar = job, config, data, bar
        self.precision = choose_precision(config.trainer.amp, data.device)
        self.plain = recorded(config, data)  # config.resolved.yaml
        self.directory, self.log, self.before = open_run(job, self.plain, data, echo=bar is None)
        self.code: int | None = None
        self.ended = ""  # how, and why, if it was not at its end
        self._open = ExitStack()

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Whatever ends the run in here becomes its exit code, its recorded state and its log.

        Raises UsageError for a continuation that is refused, the run being left as it was.
        """
        try:
            yield
        except (Interrupted, KeyboardInterrupt) as interrupted:
            self._end("interrupted", str(interrupted) or "SIGINT")
            if isinstance(interrupted, Interrupted):  # else it is the second, and wants out
                self._report_so_far()
            again = shlex.join(["vae-train", f"resume={self.directory.path}"])
            self.log.warning("Interrupted. Go on: %s", again)
            self.code = getattr(interrupted, "exit_code", 130)
        except Diverged as diverged:
            self._end("diverged", str(diverged))
            self._report_so_far()
            kept = bool(checkpoints(self.directory.path))
            before = " The checkpoint before it is kept." if kept else ""
            self.log.error("Diverged: %s.%s", diverged, before)
            self.log.error("Try a lower trainer.lr, or trainer.clip=5.")
            self.code = DIVERGED
        except UsageError:
            self.directory.write_json(SUMMARY, self.before)
            raise
        except OSError as error:  # a full disk, a file system that is gone
            self._end("failed", f"{type(error).__name__}: {error}"[:300])
            self.log.error("Failed: %s", error)
            if checkpoints(self.directory.path):
                again = shlex.join(["vae-train", f"resume={self.directory.path}"])
                self.log.error("The checkpoint before it is kept. Go on: %s", again)
            self.code = FAILED
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            self._end("failed", reason.splitlines()[0][:300])
            self.log.error("Failed: %s", "".join(traceback.format_exception(error)))
            # A traceback's frames keep this run's tensors alive; the next of a sweep needs them.
            traceback.clear_frames(error.__traceback__)
            self.code = FAILED

    def begin(self) -> None:
        """Build what is trained, from the start or at its last checkpoint, and open its records."""
        config, directory = self.config, self.directory
        checkpoint = position(self.job, self.log) if self.job.resume else None
        self.fit = self._fit(checkpoint)
        start = self.fit.progress.step
        if self.job.resume:  # it may be longer than it was, or diagnosed in another way
            write_down(directory, self.job, self.plain)
            directory.update_summary(overrides=self.job.overrides)
        self._record_environment()
        directory.keep_rows_until(-1 if checkpoint is None else start)
        self.board = self._open.enter_context(
            TensorBoard(
                directory.path / "tensorboard",
                latent_dim=config.model.latent_dim,
                hparams={
                    k: v for k, v in flat(self.plain).items() if not k.startswith("diagnosis.")
                },
                purge_step=start if self.job.resume else None,
                history=directory.rows(),
                threshold=config.diagnosis.threshold,
            )
        )
        self._introduce()
        self.recorder = self._open.enter_context(
            Recorder(
                directory, self.board, self.log, steps=self.fit.steps, start=start, bar=self.bar
            )
        )
        self.fit.observer = self.recorder

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
        directory.update_summary(run_state="done")
        self.log.info("Report       %s", directory.path / "report.html")
        self.code = DONE

    def summary(self) -> dict[str, Any]:
        """The run's state and figures so far, as in summary.json."""
        return self.directory.read_json(SUMMARY)

    def close(self) -> None:
        """Close the records and the log; what is lost of the curves then is said, not raised."""
        try:
            self._open.close()
        except OSError as error:
            self.log.error("TensorBoard's file could not be closed: %s", error)
        console.close_log(self.log)

    # ------------------------------------------------------------------ what it is made of

    def _end(self, state: str, reason: str) -> None:
        self.ended = f"{state}, {reason}"
        try:
            self.directory.update_summary(run_state=state, reason=reason)
        except (OSError, UsageError) as error:  # what ended the run may keep it from being told
            self.log.error("%s; not recorded: %s", self.ended, str(error).splitlines()[0])

    def _report_so_far(self) -> None:
        """A page of what is recorded; a run of a stack, one of many that stop at once, draws none.

        What keeps it from being written must not keep the run from ending as it should.
        """
        plots = self.bar is None and self.config.diagnosis.plots
        examples = min(len(self.data.val.x), VALIDATION_SAMPLES)
        try:
            page = report_so_far(
                self.directory,
                self.config,
                overrides=self.job.overrides,
                examples=examples,
                plots=plots,
            )
            self.log.info("Report       %s", page)
        except (Exception, KeyboardInterrupt) as error:  # a second SIGINT costs the page only
            self.log.warning("No report: %s: %s", type(error).__name__, error)

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
                fit.step <= fit.steps, "trainer.epochs", self.config.trainer.epochs,
                f"ends the run at update {fit.steps}, and it has made {fit.step}",
                "leave it out, or let it go on for longer",
            )  # fmt: skip
        return fit

    def _record_environment(self) -> None:
        if not (self.directory.path / "environment.json").exists():
            seeds = {"seed": self.config.seed, "data.seed": self.plain["data"].get("seed", 0)}
            described = machine.describe(self.precision.device, seeds)
            self.directory.write_json("environment.json", described)
        words = self.data.vocabulary
        if words is not None and not (self.directory.path / VOCABULARY).exists():
            known = {"level": words.level.value, "words": words.words}
            self.directory.write_json(VOCABULARY, known)

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
        """What the console tells at the start."""
        fit = self.fit
        data, config, plain = self.data, self.config, self.plain
        counts = {name: sum(p.numel() for p in params) for name, params in fit.groups.items()}
        strategies = "+".join(name for name, on in plain["strategy"]["use"].items() if on)
        start = f", from step {fit.progress.step}" if fit.progress.step else ""
        expected = predict(data, config)
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
