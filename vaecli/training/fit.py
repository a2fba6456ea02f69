"""Train one run: the loop, its evaluations and its checkpoints."""

# T decoder updates in the run; nats per example

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from vaecli.data.base import Data
from vaecli.diagnosis.information import mutual_information
from vaecli.diagnosis.rate import Encoded, evaluate
from vaecli.objectives.objective import Objective
from vaecli.objectives.schedules.base import Schedule
from vaecli.objectives.strategies.base import Strategy, Update
from vaecli.randomness import derive, generator
from vaecli.training import checkpoint
from vaecli.training.batches import Batches
from vaecli.training.meter import Diverged, Meter
from vaecli.training.precision import Precision
from vaecli.training.settings import LrSchedule, Optimizer, TrainerConfig
from vaecli.training.signals import StopRequests

READ_EVERY = 50  # updates between two looks at the device: progress bar and finiteness
COLLAPSED_AFTER = 3  # evaluations in a row with no active dimension
VALIDATION_SAMPLES = 10_000  # examples of the validation split in each evaluation


class Observer(Protocol):
    """What watches a run: the console, the files, TensorBoard."""

    def window(self, step: int, means: dict[str, float]) -> None:
        """Every READ_EVERY updates: means of the loss and its terms, beta, images_per_second."""

    def evaluation(self, row: dict[str, Any]) -> None:
        """After every evaluation: a row of metrics.jsonl."""

    def warn(self, text: str) -> None:
        """Something the user should hear of now."""


@dataclass
class Progress:
    """How far a run is; plain numbers, all of them in the checkpoint."""

    step: int = 0  # decoder updates made; schedules, epochs and logs count these
    encoder_updates: int = 0
    best: float = math.inf  # lowest validation distortion + schedule.beta x rate so far
    inactive_evaluations: int = 0  # in a row
    collapsed_at_step: int | None = None


