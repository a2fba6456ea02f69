"""The light optimisers move weights exactly as PyTorch's own do."""

import pytest
import torch

from vaecli.core.optimizers import WRAPPED, Adam, AdamW, light

PAIRS = [(Adam, torch.optim.Adam), (AdamW, torch.optim.AdamW)]


def steps(kind, fused):
    """Weights, moments and the gradient's place after six steps with all that a run changes."""
    moved, rests = (torch.linspace(-1, 1, 40).requires_grad_() for _ in range(2))
    groups = [{"params": [moved], "lr": 0.1}, {"params": [rests], "lr": 0.05}]
    optimizer = kind(groups, weight_decay=0.01, fused=fused)
    for number in range(6):
        loss = moved.pow(3).sum() + (rests.pow(2).sum() if number % 2 else 0)
        loss.backward()
        optimizer.param_groups[0]["lr"] = 0.1 / (1 + number)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if number == 3:
            state, optimizer = optimizer.state_dict(), kind(groups, weight_decay=0.01, fused=fused)
            optimizer.load_state_dict(state)
    assert moved.grad is None
    moments = [optimizer.state[p][key] for p in (moved, rests) for key in ("exp_avg", "exp_avg_sq")]
    return [moved.detach(), rests.detach(), *moments]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_updates_equal_those_of_pytorchs_own_class_to_the_bit(ours, theirs, fused):
    for mine, reference in zip(steps(ours, fused), steps(theirs, fused), strict=True):
        assert torch.equal(mine, reference)


def test_a_class_whose_methods_are_not_wrapped_is_taken_as_it_is():
    class Unwrapped(torch.optim.Optimizer):
        def step(self):
            pass

    assert light(Unwrapped) is Unwrapped


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_either_all_methods_are_light_or_the_class_is_pytorchs_own(ours, theirs):
    if ours is theirs:
        pytest.skip("this release of PyTorch wraps no methods")
    assert issubclass(ours, theirs)
    assert all(name in vars(ours) for name in WRAPPED)
