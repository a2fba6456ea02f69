"""Which runs are taken together: nothing but tensors may differ, and each keeps its own numbers."""

import dataclasses
from enum import Enum

import pytest
import torch
from stacks import configs, fits, loaded
from torch import nn

from vaecli.objectives.objective import Objective
from vaecli.objectives.strategies.base import Strategy, Update, distortion
from vaecli.runs.build import build
from vaecli.training import checkpoint
from vaecli.training.signals import StopRequests
from vaecli.training.stack.stack import Stack
from vaecli.training.stack.stackable import agree


@dataclasses.dataclass(frozen=True)
class Number:
    value: float


@dataclasses.dataclass
class Open:
    value: int


class Several(list):
    pass


def with_attribute(thing, number):
    thing.more = number
    return thing


class Kind(Enum):
    one = 1.0
    two = 2.0


class Holder(nn.Module):
    """A posterior family that is handed something to hold."""

    def __init__(self, thing):
        super().__init__()
        self.inner = nn.Linear(2, 2)
        self.thing = thing
        self._mine = [self.inner]  # registered: compared by name

    def forward(self, stats):
        return stats.chunk(2, dim=-1)


WAYS = {
    "number": lambda n: n,
    "dataclass": Number,
    "list": lambda n: [1, [n]],
    "dict": lambda n: {"a": {"b": n}},
    "set": lambda n: {n},
    "tuple": lambda n: (None, n),
    "tensor": lambda n: torch.tensor([1.0, n]),
    "enum": Kind,
    "attribute of a list": lambda n: with_attribute(Several([1]), n),
    "attribute of a dataclass": lambda n: with_attribute(Open(0), n),
    "unregistered module": lambda n: [nn.LeakyReLU(n)],
    "closure": lambda n: lambda x: n * x,
}


def holding(thing):
    config = configs(["data.limit=300"], [[]])[0]
    vae = build(config, loaded(config.data)).vae
    vae.posterior = Holder(thing)
    return vae


@pytest.mark.parametrize("way", WAYS)
def test_a_number_is_seen_however_a_module_holds_it(way):
    first, same, other = (holding(WAYS[way](n)) for n in (1.0, 1.0, 2.0))
    assert not agree(first, other)
    # Of a function or a foreign object nobody can say whether it is the same.
    assert agree(first, same) is (way not in ("closure", "unregistered module"))


def a_list_that_holds_itself():
    things = []
    things.append(things)
    return things


INSIDE = {
    "a parameter held twice": lambda inner: [inner.weight],
    "a view of a parameter": lambda inner: inner.weight.detach().T,
    "a hook": lambda inner: inner.register_forward_hook(lambda module, x, out: 2 * out) and None,
    "a cycle": lambda inner: a_list_that_holds_itself(),
    "a sparse tensor": lambda inner: torch.eye(2).to_sparse(),
}


@pytest.mark.parametrize("what", INSIDE)
def test_what_a_stack_would_take_from_the_first_run_keeps_even_equal_models_apart(what):
    """A stack replaces parameters where they are registered, and nowhere else."""
    first, same = (holding(None) for _ in range(2))
    same.posterior.load_state_dict(first.posterior.state_dict())
    assert agree(first, same)
    for vae in (first, same):
        vae.posterior.thing = INSIDE[what](vae.posterior.inner)
    assert not agree(first, same)


@dataclasses.dataclass(frozen=True)
class Running(Strategy):
    """Pays for a running mean of the rate, whose gradient is that of the batch's part in it."""

    slots = frozenset({"loss"})

    def init_state(self):
        return {"running.rate": torch.zeros(())}

    def loss(self, terms, beta, state):
        mean = 0.9 * state["running.rate"] + 0.1 * terms.kl_per_dim.sum(-1).mean()
        return distortion(terms) + beta * mean, {**state, "running.rate": mean}


def test_a_state_that_the_loss_renews_keeps_no_gradient_alone_or_stacked(tmp_path):
    common, own = ["trainer.max_steps=6", "data.limit=600"], [["seed=0"], ["seed=1"]]
    together, alone = (fits(common, own, tmp_path, name) for name in ("stacked", "alone"))
    for fit in (*together, *alone):
        fit.objective = fit.forward = Objective(fit.objective.vae, (Running(),))
        fit.state = fit.objective.init_state()
    Stack(together, lambda fit, error: pytest.fail(str(error))).run(StopRequests())
    for ours, fit in zip(together, alone, strict=True):
        fit.run(StopRequests(), fit.observer)
        assert ours.state == fit.state


@dataclasses.dataclass(frozen=True)
class Patient(Strategy):
    """Counts the updates whose loss was above a number of its own, and keeps the last loss."""

    slots = frozenset({"updates"})
    bar: float = 0.0
    rest_after: int = 10**9

    def init_state(self):
        return {
            "patient.above": torch.zeros((), dtype=torch.int64),
            "patient.last": torch.zeros(()),
        }

    def next_update(self, state):
        return Update(decoder=state["patient.above"].item() < self.rest_after)

    def after_update(self, state, update, loss):
        assert not loss.requires_grad
        above = state["patient.above"] + (loss > self.bar)
        return {**state, "patient.above": above, "patient.last": loss}


def with_strategy(bars, tmp_path, name, **numbers):
    made = fits(["trainer.max_steps=6", "data.limit=600"], [[]] * len(bars), tmp_path, name)
    for fit, bar in zip(made, bars, strict=True):
        fit.objective = Objective(fit.objective.vae, (Patient(bar=bar, **numbers),))
        fit.state = fit.objective.init_state()
    return made


def test_every_run_of_a_stack_keeps_the_numbers_of_its_own_strategy(tmp_path):
    bars = [0.0, 1e9]
    together = with_strategy(bars, tmp_path, "stacked")
    Stack(together, lambda fit, error: pytest.fail(str(error))).run(StopRequests())
    alone = with_strategy(bars, tmp_path, "alone")
    for fit, expected in zip(alone, (6, 0), strict=True):
        fit.run(StopRequests(), fit.observer)
        assert fit.state["patient.above"] == expected
    for ours, theirs in zip(together, alone, strict=True):
        assert ours.state == theirs.state


def test_runs_that_ask_for_different_updates_are_no_stack(tmp_path):
    members = with_strategy([0.0, 1e9], tmp_path, "stacked", rest_after=3)
    with pytest.raises(RuntimeError, match="ask for different updates"):
        Stack(members, lambda fit, error: None).run(StopRequests())


def test_the_best_checkpoint_of_a_stacked_run_holds_the_rates_of_the_run_alone(tmp_path):
    common = ["trainer.max_steps=24", "data.limit=600", "trainer.lr_schedule=cosine"]
    own = [["seed=0"], ["seed=1", "trainer.lr=1e-3"]]
    together = fits(common, own, tmp_path, "stacked")
    Stack(together, lambda fit, error: pytest.fail(str(error))).run(StopRequests())
    for number, fit in enumerate(fits(common, own, tmp_path, "alone")):
        fit.run(StopRequests(), fit.observer)
        for name in ("best", "last"):
            ours, theirs = (
                checkpoint.load(tmp_path / f"{kind}{number}" / f"{name}.pt")["optimizer"]
                for kind in ("stacked", "alone")
            )
            assert ours["param_groups"] == theirs["param_groups"]
