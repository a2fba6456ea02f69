"""Every loss against its formula, every update pattern against the published loop."""

import math

import pytest
import torch

from vaecli.evaluation.passes import Encoded
from vaecli.models.priors.standard_normal import StandardNormal
from vaecli.models.vae import Terms
from vaecli.objectives.strategies.aggressive import Aggressive
from vaecli.objectives.strategies.base import Strategy, Update
from vaecli.objectives.strategies.committed_rate import (
    CommittedPosterior,
    CommittedRate,
    variance_bounds,
)
from vaecli.objectives.strategies.delta_vae import DeltaVAE
from vaecli.objectives.strategies.encoder_steps import EncoderSteps
from vaecli.objectives.strategies.free_bits import FreeBits, Per

B, Z = 16, 5
BETA = torch.tensor(0.7)


@pytest.fixture
def terms():
    g = torch.Generator().manual_seed(0)
    mu = torch.randn(B, Z, generator=g, requires_grad=True)
    logvar = torch.randn(B, Z, generator=g, requires_grad=True)
    log_px = -50 + torch.randn(1, B, generator=g)
    kl = StandardNormal().kl_per_dim(mu, logvar)
    return Terms(log_px, kl, mu, logvar, mu[None])


def value(strategy, terms):
    return strategy.loss(terms, BETA, {})[0]


def test_the_default_is_the_negative_beta_elbo(terms):
    expected = -terms.log_px.mean() + 0.7 * terms.kl_per_dim.sum(1).mean()
    torch.testing.assert_close(value(Strategy(), terms), expected)


@pytest.mark.parametrize("strategy", [FreeBits(free_nats=0.0), DeltaVAE(delta=0.0)])
def test_a_floor_of_zero_is_the_elbo(strategy, terms):
    torch.testing.assert_close(value(strategy, terms), value(Strategy(), terms))


@pytest.mark.parametrize("per", list(Per))
def test_free_bits_equals_its_formula_written_out_in_loops(per, terms):
    floor = 0.6 if per is not Per.sample else 4.0
    kl = terms.kl_per_dim.tolist()
    if per is Per.dimension:
        rate = sum(max(floor, sum(kl[n][j] for n in range(B)) / B) for j in range(Z))
    elif per is Per.sample_dimension:
        rate = sum(sum(max(floor, kl[n][j]) for j in range(Z)) for n in range(B)) / B
    else:
        rate = sum(max(floor, sum(kl[n])) for n in range(B)) / B
    expected = -terms.log_px.mean().item() + 0.7 * rate
    found = value(FreeBits(free_nats=floor, free_bits_per=per), terms).item()
    assert found == pytest.approx(expected, rel=1e-6)  # float32 sums of 80 terms


def test_the_floors_of_one_example_and_one_dimension_coincide():
    g = torch.Generator().manual_seed(1)
    mu, logvar = torch.randn(1, 1, generator=g), torch.randn(1, 1, generator=g)
    kl = StandardNormal().kl_per_dim(mu, logvar)
    one = Terms(torch.zeros(1, 1), kl, mu, logvar, mu[None])
    losses = [value(FreeBits(2.0, per), one) for per in Per] + [value(DeltaVAE(2.0), one)]
    assert len({loss.item() for loss in losses}) == 1


def test_maximum_and_published_mask_have_the_same_gradient(terms):
    # Li et al. write (KL > t) * KL: another value, the same step.
    floor = 0.6
    value(FreeBits(floor, Per.sample_dimension), terms).backward(retain_graph=True)
    ours = terms.mu.grad.clone()
    terms.mu.grad = None
    kl = terms.kl_per_dim
    (BETA * ((kl > floor) * kl).sum(1).mean()).backward()
    torch.testing.assert_close(ours, terms.mu.grad)


def test_below_its_delta_the_hinge_has_no_gradient_on_the_rate(terms):
    loss = value(DeltaVAE(delta=1e3), terms)
    assert loss.item() == pytest.approx(-terms.log_px.mean().item() + 0.7e3, rel=1e-6)
    loss.backward()
    assert terms.mu.grad.abs().max() == 0


