"""Train one run: its updates, its evaluations and its checkpoints."""

# T decoder updates in the run; nats per example

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from vaecli.core.optimizers import Adam, AdamW, take_moments
from vaecli.core.randomness import derive, generator
from vaecli.data.files.vocabulary import PAD
from vaecli.data.sets.base import Data
from vaecli.evaluation.aggregate import mutual_information
from vaecli.evaluation.measures import measured
from vaecli.evaluation.passes import Encoded, look
from vaecli.objectives.objective import Objective, Outcome
from vaecli.objectives.schedules.base import Schedule
from vaecli.objectives.strategies.base import State, Update
from vaecli.training import checkpoint
from vaecli.training.compiling import chosen, compiled
from vaecli.training.loop import Loop
from vaecli.training.meter import Diverged, Meter
from vaecli.training.precision import Precision
from vaecli.training.progress import Progress
from vaecli.training.sequence_batches import batches_of
from vaecli.training.settings import Compile, LrSchedule, Optimizer, TrainerConfig
from vaecli.training.signals import StopRequests

LAST, PREVIOUS = "last.pt", "previous.pt"  # checkpoints to go on from
# Errors of a checkpoint that does not fit the run that reads it.
STRANGE = (RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError)
VALIDATION_SAMPLES = 10_000  # examples of the validation split in each evaluation


class Observer(Protocol):
    """An observer of a run: the console, the files, TensorBoard."""

    def window(self, step: int, means: dict[str, float]) -> None:
        """Every READ_EVERY updates: means of the loss and its terms, beta, images_per_second."""

    def evaluation(self, row: dict[str, Any]) -> None:
        """After every evaluation: a row of metrics.jsonl."""

    def warn(self, text: str) -> None:
        """Warn the user at once."""


