"""Train many runs at once: their weights stacked, every update one vmapped forward pass."""

# S stacked runs, B batch, K samples, Z latent, W updates since the last look

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from vaecli.data.base import Data
from vaecli.diagnosis.rate import Encoded
from vaecli.diagnosis.together import look_together
from vaecli.models.stacked_layers import LayersAsAlone
from vaecli.models.vae import VAE
from vaecli.objectives.objective import Objective
from vaecli.objectives.strategies.base import Strategy, Update
from vaecli.training.fit import VALIDATION_SAMPLES, Fit
from vaecli.training.loop import Loop
from vaecli.training.settings import Optimizer
from vaecli.training.signals import StopRequests
from vaecli.training.stacked_adam import Rates, StackedAdam

Tensors = dict[str, Tensor]


class Stack(Loop):
    """Several runs in training, in lockstep; each is a `Fit`, and stays one.

    The runs must agree in all but tensors (`agree`) and stand at the same update. Their parameters,
    buffers and moments become views of the stack's, so a run's checkpoint, its evaluation and its
    diagnosis are those of a run alone. Runs of the same seed share their batches and noise.

    A run that diverges or fails is taken out, and the others go on.
    """

    def __init__(self, fits: list[Fit], ended: Callable[[Fit, Exception], None]):
        """ended: told of each run that is taken out before its end, and why."""
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
        """Decoder updates made."""
        return self._step

    @property
    def unread(self) -> int:
        """Updates since the last look at the device."""
        return len(self._window)

    @property
    def running(self) -> bool:
        """Whether there is a run left, and an update."""
        return bool(self.fits) and super().running

    def update(self) -> bool:
        """One optimiser step of all; True if the decoders moved."""
        first = self.fits[0]
        strategy = first.objective.filling("updates")
        update = strategy.next_update(first.state)
        self._set_moving(update)
        x = self._batch(update.batch)
        noise = self._noise(x.shape[1])
        with self.precision.autocast(), LayersAsAlone():
            losses, statistics, state = self._forward(
                self._leaves, self._buffers, self._numbers, x, noise, self._betas[:, self.step],
                self._loss_state(),
            )  # fmt: skip
        losses.sum().backward()
        self._clip()
        self._adam.step(first.lr_share())
        self._window.append(statistics.detach())
        minds = type(strategy).after_update is not Strategy.after_update
        for row, fit in enumerate(self.fits):
            fit.state |= {key: value[row].detach() for key, value in state.items()}
            if minds:
                fit.state = strategy.after_update(fit.state, update, losses[row])
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
        share = elapsed / len(self.fits)  # a run's own part: the shares add up to the time it took
        self._each(lambda fit, row: fit.report_window(fit.meter.take(rows[row], share, self.step)))

    def pause(self, *, evaluate: bool, epoch_over: bool) -> None:
        """Look at the validation split with all runs at once."""
        self.read_window()
        if self.fits and (evaluate or (epoch_over and self.fits[0].minds_epochs)):
            seen = self._look()
            self._each(
                lambda fit, row: fit.take_stock(
                    *seen[row], evaluate=evaluate, epoch_over=epoch_over
                )
            )
        for fit in self.fits:
            fit.objective.train()
        self._start_clock()

    def save_last(self) -> None:
        """Write every run's last.pt."""
        self.read_window()

        def save(fit: Fit, row: int) -> None:
            fit.set_lrs()
            fit.save("last")

        self._each(save)
        self._start_clock()

    # ------------------------------------------------------------------ one update

    def _batch(self, which: str) -> Tensor:
        """The batches of all runs, (S, B, C, H, W)."""
        indices = [leader.batches.index(which) for leader in self._leaders]
        split = self.data.train
        if self.data.dynamic:  # each stream draws its own pixels
            x = torch.stack([
                self.data.batch(split, index, leader.binarisation)
                for index, leader in zip(indices, self._leaders, strict=True)
            ])  # fmt: skip
        else:
            x = self.data.batch(split, torch.cat(indices)).unflatten(0, (len(indices), -1))
        return self._for_runs(x)

    def _noise(self, size: int) -> Tensors:
        """The noise of all runs: name -> (S, K, B, Z) for "z"."""
        shapes = self.fits[0].objective.vae.noise_shapes(size)
        device = self.precision.device
        return {
            name: self._for_runs(
                torch.stack([
                    torch.randn(shape, generator=leader.noise, device=device)
                    for leader in self._leaders
                ])
            )
            for name, shape in shapes.items()
        }  # fmt: skip

    def _for_runs(self, streams: Tensor) -> Tensor:
        """One row a stream -> one row a run."""
        if len(self._leaders) == len(self.fits):
            return streams
        if len(self._leaders) == 1:
            return streams.expand(len(self.fits), *streams.shape[1:])
        return streams.index_select(0, self._stream)

    def _loss_state(self) -> Tensors:
        """The state that the loss reads and renews, (S, ...) each."""
        keys = self._loss_strategy.init_state()
        return {key: torch.stack([fit.state[key] for fit in self.fits]) for key in keys}

    def _clip(self) -> None:
        """Each run's gradient to at most its own `trainer.clip` in norm, as clip_grad_norm_."""
        if self._largest is None:
            return
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
                self.fits[0].objective.vae, self._leaves, self._buffers, self.data, "val",
                seeds=[fit.seed for fit in self.fits], samples=VALIDATION_SAMPLES,
            )  # fmt: skip

    # ------------------------------------------------------------------ who is in the stack

    def _bind(self) -> None:
        """Stack what the runs hold, and make each run's own a view of it."""
        fits, first = self.fits, self.fits[0]
        device = self.precision.device
        vaes = [fit.objective.vae for fit in fits]
        self._leaves = _stacked([dict(vae.named_parameters()) for vae in vaes])
        self._buffers = _stacked([dict(vae.named_buffers()) for vae in vaes])
        names = {id(p): name for name, p in vaes[0].named_parameters()}
        groups = {g: [names[id(p)] for p in params] for g, params in first.groups.items()}
        self._adam = StackedAdam(
            {g: [self._leaves[name] for name in members] for g, members in groups.items()},
            [_rates(fit) for fit in fits],
            decoupled=first.trainer.optimizer is Optimizer.adamw,
        )
        self._bind_moments(groups)
        clips = [fit.trainer.clip for fit in fits]
        self._largest = None if clips[0] is None else torch.tensor(clips, device=device)
        self._betas = torch.stack([fit.betas for fit in fits])  # (S, T)
        self._loss_strategy = first.objective.filling("loss")
        strategies = [fit.objective.filling("loss") for fit in fits]
        self._numbers = {
            key: torch.tensor([getattr(s, key) for s in strategies], device=device)
            for key in differing_numbers(strategies)
        }
        self._forward = torch.vmap(_pass(first.objective.vae, self._loss_strategy))
        self._share_streams()
        self._moving: tuple[bool, bool] | None = None
        self._step = first.progress.step

    def _bind_moments(self, groups: dict[str, list[str]]) -> None:
        """Adam's state likewise: each run's own optimiser looks at its rows of the stack's."""
        for group, members in groups.items():
            for place, name in enumerate(members):
                for row, fit in enumerate(self.fits):
                    own = fit.optimizer.state[fit.groups[group][place]]
                    ours = self._adam.state(self._leaves[name], row)
                    for key, value in ours.items():
                        if key in own:
                            value.copy_(own[key])
                    own.update(ours)

    def _share_streams(self) -> None:
        """Runs whose batches and noise are the same share them: one leader for each stream."""
        self._leaders: list[Fit] = []
        rows = []
        for fit in self.fits:
            same = (i for i, leader in enumerate(self._leaders) if _same_streams(fit, leader))
            row = next(same, len(self._leaders))
            if row == len(self._leaders):
                self._leaders.append(fit)
            leader = self._leaders[row]
            fit.batches, fit.noise = leader.batches, leader.noise
            fit.binarisation = leader.binarisation
            rows.append(row)
        self._stream = torch.tensor(rows, device=self.precision.device)

    def _each(self, act: Callable[[Fit, int], None]) -> None:
        """Do it for every run; those for which it fails are taken out of the stack."""
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


