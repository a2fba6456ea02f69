"""Train many runs at once: their weights stacked, every update one vmapped forward pass."""

# S stacked runs, B batch, K samples, Z latent, W updates since the last look

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from vaecli.evaluation.passes import Encoded
from vaecli.models.parts.stacked_layers import LayersAsAlone
from vaecli.objectives.strategies.base import Update
from vaecli.training.fit import VALIDATION_SAMPLES, Fit
from vaecli.training.loop import Loop
from vaecli.training.settings import Optimizer
from vaecli.training.signals import StopRequests
from vaecli.training.stack.adam import Rates, StackedAdam
from vaecli.training.stack.evaluation import look_together
from vaecli.training.stack.stackable import differing_numbers, forward_pass
from vaecli.training.stack.streams import share

Tensors = dict[str, Tensor]


class Stack(Loop):
    """Several runs in training, in lockstep; each of them is a `Fit`.

    The runs must agree in all but tensors (`stackable.agree`) and stand at the same update. Their
    parameters, buffers and moments become views of the stack's, so a run's checkpoint, its
    evaluation and its diagnosis are those of a run alone.

    A run that diverges or fails is taken out, and the others go on.
    """

    def __init__(self, fits: list[Fit], ended: Callable[[Fit, Exception], None]):
        """Stack `fits`; `ended` is called with each run that leaves early, and its error."""
        self.fits = sorted(fits, key=_rates)  # runs of equal rates side by side, for StackedAdam
        self.ended = ended
        first = fits[0]
        self.trainer, self.steps, self.per_epoch = first.trainer, first.steps, first.per_epoch
        self.data, self.precision = first.data, first.precision
        self._window: list[Tensor] = []  # (S, 3) each
        self._bind()
        self._start_clock()

    # ------------------------------------------------------------------ the loop

    def run(self, stop: StopRequests) -> None:
        """Train to the end; every run's `observer` must be set. Raises Interrupted."""
        self.go(stop)

    @property
    def step(self) -> int:
        """The number of decoder updates so far."""
        return self._step

    @property
    def begun(self) -> bool:
        """True after the first update, which all runs do together."""
        return self.fits[0].begun

    @property
    def unread(self) -> int:
        """Updates since the last look at the device."""
        return len(self._window)

    @property
    def running(self) -> bool:
        """True if a run is in the stack and there are more updates to do."""
        return bool(self.fits) and super().running

    def update(self) -> bool:
        """One optimiser step of all; True if the decoders moved."""
        # One forward pass is mapped over the first axis of weights, batch, noise, beta and state.
        # The runs share no weight, so the gradient of the sum of their losses is, row by row, the
        # gradient of each run's own loss. Adam is elementwise and keeps the rows apart as well.
        first = self.fits[0]
        update = self._next_update()
        self._set_moving(update)
        x = self._streams.batch(update.batch)
        noise = self._streams.noise(first.objective.vae.noise_shapes(x.shape[1]))
        with self.precision.autocast(), LayersAsAlone():
            beta = self._betas[:, self.step]  # (S,)
            weights = self._leaves, self._buffers, self._numbers
            losses, statistics, state = self._forward(*weights, x, noise, beta, self._loss_state())
        losses.sum().backward()
        self._clip()
        self._adam.step(first.lr_share())
        self._window.append(statistics)
        decides = first.objective.fills("updates")
        for row, fit in enumerate(self.fits):
            fit.state |= {key: value[row] for key, value in state.items()}
            if decides:
                strategy = fit.objective.filling("updates")
                fit.state = strategy.after_update(fit.state, update, statistics[row, 0])
            fit.progress.encoder_updates += update.encoder
            fit.progress.step += update.decoder
        self._step += update.decoder
        return update.decoder

    def read_window(self) -> None:
        """Read all runs' statistics with one copy; takes out those that diverged."""
        if not self._window:
            return
        rows = torch.stack(self._window, dim=1).tolist()  # (S, W, 3)
        self._window = []
        now = time.perf_counter()
        elapsed, self._clock = now - self._clock, now
        share = elapsed / len(self.fits)  # the runs' shares add up to the time of the stack
        self._each(lambda fit, row: fit.report_window(fit.meter.take(rows[row], share, self.step)))

    def pause(self, *, evaluate: bool, epoch_over: bool) -> None:
        """Look at the validation split with all runs at once."""
        self.read_window()
        if self.fits and (evaluate or epoch_over):
            seen = self._look()
            self._each(
                lambda fit, row: fit.take_stock(
                    *seen[row], evaluate=evaluate, epoch_over=epoch_over
                )
            )
        for fit in self.fits:
            fit.objective.train()
        self._start_clock()

    @property
    def sees_epochs(self) -> bool:
        """True if the runs' strategy wants to see the validation split after every epoch."""
        return bool(self.fits) and self.fits[0].sees_epochs

    def save_last(self) -> None:
        """Write every run's last.pt."""
        self.read_window()
        self._each(lambda fit, row: fit.save("last"))
        self._start_clock()

    # ------------------------------------------------------------------ one update

    def _next_update(self) -> Update:
        """The next update. Raises RuntimeError if the runs ask for different ones."""
        asked = self.fits if self.fits[0].objective.fills("updates") else self.fits[:1]
        updates = {fit.objective.filling("updates").next_update(fit.state) for fit in asked}
        if len(updates) > 1:
            raise RuntimeError("its runs ask for different updates next")
        return updates.pop()

    def _loss_state(self) -> Tensors:
        """The state that the loss reads and renews, (S, ...) each."""
        keys = self.fits[0].objective.loss_keys
        return {key: torch.stack([fit.state[key] for fit in self.fits]) for key in keys}

    def _clip(self) -> None:
        """Clip the gradient of each run to its `trainer.clip`, as clip_grad_norm_ does."""
        if self._largest is None:
            return
        # clip_grad_norm_ takes the norm of the norms of all parameters; here once for each row.
        grads = [leaf.grad for leaf in self._leaves.values() if leaf.grad is not None]
        norm = torch.stack([grad.flatten(1).norm(dim=1) for grad in grads]).norm(dim=0)  # (S,)
        factor = (self._largest / (norm + 1e-6)).clamp(max=1.0)
        for grad in grads:
            grad.mul_(factor.view(-1, *(1,) * (grad.dim() - 1)))

    def _set_moving(self, update: Update) -> None:
        if self._moving == update[:2]:
            return
        for name, leaves in self._adam.groups.items():
            for leaf in leaves:
                leaf.requires_grad_(getattr(update, name))
        self._moving = update[:2]

    # ------------------------------------------------------------------ the validation split

    def _look(self) -> list[tuple[Encoded, Tensor]]:
        for fit in self.fits:
            fit.objective.eval()
        with self.precision.autocast(), LayersAsAlone():
            return look_together(
                self.fits[0].objective.vae,
                self._leaves,
                self._buffers,
                self.data,
                "val",
                seeds=[fit.seed for fit in self.fits],
                samples=VALIDATION_SAMPLES,
            )

    # ------------------------------------------------------------------ who is in the stack

    def _bind(self) -> None:
        """Stack the runs' weights, moments and settings; the runs keep views of the stack.

        Called anew whenever a run has left: the stack then has one row less.
        """
        fits, first = self.fits, self.fits[0]
        device = self.precision.device
        vaes = [fit.objective.vae for fit in fits]
        # Weights: (S, ...) leaves of autograd. The first run's modules say how they are used.
        self._leaves = _stacked([dict(vae.named_parameters()) for vae in vaes])
        self._buffers = _stacked([dict(vae.named_buffers()) for vae in vaes])
        # Adam: the groups of the first run's optimiser, by the names of their parameters.
        names = {id(p): name for name, p in vaes[0].named_parameters()}
        groups = {g: [names[id(p)] for p in params] for g, params in first.groups.items()}
        self._adam = StackedAdam(
            {g: [self._leaves[name] for name in members] for g, members in groups.items()},
            [_rates(fit) for fit in fits],
            decoupled=first.trainer.optimizer is Optimizer.adamw,
        )
        self._bind_moments(groups)
        # Settings that may differ from run to run become tensors: clip, beta, a strategy's numbers.
        clips = [fit.trainer.clip for fit in fits]
        self._largest = None if clips[0] is None else torch.tensor(clips, device=device)
        self._betas = torch.stack([fit.betas for fit in fits])  # (S, T)
        self._loss_strategy = first.objective.filling("loss")
        strategies = [fit.objective.filling("loss") for fit in fits]
        self._numbers = {
            key: torch.tensor([getattr(s, key) for s in strategies], device=device)
            for key in differing_numbers(strategies)
        }
        self._forward = torch.vmap(forward_pass(first.objective.vae, self._loss_strategy))
        if first.compiled:
            self._forward = first.compile(self._forward)
        self._streams = share(fits)
        self._moving: tuple[bool, bool] | None = None
        self._step = first.progress.step

    def _bind_moments(self, groups: dict[str, list[str]]) -> None:
        """Let the state of each run's optimiser be its rows of the stack's.

        Moments that a run has already, as after a checkpoint, are copied into its rows first.
        """
        for group, members in groups.items():
            for place, name in enumerate(members):
                for row, fit in enumerate(self.fits):
                    state = fit.optimizer.state[fit.groups[group][place]]
                    rows = self._adam.state(self._leaves[name], row)
                    for key, value in rows.items():
                        if key in state:
                            value.copy_(state[key])
                    state.update(rows)

    def _each(self, act: Callable[[Fit, int], None]) -> None:
        """Call `act` for every run; runs for which it fails leave the stack."""
        failed = []
        for row, fit in enumerate(self.fits):
            try:
                act(fit, row)
            except Exception as error:
                failed.append((fit, error))
        for fit, error in failed:
            self.fits.remove(fit)
            self.ended(fit, error)
        if failed and self.fits:
            self._bind()

    def _start_clock(self) -> None:
        self._clock = time.perf_counter()


def _stacked(rows: list[Tensors]) -> Tensors:
    """Stack the tensors of S runs by name, (S, ...); each tensor becomes a view of its stack."""
    stacks = {}
    for name, first in rows[0].items():
        stack = torch.stack([row[name].detach() for row in rows])
        stacks[name] = stack.requires_grad_(isinstance(first, nn.Parameter))
        for place, row in enumerate(rows):  # an update of the stack now is one of the run's weights
            row[name].data = stack.detach()[place]
    return stacks


def _rates(fit: Fit) -> Rates:
    return Rates(tuple(fit.lrs.items()), fit.trainer.weight_decay)
