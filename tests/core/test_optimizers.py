"""The optimisers without what takes long to import."""

import pytest
import torch

from vaecli.core.optimizers import Adam, AdamW


@pytest.mark.parametrize(("ours", "theirs"), [(Adam, torch.optim.Adam), (AdamW, torch.optim.AdamW)])
def test_the_optimisers_are_pytorchs_own(ours, theirs):
    """Without the wrappers that import the compiler, every step is the same to the bit."""
    ends = []
    for kind in (ours, theirs):
        weights = torch.linspace(-1, 1, 40).requires_grad_()
        optimizer = kind([{"params": [weights], "lr": 0.1}], weight_decay=0.01, fused=True)
        for _ in range(5):
            weights.pow(3).sum().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        again = kind([weights], fused=True)
        again.load_state_dict(optimizer.state_dict())
        ends.append((weights.detach(), again.state[weights]["exp_avg_sq"], weights.grad))
    assert torch.equal(ends[0][0], ends[1][0])
    assert torch.equal(ends[0][1], ends[1][1])
    assert ends[0][2] is ends[1][2] is None