class Fit:
    """One run in training. `run()` goes to its end; `state_dict()` is its exact position."""

    def __init__(
        self,
        objective: Objective,
        data: Data,
        *,
        trainer: TrainerConfig,
        schedule: Schedule,
        precision: Precision,
        seed: int,
        threshold: float,
        directory: Path,
    ):
        self.objective, self.data = objective, data
        self.trainer, self.precision = trainer, precision
        self.seed, self.threshold = seed, threshold
        self.directory = directory
        device = precision.device
        self.batches = Batches(data, trainer.batch_size, seed)
        self.steps = trainer.total_steps(self.batches.per_epoch)
        self.betas = schedule.curve(self.steps, self.batches.per_epoch).to(device)
        self.target = schedule.beta
        self.noise = generator(seed, "noise", device=device)
        self.binarisation = generator(seed, "binarisation", device=device)
        self.groups = objective.parameter_groups()
        self.lrs = {
            name: trainer.lr * objective.filling("updates").lr_factors().get(name, 1.0)
            for name in self.groups
        }
        kind = {Optimizer.adam: torch.optim.Adam, Optimizer.adamw: torch.optim.AdamW}
        self.optimizer = kind[trainer.optimizer](
            [{"params": params, "lr": self.lrs[name]} for name, params in self.groups.items()],
            weight_decay=trainer.weight_decay,
            fused=device.type in ("cpu", "cuda"),
        )
        self.scaler = precision.scaler()
        self.state = objective.init_state()
        self.progress = Progress()
        self.moving: Update | None = None
        self.restarted_streams = False  # resumed on another kind of device
        self.meter = Meter(trainer.batch_size)

    # ------------------------------------------------------------------ the loop

    def run(self, stop: StopRequests, observer: Observer) -> Progress:
        """Train to the end. Raises Diverged, or Interrupted with the checkpoint written."""
        progress = self.progress
        self.observer = observer
        every = max(1, round(self.trainer.evaluate_every * self.batches.per_epoch))
        save_every = max(1, round(self.trainer.checkpoint_every * self.batches.per_epoch))
        if progress.step == 0:
            self._evaluate()
        self.objective.train()
        self.meter.start()
        while progress.step < self.steps:
            decoder_moved = self._update()
            if len(self.meter) == READ_EVERY:
                self._read_window()
            if decoder_moved:
                at_end = progress.step == self.steps
                epoch_over = progress.step % self.batches.per_epoch == 0
                due = at_end or progress.step % every == 0
                if due or epoch_over:
                    self._pause(evaluate=due, epoch_over=epoch_over)
                if at_end or progress.step % save_every == 0:
                    self._save("last")
                    self.meter.start()  # the write is not training time
            if stop.received is not None:
                self._read_window()
                self._save("last")
                stop.raise_if_received()
        return progress

    def _update(self) -> bool:
        """One optimiser step; True if the decoder moved."""
        objective, progress = self.objective, self.progress
        strategy = objective.filling("updates")
        update = strategy.next_update(self.state)
        self._set_moving(update)
        x = self.data.batch(self.data.train, self.batches.index(update.batch), self.binarisation)
        noise = {
            name: torch.randn(shape, generator=self.noise, device=x.device)
            for name, shape in objective.vae.noise_shapes(len(x)).items()
        }
        beta = self.betas[progress.step]
        with self.precision.autocast():
            loss, (terms, self.state) = objective(x, noise, beta, self.state)
        self.scaler.scale(loss).backward()
        self._step()
        with torch.no_grad():
            distortion, rate = -terms.log_px.mean(), terms.kl_per_dim.sum(-1).mean()
            self.meter.add(loss.detach(), distortion, rate)
        self.state = strategy.after_update(self.state, update, loss)
        progress.encoder_updates += update.encoder
        progress.step += update.decoder
        return update.decoder

    def _step(self) -> None:
        share = self._lr_share()
        for group, lr in zip(self.optimizer.param_groups, self.lrs.values(), strict=True):
            group["lr"] = lr * share
        if self.trainer.clip is not None:
            self.scaler.unscale_(self.optimizer)
            moving = [p for params in self.groups.values() for p in params if p.grad is not None]
            torch.nn.utils.clip_grad_norm_(moving, self.trainer.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)

    def _lr_share(self) -> float:
        done = self.progress.step / self.steps
        if self.trainer.lr_schedule is LrSchedule.cosine:
            return 0.5 + 0.5 * math.cos(math.pi * done)
        return 1 - done if self.trainer.lr_schedule is LrSchedule.linear else 1.0

    def _set_moving(self, update: Update) -> None:
        # A half that rests gets no gradient: backward skips its weights, and Adam skips a
        # parameter without one, moments and all.
        if self.moving is not None and self.moving[:2] == update[:2]:
            return
        for name, params in self.groups.items():
            for p in params:
                p.requires_grad_(getattr(update, name))
        self.moving = update

    # ------------------------------------------------------------------ looks at the device

    def _read_window(self) -> None:
        """Read the meter, if there is anything in it. Raises Diverged."""
        if not len(self.meter):
            return
        means = self.meter.read(self.progress.step)
        means["beta"] = self._beta()
        self.observer.window(self.progress.step, means)

    def _beta(self) -> float:
        return self.betas[min(self.progress.step, self.steps - 1)].item()

    def _pause(self, *, evaluate: bool, epoch_over: bool) -> None:
        """Look at the validation split, off the clock."""
        self._read_window()
        encoded = self._evaluate() if evaluate else None
        strategy = self.objective.filling("updates")
        if epoch_over and type(strategy).after_epoch is not Strategy.after_epoch:
            if encoded is None:
                encoded = self._measure()[1]
            self.state = strategy.after_epoch(self.state, encoded)
        self.objective.train()
        self.meter.start()

    def _measure(self) -> tuple[dict, Encoded]:
        self.objective.eval()
        with self.precision.autocast():
            found, encoded, _ = evaluate(
                self.objective.vae,
                self.data,
                "val",
                seed=self.seed,
                threshold=self.threshold,
                samples=VALIDATION_SAMPLES,
            )
        found["mutual_information"] = mutual_information(encoded, seed=self.seed).value
        return found, encoded

    def _evaluate(self) -> Encoded:
        progress = self.progress
        found, encoded = self._measure()
        row = {
            "step": progress.step,
            "epoch": progress.step / self.batches.per_epoch,
            "encoder_updates": progress.encoder_updates,
            "decoder_updates": progress.step,
            "seconds": self.meter.seconds,
            "beta": self._beta(),
            "loss": found["distortion"] + self.target * found["rate"],
            **found,
            **self.meter.training_means(),
        }
        if not math.isfinite(row["loss"]):
            raise Diverged(progress.step, "validation loss", row["loss"])
        self._watch_for_collapse(row)
        self.observer.evaluation(row)
        if row["loss"] < progress.best and progress.step > 0:
            progress.best = row["loss"]
            self._save("best")
        return encoded

    def _watch_for_collapse(self, row: dict) -> None:
        progress = self.progress
        dead = row["active_dimensions"] == 0 and row["beta"] > 0 and progress.step > 0
        progress.inactive_evaluations = progress.inactive_evaluations + 1 if dead else 0
        if progress.inactive_evaluations == COLLAPSED_AFTER and progress.collapsed_at_step is None:
            progress.collapsed_at_step = progress.step
            self.observer.warn(
                f"posterior collapse: no active dimension in {COLLAPSED_AFTER} evaluations, "
                f"at step {progress.step} with beta {row['beta']:.3g}"
            )

    # ------------------------------------------------------------------ checkpoints

    def state_dict(self) -> dict[str, Any]:
        """The run's exact position, in plain types and tensors."""
        return {
            "model": self.objective.vae.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "strategies": dict(self.state),
            "batches": self.batches.state_dict(),
            "noise": self.noise.get_state(),
            "binarisation": self.binarisation.get_state(),
            "progress": asdict(self.progress),
            "meter": self.meter.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to the position that `state_dict` returned."""
        self.objective.vae.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.state = dict(state["strategies"])
        self.batches.load_state_dict(state["batches"])
        self.progress = Progress(**state["progress"])
        for purpose in ("noise", "binarisation"):
            stream: torch.Generator = getattr(self, purpose)
            try:
                stream.set_state(state[purpose])
            except RuntimeError:  # made on another kind of device
                stream.manual_seed(derive(self.seed, purpose, index=1 + self.progress.step))
                self.restarted_streams = True
        self.meter.load_state_dict(state["meter"])

    def _save(self, name: str) -> None:
        self._read_window()  # raises Diverged: a checkpoint is only ever written by a sound run
        checkpoint.save(self.directory / f"{name}.pt", self.state_dict())