def try_stacking(objective: Objective, data: Data) -> None:
    """A forward pass of two runs over two examples; raises whatever keeps them from being stacked.

    Every number of the strategy that fills "loss" goes in as a tensor, as it may in a sweep.
    """
    vae, strategy = objective.vae, objective.filling("loss")
    x = data.batch(data.train, torch.arange(2))
    both = [2]
    numbers = {k: torch.ones(both) for k in number_fields(type(strategy))}
    noise = {n: torch.zeros(both + list(s)) for n, s in vae.noise_shapes(2).items()}
    state = {k: torch.stack([v, v]) for k, v in strategy.init_state().items()}
    tensors = [
        {name: torch.stack([t.detach(), t.detach()]) for name, t in found}
        for found in (vae.named_parameters(), vae.named_buffers())
    ]
    on_device = [
        {name: tensor.to(data.device) for name, tensor in part.items()}
        for part in (numbers, noise, state)
    ]
    beta = torch.ones(both, device=data.device)
    with LayersAsAlone():
        forward = torch.vmap(_pass(vae, strategy))
        forward(*tensors, on_device[0], x.expand(*both, *x.shape), on_device[1], beta, on_device[2])


def agree(first: VAE, other: VAE) -> bool:
    """Whether two models differ in nothing but the values of their tensors, so that they stack.

    A number that a module holds as a plain attribute would be taken from the first run for all.
    """
    ours, theirs = dict(first.named_modules()), dict(other.named_modules())
    if list(ours) != list(theirs):
        return False
    for name, module in ours.items():
        if type(module) is not type(theirs[name]) or _plain(module) != _plain(theirs[name]):
            return False
    tensors = (dict(vae.named_parameters()) | dict(vae.named_buffers()) for vae in (first, other))
    shapes = [{name: (t.shape, t.dtype) for name, t in found.items()} for found in tensors]
    return shapes[0] == shapes[1]


