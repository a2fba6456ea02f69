"""Compiled, a step is the same step; it is compiled once for every way in which the halves move."""

import subprocess
import sys

import pytest
import torch
from sentences import write
from stacks import fits
from torch._dynamo.utils import counters

from vaecli.core.errors import UsageError
from vaecli.training import compiling
from vaecli.training.settings import Compile
from vaecli.training.signals import StopRequests
from vaecli.training.stack.stack import Stack

COMMON = ("data.limit=700", "trainer.batch_size=100", "trainer.evaluate_every=0.7",
          "trainer.max_steps=15", "schedule=linear", "data.binarise=dynamic")  # fmt: skip


def rows_of(fit):
    return fit.observer.rows


@pytest.fixture
def traced(monkeypatch):
    """torch.compile traces its graphs and leaves out what takes long: to generate code for them."""
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **how: compile_(f, backend="eager", **how))


@pytest.fixture(params=["traced", pytest.param("generated", marks=pytest.mark.slow)])
def backend(request):
    """The graphs alone, and with the code that is generated of them."""
    if request.param == "traced":
        request.getfixturevalue("traced")


@pytest.mark.usefixtures("backend")
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


@pytest.mark.usefixtures("backend")
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


# torch.compile's own, where it goes on after an LSTM that it leaves alone.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.usefixtures("traced")
def test_sequences_are_compiled_once_for_every_width_and_way_of_moving(tmp_path):
    path = write(tmp_path / "t.txt", ["ab " * (1 + n % 7) for n in range(400)])
    common = ["data=text", f"data.path={path}", "data.level=char", "model=dilated_cnn",
              "model.encoder_width=8", "decoder.width=8", "trainer.batch_size=16",
              "trainer.max_steps=30", "strategy=encoder_steps"]  # fmt: skip
    eager, compiled = fits(common, [[], ["trainer.compile=on"]], tmp_path, "alone")
    torch._dynamo.reset()
    counters.clear()
    for fit in (eager, compiled):
        fit.run(StopRequests(), fit.observer)
    widths = {8 * -(-n // 8) for n in eager.data.train.length.tolist()}
    assert len(widths) == 3
    # Before and after the encoder's LSTM, in two ways of moving; once more at the first call.
    assert counters["stats"]["unique_graphs"] <= 2 * 2 * len(widths) + 1
    assert counters["stats"]["unique_graphs"] > 8  # PyTorch's limit
    for ours, theirs in zip(rows_of(compiled), rows_of(eager), strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=2e-5)


@pytest.mark.usefixtures("traced")
def test_there_is_no_end_to_how_many_runs_of_a_process_are_compiled():
    """torch.compile keeps at most 8 graphs of one function, and a run may have three."""
    for size in range(1, 13):
        layer = torch.nn.Linear(size, 2 * size)
        forward = compiling.compiled(layer, torch.device("cpu"))
        assert forward(torch.ones(3, size)).shape == (3, 2 * size)


@pytest.mark.parametrize("way", ["alone", "stacked"])
def test_auto_goes_on_eagerly_where_compiling_fails_and_on_does_not(way, tmp_path, monkeypatch):
    def broken(graph, inputs):
        raise RuntimeError("no assembler")

    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **how: compile_(f, backend=broken, **how))
    monkeypatch.setattr(
        "vaecli.training.fit.chosen", lambda setting, *_: setting is not Compile.off
    )
    own = [[f"trainer.compile={setting}"] for setting in ("off", "auto", "on")]
    eager, auto, required = fits(COMMON, own, tmp_path, way)
    eager.run(StopRequests(), eager.observer)

    def run(fit):
        if way == "alone":
            fit.run(StopRequests(), fit.observer)
        else:
            Stack([fit], lambda fit, error: pytest.fail(str(error))).run(StopRequests())

    run(auto)
    assert len(auto.observer.warnings) == 1
    assert "no assembler" in auto.observer.warnings[0]
    for ours, theirs in zip(rows_of(auto), rows_of(eager), strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=2e-5)
    with pytest.raises(Exception, match="no assembler"):
        run(required)


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


def test_a_run_that_is_not_compiled_does_not_import_the_compiler(tmp_path):
    """It takes longer to import than the whole training of the digits."""
    code = (
        "import sys, doors\n"
        "few = ['trainer.max_steps=2', 'data.limit=200', 'diagnosis.samples=50']\n"
        "code = doors.train([*few, 'diagnosis.refine_steps=2', 'diagnosis.tsne_points=50'])\n"
        "print(code, 'torch._dynamo' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.splitlines()[-1] == "0 False"
