"""A step on a GPU does not wait for the device; it is the same stacked or graphed, and resumes.

Where there is no GPU the same is asked of the CPU, as far as it applies, so that these tests are
not first run on the day they are needed.
"""

import contextlib

import pytest
import torch
from stacks import fits

from vaecli.training import checkpoint
from vaecli.training.signals import StopRequests
from vaecli.training.stack.stack import Stack

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
DEVICES = [
    pytest.param("cpu"),
    pytest.param("cuda", marks=[pytest.mark.gpu, GPU]),
]
COMMON = (
    "data.limit=700",
    "trainer.batch_size=100",
    "trainer.evaluate_every=1",
    "trainer.max_steps=12",
    "schedule=linear",
    "data.binarise=dynamic",
)
SEQUENCES = (
    "data=sequences",
    "data.examples=400",
    "trainer.batch_size=100",
    "trainer.evaluate_every=1",
    "trainer.max_steps=12",
    "schedule=linear",
    "model.encoder_width=32",
    "decoder.width=32",
    "model.embedding=16",
)
STRATEGIES = ("none", "free_bits", "encoder_steps", "aggressive")
CLOSE = {"cpu": 2e-5, "cuda": 2e-4}  # sums in another order, amplified by training


@contextlib.contextmanager
def no_waiting(device):
    """On a GPU, whatever makes the host wait for the device is an error."""
    if device == "cpu":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def losses(fit):
    return [row["loss"] for row in fit.observer.rows]


def run(fit):
    fit.run(StopRequests(), fit.observer)
    return losses(fit)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("model", ["mlp", "cnn", "pixelcnn"])
def test_updates_between_two_looks_do_not_wait_for_the_device(model, device, tmp_path):
    common = [*COMMON, f"model={model}", "strategy=free_bits"]
    alone, *members = fits(common, [["seed=0"], ["seed=1"], ["seed=2"]], tmp_path, "run", device)
    stack = Stack(members, lambda fit, error: pytest.fail(str(error)))
    for trained in (alone, stack):
        trained.update()  # whatever is made at the first
        with no_waiting(device):
            for _ in range(5):
                trained.update()
        assert trained.unread == 6


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("strategy", ["free_bits", "decoder_dropout", "aggressive"])
@pytest.mark.parametrize("model", ["lstm", "dilated_cnn", "transformer"])
def test_updates_on_sequences_do_not_wait_for_the_device(model, strategy, device, tmp_path):
    own = [[f"model={model}", f"strategy={strategy}"]]
    (trained,) = fits(SEQUENCES, own, tmp_path, "run", device)
    trained.update()
    with no_waiting(device):
        for _ in range(5):
            trained.update()
    assert trained.unread > 0


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("model", ["lstm", "dilated_cnn", "transformer"])
def test_a_run_on_sequences_that_is_resumed_ends_as_it_would_have(model, device, tmp_path):
    whole, first, second = fits([*SEQUENCES, f"model={model}"], [[], [], []], tmp_path, "r", device)
    expected = run(whole)
    first.steps = 7
    run(first)
    second.load_state_dict(checkpoint.load(first.directory / "last.pt"))
    assert run(second)[-1] == pytest.approx(expected[-1], rel=0 if device == "cpu" else 1e-4)


@pytest.mark.gpu
@GPU
@pytest.mark.parametrize("model", ["lstm", "dilated_cnn", "transformer"])
def test_half_precision_trains_every_model_of_sequences(model, tmp_path):
    common = [*SEQUENCES, f"model={model}"]
    (exact,) = fits(common, [[]], tmp_path, "exact", "cuda")
    (half,) = fits(common, [[]], tmp_path, "half", "cuda", torch.bfloat16)
    assert run(half)[-1] == pytest.approx(run(exact)[-1], rel=0.02)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_run_that_is_resumed_ends_as_it_would_have(strategy, device, tmp_path):
    common = [*COMMON, f"strategy={strategy}"]
    whole, first, second = fits(common, [[], [], []], tmp_path, "run", device)
    expected = run(whole)
    first.steps = 7
    run(first)
    second.load_state_dict(checkpoint.load(first.directory / "last.pt"))
    assert not second.restarted_streams
    assert run(second)[-1] == pytest.approx(expected[-1], rel=0 if device == "cpu" else 1e-4)


@pytest.mark.gpu
@GPU
def test_a_run_begun_on_a_gpu_goes_on_on_the_cpu(tmp_path):
    (begun,) = fits(COMMON, [[]], tmp_path, "gpu", "cuda")
    begun.steps = 7
    run(begun)
    (later,) = fits(COMMON, [[]], tmp_path, "cpu", "cpu")
    later.load_state_dict(checkpoint.load(begun.directory / "last.pt"))
    assert later.restarted_streams
    assert run(later)[-1] < losses(begun)[0]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_a_stack_trains_as_its_runs_do_alone(model, device, tmp_path):
    common, own = [*COMMON, f"model={model}"], [["seed=0"], ["seed=1", "schedule.beta=2"]]
    together = fits(common, own, tmp_path, "stacked", device)
    Stack(together, lambda fit, error: pytest.fail(str(error))).run(StopRequests())
    for member, fit in zip(together, fits(common, own, tmp_path, "alone", device), strict=True):
        assert losses(member) == pytest.approx(run(fit), rel=CLOSE[device])


@pytest.mark.gpu
@GPU
@pytest.mark.parametrize("model", ["mlp", "cnn"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_graphed_run_makes_the_losses_of_an_eager_one(strategy, model, tmp_path):
    """On the CPU: test_compiling.py."""
    own = [["trainer.compile=off"], ["trainer.compile=on"]]
    common = [*COMMON, f"model={model}", f"strategy={strategy}"]
    eager, graphed = fits(common, own, tmp_path, "run", "cuda")
    assert run(graphed) == pytest.approx(run(eager), rel=CLOSE["cuda"])
