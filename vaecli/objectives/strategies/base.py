"""Mitigation strategies: each fills slots in the model or in the training step."""

# K samples, B batch, Z latent; nats per example

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from torch import Tensor

from vaecli.core.options import option_name
from vaecli.models.base import Family
from vaecli.models.vae import VAE, Terms

if TYPE_CHECKING:
    from vaecli.evaluation.passes import Encoded

State = dict[str, Tensor]  # goes into the checkpoint, without gradients

SLOTS = frozenset({"posterior", "prior", "decoder", "loss", "updates"})


class Update(NamedTuple):
    """One optimiser step: which half of the model moves, and on which batch."""

    encoder: bool = True
    decoder: bool = True
    batch: str = "next"  # next: the epoch's order; random: any batch; held: the last "next" again


@dataclass(frozen=True)
class Strategy:
    """One mitigation; its fields are the yaml's keys. The methods here are the plain VAE.

    Strategies combine if and only if their slots are disjoint.

    In a stack of runs, fields annotated `float` may differ between them. `loss` then runs under
    torch.vmap, with each such field a tensor (): no `if` on it, no Python `max`. A module put in
    by `install` must hold such a number in a buffer. What `next_update` returns must be the same
    for all runs of a stack, so it may depend on counts and on whole numbers; a stack whose runs
    ask for different updates is cut in two.
    """

    slots: ClassVar[frozenset[str]] = frozenset()
    sees_epochs: ClassVar[bool] = False  # True: `after_epoch` is called
    stackable: ClassVar[bool] = True  # False: the next update depends on the losses of the run

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let classes of version 0.1, which have no `sees_epochs`, still see their epochs."""
        super().__init_subclass__(**kwargs)
        if "after_epoch" in vars(cls) and not cls.sees_epochs:
            text = f"{cls.__name__} has after_epoch: set sees_epochs = True; an error from 0.3 on"
            warnings.warn(text, FutureWarning, stacklevel=2)
            cls.sees_epochs = True

    @property
    def name(self) -> str:
        """The option's name, as in `strategy=free_bits`."""
        return option_name(self)

    def validate(self) -> None:
        """Raise UsageError for keys outside their range."""

    def validate_model(self, model: Family, name: str) -> None:
        """Raise UsageError for a model that the strategy cannot be used with; name: its option."""

    def install(self, vae: VAE) -> None:
        """Fill the slots `posterior`, `prior` and `decoder` of a model just built."""

    def init_state(self) -> State:
        """The state before the first step; keys start with the strategy's name."""
        return {}

    def lr_factors(self) -> dict[str, float]:
        """Factors on the learning rate of the groups "encoder" and "decoder"."""
        return {}

    def loss(self, terms: Terms, beta: Tensor, state: State) -> tuple[Tensor, State]:
        """Slot `loss`: the default is the negative beta-ELBO, -E log p(x|z) + beta KL.

        Args:
            terms: log p(x|z) (K, B) and KL (B, Z) of a batch.
            beta: (), the present weight of the KL.
            state: the tensors of `init_state`, on the device.

        Returns:
            The loss, () in nats per example, and the new state.
        """
        return distortion(terms) + beta * terms.kl_per_dim.sum(-1).mean(), state

    def next_update(self, state: State) -> Update:
        """Slot `updates`: choose the halves and the batch of the next step. Runs on the host."""
        return Update()

    def after_update(self, state: State, update: Update, loss: Tensor) -> State:
        """Slot `updates`: called after every optimiser step.

        Args:
            state: before the step.
            update: the step.
            loss: (), without gradient, in nats per example; for sequences in nats per token, since
                their batches differ in length.

        Returns:
            The new state.
        """
        return state

    def after_epoch(self, state: State, validation: Encoded) -> State:
        """Slot `updates`: called after every epoch with the encoded validation split.

        Only if the class sets `sees_epochs`: the pass over the split takes time.
        """
        return state


def distortion(terms: Terms) -> Tensor:
    """-E_q log p(x|z), averaged over samples and batch: () in nats per example."""
    return -terms.log_px.mean()