def _plain(module: nn.Module) -> dict:
    simple = (bool, int, float, str, tuple, type(None))
    return {key: value for key, value in vars(module).items() if isinstance(value, simple)}


def differing_numbers(strategies: Iterable[Strategy]) -> list[str]:
    """The number fields in which strategies of one class differ."""
    strategies = list(strategies)
    return [
        key
        for key in number_fields(type(strategies[0]))
        if len({getattr(strategy, key) for strategy in strategies}) > 1
    ]


def number_fields(strategy: type[Strategy]) -> list[str]:
    """The fields that may differ within a stack: those annotated `float`."""
    return [f.name for f in dataclasses.fields(strategy) if f.type in (float, "float")]


def _pass(vae: VAE, strategy: Strategy) -> Callable:
    """The forward pass of one run, to be mapped over the stack.

    (leaves, buffers, numbers, x (B, ...), noise, beta (), state) -> loss (), the meter's
    statistics (3,), state.
    """

    def forward(
        leaves: Tensors, buffers: Tensors, numbers: Tensors, x: Tensor, noise: Tensors,
        beta: Tensor, state: Tensors,
    ) -> tuple[Tensor, Tensor, Tensors]:  # fmt: skip
        terms = functional_call(vae, (leaves, buffers), (x, noise))
        loss, state = dataclasses.replace(strategy, **numbers).loss(terms, beta, state)
        rate = terms.kl_per_dim.sum(-1).mean()
        return loss, torch.stack((loss, -terms.log_px.mean(), rate)), state

    return forward


def _stacked(rows: list[Tensors]) -> Tensors:
    """By name (S, ...): the rows' tensors, each of which becomes a view of its stack."""
    stacks = {}
    for name, first in rows[0].items():
        stack = torch.stack([row[name].detach() for row in rows])
        stacks[name] = stack.requires_grad_(isinstance(first, nn.Parameter))
        for place, row in enumerate(rows):
            row[name].data = stack.detach()[place]
    return stacks


def _rates(fit: Fit) -> Rates:
    return Rates(tuple(fit.lrs.items()), fit.trainer.weight_decay)


def _same_streams(fit: Fit, leader: Fit) -> bool:
    if fit.seed != leader.seed:
        return False
    ours, theirs = fit.batches.state_dict(), leader.batches.state_dict()
    held = (ours.pop("held"), theirs.pop("held"))
    same_held = held[0] is held[1] or (None not in held and torch.equal(*held))
    return (
        same_held
        and ours["taken"] == theirs["taken"]
        and torch.equal(ours["random"], theirs["random"])
        and torch.equal(fit.noise.get_state(), leader.noise.get_state())
        and torch.equal(fit.binarisation.get_state(), leader.binarisation.get_state())
    )
