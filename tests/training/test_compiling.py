"""Compiled, a step is the same step; it is compiled once for every way in which the halves move."""

import pytest
import torch
from stacks import fits
from torch._dynamo.utils import counters

from vaecli.errors import UsageError
from vaecli.training import compiling
from vaecli.training.settings import Compile
from vaecli.training.signals import StopRequests
from vaecli.training.stacked import Stack

COMMON = ("data.limit=700", "trainer.batch_size=100", "trainer.evaluate_every=0.7",
          "trainer.max_steps=15", "schedule=linear", "data.binarise=dynamic")  # fmt: skip


def rows_of(fit):
    return fit.observer.rows


def test_a_compiled_run_makes_the_losses_of_an_eager_one_and_two_graphs(tmp_path):
    """Dynamic pixels, a moving beta, evaluations, and updates of the encoder alone."""
    own = [["trainer.compile=off"], ["trainer.compile=on"]]
    eager, compiled = fits([*COMMON, "strategy=encoder_steps"], own, tmp_path, "alone")
    eager.run(StopRequests(), eager.observer)
    torch._dynamo.reset()
    counters.clear()
    compiled.run(StopRequests(), compiled.observer)
    assert counters["stats"]["unique_graphs"] == 2  # the encoder alone, and both halves
    assert not counters["graph_break"]
    assert len(rows_of(eager)) == len(rows_of(compiled)) > 3
    for ours, theirs in zip(rows_of(compiled), rows_of(eager), strict=True):
        # Fused operations round otherwise, and training amplifies it: 1e-6 after 15 updates.
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=2e-5)


@pytest.mark.slow
def test_a_compiled_stack_makes_the_losses_of_an_eager_one_and_one_graph(tmp_path):
    own = [["seed=0"], ["seed=1", "trainer.lr=2e-3"]]
    common = [*COMMON, "strategy=free_bits"]
    together = fits([*common, "trainer.compile=on"], own, tmp_path, "stacked")
    alone = fits(common, own, tmp_path, "alone")
    torch._dynamo.reset()
    counters.clear()
    Stack(together, lambda fit, error: pytest.fail(str(error))).run(StopRequests())
    assert counters["stats"]["unique_graphs"] == 1
    for ours, fit in zip(together, alone, strict=True):
        fit.run(StopRequests(), fit.observer)
        for stacked, single in zip(rows_of(ours), rows_of(fit), strict=True):
            assert stacked["loss"] == pytest.approx(single["loss"], rel=2e-5)


@pytest.mark.parametrize(
    ("setting", "device", "steps", "answer"),
    [("auto", "cpu", 10**9, False), ("auto", "cuda", 10**6, True), ("auto", "cuda", 1000, False),
     ("on", "cpu", 1, True), ("off", "cuda", 10**9, False)],
)  # fmt: skip
def test_auto_compiles_long_runs_on_a_gpu(setting, device, steps, answer, monkeypatch):
    monkeypatch.setattr(compiling, "compiler", lambda: "g++")
    assert compiling.chosen(Compile(setting), torch.device(device), steps) is answer


def test_without_a_compiler_auto_does_not_and_on_is_refused(monkeypatch):
    monkeypatch.setattr(compiling, "compiler", lambda: None)
    assert not compiling.chosen(Compile.auto, torch.device("cuda"), 10**9)
    with pytest.raises(UsageError, match="needs a C\\+\\+ compiler"):
        compiling.chosen(Compile.on, torch.device("cpu"), 10**9)
