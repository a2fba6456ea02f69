import math

import pytest
import torch

from vaecli.core.errors import UsageError
from vaecli.objectives.schedules.constant import Constant
from vaecli.objectives.schedules.cosine import Cosine
from vaecli.objectives.schedules.cyclical import Cyclical
from vaecli.objectives.schedules.linear import Linear
from vaecli.objectives.schedules.sigmoid import Sigmoid

STEPS, PER_EPOCH = 1000, 50
WARM_UPS = (Linear, Cosine, Sigmoid)


def test_constant_is_its_target_everywhere():
    assert torch.equal(Constant(beta=3.0).curve(STEPS, PER_EPOCH), torch.full((STEPS,), 3.0))


@pytest.mark.parametrize("cls", WARM_UPS)
def test_a_warm_up_goes_from_start_to_beta_without_turning_and_stays(cls):
    curve = cls(beta=2.0, start=0.5, warmup_steps=100).curve(STEPS, PER_EPOCH)
    assert curve[0] == 0.5
    assert (curve.diff() >= 0).all()
    assert (curve[100:] == 2.0).all()
    assert curve[50].item() == pytest.approx(1.25, abs=1e-6)  # all three shapes are odd around 1/2


@pytest.mark.parametrize("cls", WARM_UPS)
def test_the_three_ways_to_give_a_warm_up_agree(cls):
    by_fraction = cls(warmup=0.25).curve(STEPS, PER_EPOCH)
    assert torch.equal(by_fraction, cls(warmup_epochs=5.0).curve(STEPS, PER_EPOCH))
    assert torch.equal(by_fraction, cls(warmup_steps=250).curve(STEPS, PER_EPOCH))


def test_no_warm_up_is_constant():
    assert torch.equal(Linear(warmup=0.0).curve(STEPS, 50), Constant().curve(STEPS, 50))


def test_linear_and_cosine_values_by_hand():
    share = 30 / 100
    linear = Linear(beta=4.0, warmup_steps=100).curve(STEPS, PER_EPOCH)
    cosine = Cosine(beta=4.0, warmup_steps=100).curve(STEPS, PER_EPOCH)
    assert linear[30].item() == pytest.approx(4 * share, abs=1e-6)
    assert cosine[30].item() == pytest.approx(2 - 2 * math.cos(math.pi * share), abs=1e-6)


def test_a_warm_up_may_fall():
    curve = Linear(beta=0.0, start=1.0, warmup=0.5).curve(STEPS, PER_EPOCH)
    assert curve[0] == 1.0
    assert curve[-1] == 0.0


def test_cyclical_equals_the_published_loop():
    # Fu et al.'s frange_cycle_linear(n_iter, start, stop, n_cycle, ratio), written out.
    start, stop, cycles, ratio = 0.0, 1.0, 4, 0.5
    expected = [stop] * STEPS
    period = STEPS / cycles
    step = (stop - start) / (period * ratio)
    for c in range(cycles):
        v, i = start, 0
        while v <= stop and int(i + c * period) < STEPS:
            expected[int(i + c * period)] = v
            v += step
            i += 1
    curve = Cyclical(cycles=cycles, ratio=ratio).curve(STEPS, PER_EPOCH)
    torch.testing.assert_close(curve, torch.tensor(expected), atol=1e-5, rtol=0)  # v accumulates


@pytest.mark.parametrize("cycles", [1, 3, 7])
def test_cyclical_ends_at_its_target(cycles):
    assert Cyclical(beta=2.0, cycles=cycles).curve(STEPS, PER_EPOCH)[-1] == 2.0


@pytest.mark.parametrize(
    ("schedule", "key"),
    [
        (Constant(beta=-1.0), "schedule.beta"),
        (Linear(start=-0.1), "schedule.start"),
        (Linear(warmup=1.5), "schedule.warmup"),
        (Linear(warmup_epochs=11.0), "schedule.warmup_epochs"),
        (Linear(warmup_epochs=1.0, warmup_steps=5), "schedule.warmup_steps"),
        (Cyclical(cycles=0), "schedule.cycles"),
        (Cyclical(ratio=0.0), "schedule.ratio"),
    ],
)
def test_impossible_schedules_are_refused_by_name(schedule, key):
    with pytest.raises(UsageError, match=f"^{key}="):
        schedule.validate(epochs=10)


@pytest.mark.parametrize("key", [{"warmup_steps": 101}, {"warmup_epochs": 3.0}])
def test_a_warm_up_longer_than_the_run_is_refused(key):
    with pytest.raises(UsageError, match="longer than the run"):
        Linear(**key).curve(100, PER_EPOCH)