class Fit(Loop):
    """One run in training. `run()` goes to its end; `state_dict()` is its exact position.

    A stack trains several of these together (`training.stack`). Each then keeps its position,
    records and checkpoints; only its updates and its passes over the validation split are shared.
    """

    observer: Observer

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
        self.batches = batches_of(data, trainer.batch_size, seed)
        self.per_epoch = self.batches.per_epoch
        self.steps = trainer.total_steps(self.per_epoch)
        self._curve = schedule.curve(self.steps, self.per_epoch)  # on the host, for the records
        self.betas = self._curve.to(device)
        self.target = schedule.beta
        self.noise = generator(seed, "noise", device=device)
        self.binarisation = generator(seed, "binarisation", device=device)
        self.groups = objective.parameter_groups()
        self.lrs = {
            name: trainer.lr * objective.filling("updates").lr_factors().get(name, 1.0)
            for name in self.groups
        }
        kind = {Optimizer.adam: Adam, Optimizer.adamw: AdamW}
        self.optimizer = kind[trainer.optimizer](
            [{"params": params, "lr": self.lrs[name]} for name, params in self.groups.items()],
            weight_decay=trainer.weight_decay,
            fused=device.type in ("cpu", "cuda"),
        )
        self.scaler = precision.scaler()
        self.compiled = chosen(trainer.compile, device, self.steps)
        self.forward = self.compile(objective) if self.compiled else objective
        self.state = self._placed(objective.init_state())
        self.progress = Progress()
        self.moving: Update | None = None
        self.restarted_streams = False  # resumed on another kind of device
        self.meter = Meter(trainer.batch_size)

    # ------------------------------------------------------------------ the loop

    def run(self, stop: StopRequests, observer: Observer) -> Progress:
        """Train to the end. Raises Diverged, or Interrupted with the checkpoint written."""
        self.observer = observer
        self.go(stop)
        return self.progress

    @property
    def step(self) -> int:
        """The number of decoder updates so far."""
        return self.progress.step

    @property
    def begun(self) -> bool:
        """True after the first update of either half."""
        return bool(self.progress.step or self.progress.encoder_updates)

    @property
    def unread(self) -> int:
        """Updates since the last look at the device."""
        return len(self.meter)

    @property
    def out_of_time(self) -> bool:
        """True after `trainer.max_seconds`; the clock is read with the meter."""
        limit = self.trainer.max_seconds
        return limit is not None and self.meter.seconds >= limit

    def update(self) -> bool:
        """One optimiser step; True if the decoder moved."""
        objective, progress = self.objective, self.progress
        strategy = objective.filling("updates")
        update = strategy.next_update(self.state)
        self._set_moving(update)
        x = self.data.ready(self.batches.rows(update.batch), self.binarisation)
        noise = {
            name: torch.randn(shape, generator=self.noise, device=x.device)
            for name, shape in objective.vae.noise_shapes(len(x)).items()
        }
        beta = self.betas[progress.step]
        read = {key: self.state[key] for key in objective.loss_keys}
        with self.precision.autocast():
            loss, statistics, state = self.forward(x, noise, beta, read)
        self.scaler.scale(loss).backward()
        self._step()
        self.meter.add(statistics)
        loss = self._comparable(statistics[0], x)
        self.state = strategy.after_update({**self.state, **state}, update, loss)
        progress.encoder_updates += update.encoder
        progress.step += update.decoder
        return update.decoder

    def _comparable(self, loss: Tensor, x: Tensor) -> Tensor:
        """A batch's loss in a unit that others share: per token of sequences, since lengths differ.

        (He et al. 2019 do so too, over all tokens of a window; here it is a mean over its batches.)
        """
        if not self.data.kind.of_sequences:
            return loss
        return loss * len(x) / (x != PAD).sum()

    def compile(self, forward: Callable[..., Outcome]) -> Callable[..., Outcome]:
        """`forward` compiled; under trainer.compile=auto it stays as it is if that fails."""
        auto = self.trainer.compile is Compile.auto
        otherwise = (lambda text: self.observer.warn(text)) if auto else None
        one_graph = not self.data.kind.of_sequences
        return compiled(forward, self.precision.device, whole=one_graph, otherwise=otherwise)

    def _step(self) -> None:
        self.set_lrs()
        if self.trainer.clip is not None:
            self.scaler.unscale_(self.optimizer)
            moving = [p for params in self.groups.values() for p in params if p.grad is not None]
            torch.nn.utils.clip_grad_norm_(moving, self.trainer.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)

    def set_lrs(self) -> None:
        """Put the learning rates of the present step into the optimiser."""
        share = self.lr_share()
        for group, lr in zip(self.optimizer.param_groups, self.lrs.values(), strict=True):
            group["lr"] = lr * share

    def lr_share(self) -> float:
        """The factor of the learning-rate schedule at the present step."""
        done = self.progress.step / self.steps
        if self.trainer.lr_schedule is LrSchedule.cosine:
            return 0.5 + 0.5 * math.cos(math.pi * done)
        return 1 - done if self.trainer.lr_schedule is LrSchedule.linear else 1.0

    def _placed(self, state: State) -> State:
        """Put the state that the loss reads on the device; the rest stays on the host."""
        device, read = self.precision.device, self.objective.loss_keys
        return {k: v.to(device) if k in read else v for k, v in state.items()}

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

    def read_window(self) -> None:
        """Read the meter, if there is anything in it. Raises Diverged."""
        if self.unread:
            self.report_window(self.meter.read(self.step))

    def report_window(self, means: dict[str, float]) -> None:
        """Tell the observer the means of the updates since the last look."""
        self.observer.window(self.step, {**means, "beta": self._beta()})

    def _beta(self) -> float:
        return self._curve[min(self.step, self.steps - 1)].item()

    def pause(self, *, evaluate: bool, epoch_over: bool) -> None:
        """Look at the validation split, off the clock."""
        self.read_window()
        if evaluate or epoch_over:
            self.take_stock(*self._look(), evaluate=evaluate, epoch_over=epoch_over)
        self.objective.train()
        self.meter.start()

    @property
    def sees_epochs(self) -> bool:
        """True if the strategy wants to see the validation split after every epoch."""
        return self.objective.filling("updates").sees_epochs

    def _look(self) -> tuple[Encoded, Tensor]:
        self.objective.eval()
        with self.precision.autocast():
            vae, seed = self.objective.vae, self.seed
            return look(vae, self.data, "val", seed=seed, samples=VALIDATION_SAMPLES)

    def take_stock(
        self, encoded: Encoded, per_example: Tensor, *, evaluate: bool, epoch_over: bool
    ) -> None:
        """Record an evaluation, and let the strategy see the validation split.

        Args:
            encoded: the validation split.
            per_example: distortion of each example (N,).
            evaluate: record a row of metrics.jsonl.
            epoch_over: call the strategy's `after_epoch`.

        Raises:
            Diverged: a value is not finite.
        """
        for name, values in (("rate", encoded.kl_per_dim), ("distortion", per_example)):
            if not values.isfinite().all():
                raise Diverged(self.step, f"validation {name}", values.sum().item())
        if evaluate:
            self._record(encoded, per_example)
        if epoch_over:
            self.state = self.objective.filling("updates").after_epoch(self.state, encoded)

    def _record(self, encoded: Encoded, per_example: Tensor) -> None:
        prior = self.objective.vae.prior
        figures = measured(encoded, per_example, threshold=self.threshold, prior=prior)
        progress = self.progress
        row = {
            "step": progress.step,
            "epoch": progress.step / self.per_epoch,
            "encoder_updates": progress.encoder_updates,
            "decoder_updates": progress.step,
            "seconds": self.meter.seconds,
            "beta": self._beta(),
            "loss": figures["distortion"] + self.target * figures["rate"],
            **figures,
            "mutual_information": mutual_information(encoded, seed=self.seed).value,
            **self.meter.training_means(),
        }
        collapse = progress.watch(row)
        if collapse is not None:
            self.observer.warn(collapse)
        self.observer.evaluation(row)
        if row["loss"] < progress.best and progress.step > 0:
            progress.best = row["loss"]
            self.save("best")

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
        """Go to the position that `state_dict` returned.

        Raises one of STRANGE if it is that of another run, or none.
        """
        self.objective.vae.load_state_dict(state["model"])
        take_moments(self.optimizer, state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        strategies = dict(state["strategies"])
        if {k: v.shape for k, v in strategies.items()} != {
            k: v.shape for k, v in self.state.items()
        }:
            raise ValueError("the state of other strategies")
        self.state = self._placed(strategies)
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

    def save_last(self) -> None:
        """Write last.pt, unless the run diverged since it was last looked at. Raises Diverged."""
        self.read_window()
        self.save("last")
        self.meter.start()  # the write is not training time

    def save(self, name: str) -> None:
        """Write a checkpoint. What the meter holds must have been read.

        Raises Diverged, leaving the checkpoint before, if a weight is not finite: after a gradient
        that was not, the loss tells only an update later.
        """
        weights = [p.detach() for params in self.groups.values() for p in params]
        norms = torch._foreach_norm(weights, ord=math.inf)  # pyright: ignore[reportPrivateImportUsage]
        norm = torch.stack(norms).max()
        if not norm.isfinite():
            raise Diverged(self.step, "a weight", norm.item())
        self.set_lrs()
        keep = self.directory / PREVIOUS if name == "last" else None
        checkpoint.save(self.directory / f"{name}.pt", self.state_dict(), keep=keep)