@pytest.mark.parametrize("delta", [0.01, 0.15, 1.0])
def test_variance_bounds_are_the_roots_of_the_committed_equation(delta):
    for root in variance_bounds(delta):
        assert math.log(root) - root + 2 * delta + 1 == pytest.approx(0, abs=1e-9)
    low, high = variance_bounds(delta)
    assert low < 1 < high


@pytest.mark.parametrize("delta", [0.01, 0.15, 1.0])
def test_committed_kl_is_delta_plus_half_relu_for_any_encoder_output(delta):
    g = torch.Generator().manual_seed(2)
    stats = 5 * torch.randn(200, 2 * Z, generator=g)
    mu, logvar = CommittedPosterior(delta)(stats)
    kl = StandardNormal().kl_per_dim(mu, logvar)
    m = stats.chunk(2, dim=-1)[0]
    torch.testing.assert_close(kl, delta + torch.relu(m) / 2, atol=2e-6, rtol=1e-5)
    assert kl.min() >= delta


def test_committed_posterior_has_finite_gradients_at_extreme_outputs():
    stats = torch.tensor([[-1e4, 0.0, 1e4, -50.0, 50.0, 0.0]], requires_grad=True)
    mu, logvar = CommittedPosterior(CommittedRate().delta_per_dim)(stats)
    (mu.sum() + logvar.sum()).backward()
    assert stats.grad.isfinite().all()


def updates(strategy, state, losses):
    """Apply the strategy to a given sequence of losses; the updates it asked for."""
    asked = []
    for loss in losses:
        update = strategy.next_update(state)
        state = strategy.after_update(state, update, torch.tensor(float(loss)))
        asked.append(update)
    return asked, state


ENCODER = Update(decoder=False, batch="random")


def test_encoder_steps_makes_k_encoder_updates_per_decoder_update():
    strategy = EncoderSteps(encoder_steps=3)
    asked, _ = updates(strategy, strategy.init_state(), range(6))
    assert asked == [ENCODER, ENCODER, Update()] * 2


def test_one_encoder_step_is_plain_training():
    strategy = EncoderSteps(encoder_steps=1, encoder_lr_factor=5.0)
    assert updates(strategy, strategy.init_state(), range(3))[0] == [Update()] * 3
    assert strategy.lr_factors() == {"encoder": 5.0}


def test_aggressive_stops_the_inner_loop_when_a_window_rises_then_moves_the_decoder_alone():
    strategy = Aggressive(aggressive_window=2)
    # Windows (10, 8) and (7, 6) fall, (8, 8) rises above (7, 6): six encoder updates, one decoder.
    asked, state = updates(strategy, strategy.init_state(), [10, 8, 7, 6, 8, 8, 5])
    first = Update(decoder=False, batch="next")
    assert asked == [first, *[ENCODER] * 5, Update(encoder=False, batch="held")]
    assert strategy.next_update(state) == first  # the next outer step starts afresh


def test_aggressive_makes_at_most_its_maximum_of_encoder_updates():
    strategy = Aggressive(aggressive_max_updates=100)
    asked, _ = updates(strategy, strategy.init_state(), [-float(i) for i in range(101)])
    assert [u.decoder for u in asked].index(True) == 99  # as the authors' sub_iter < 100


def encoded(spread):
    mu = torch.linspace(-spread, spread, 200)[:, None]
    logvar = torch.zeros(200, 1)
    return Encoded(mu, logvar, StandardNormal().kl_per_dim(mu, logvar), None, "val")


def test_aggressive_ends_after_its_patience_of_epochs_without_growing_information():
    strategy = Aggressive(aggressive_patience=2)
    state = strategy.init_state()
    on = []
    for spread in (1, 5, 3, 6, 2, 9):  # information falls at 3 and at 2
        state = strategy.after_epoch(state, encoded(spread))
        on.append(bool(state["aggressive.on"]))
    assert on == [True, True, True, True, False, False]
    assert strategy.next_update(state) == Update()


def test_a_strategy_of_the_first_version_that_sees_epochs_is_told_to_say_so():
    with pytest.warns(FutureWarning, match="set sees_epochs = True"):

        class Old(Strategy):
            def after_epoch(self, state, validation):
                return state

    assert Old.sees_epochs


def test_a_strategy_without_after_epoch_asks_for_no_pass_over_the_validation_split():
    assert not EncoderSteps.sees_epochs
    assert Aggressive.sees_epochs
