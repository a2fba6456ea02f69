"""Sources about which everything is known."""

import math

import pytest
import torch

from vaecli.core.errors import UsageError
from vaecli.data.sequences import Sequences, Source
from vaecli.data.sets.digest import digest
from vaecli.data.sets.sources import LSTMSource, MarkovSource, grid, log_prior


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_chain_knows_the_probability_of_every_sequence():
    source = MarkovSource(4, seeded())
    every = torch.cartesian_prod(*[torch.arange(4)] * 3)
    p = source.log_prob(every).exp()
    assert p.sum().item() == pytest.approx(1, abs=1e-12)
    assert -(p * p.log()).sum().item() == pytest.approx(source.entropy(3), abs=1e-12)


def test_the_entropy_of_a_chain_is_the_mean_surprise_of_its_draws():
    source, n, length = MarkovSource(7, seeded()), 20_000, 6
    surprise = -source.log_prob(source.sample(n, length, seeded(1)))
    error = surprise.std().item() / math.sqrt(n)
    assert source.entropy(length) == pytest.approx(surprise.mean().item(), abs=4 * error)


def test_a_chain_starts_as_it_goes_on():
    source = MarkovSource(7, seeded())
    torch.testing.assert_close(source.stationary @ source.transition, source.stationary)
    assert source.stationary.sum().item() == pytest.approx(1, abs=1e-12)
    x = source.sample(50_000, 5, seeded(1))
    for t in (0, 4):
        share = torch.bincount(x[:, t], minlength=7) / len(x)
        # 5 standard errors
        torch.testing.assert_close(share.double(), source.stationary, atol=0.012, rtol=0)


def test_the_grid_holds_the_prior():
    mass = log_prior(grid()).exp().sum().item() * 0.25**2
    # What lies outside: at most 4 x P(|N(2, 1)| > 6) = 1.3e-4 in each coordinate.
    assert mass == pytest.approx(1, abs=5e-4)


def test_log_px_of_one_word_sums_to_one_over_the_words():
    source = LSTMSource(9, seeded())
    every = torch.arange(9)[:, None]
    mass = source.log_px(every, torch.tensor([[0.5, -1.0], [2.0, 2.0]])).exp().sum(0)
    torch.testing.assert_close(mass, torch.ones(2))


def test_words_are_drawn_as_often_as_log_px_says():
    source, n = LSTMSource(5, seeded()), 4000
    x, z = source.sample(n, 1, seeded(2))
    every = source.log_px(torch.arange(5)[:, None], z).exp().double()  # (W, N)
    share = torch.bincount(x[:, 0], minlength=5) / n
    torch.testing.assert_close(share.double(), every.mean(1), atol=0.04, rtol=0)  # 5 s.e.


def test_the_sum_over_a_coarse_grid_is_that_over_a_fine_one():
    source = LSTMSource(50, seeded())
    x, _ = source.sample(12, 10, seeded(3))
    fine = (source.log_px(x, grid()).double() + log_prior(grid())).logsumexp(1) + 2 * math.log(0.25)
    torch.testing.assert_close(source.log_prob(x), fine, atol=0.01, rtol=0)
    # A density over sequences: all of one word.
    assert source.log_prob(torch.arange(50)[:, None]).exp().sum().item() == pytest.approx(
        1, abs=1e-3
    )


def test_making_a_source_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    LSTMSource(9, seeded())
    assert torch.equal(torch.get_rng_state(), before)


def test_the_posterior_is_calibrated_and_knows_more_than_the_prior():
    """E z and E z^2 over the posterior, averaged over the data, are those of the codes drawn."""
    source = LSTMSource(50, seeded())
    x, z = source.sample(150, 8, seeded(3))
    at, weight = source.posterior(x)
    torch.testing.assert_close(weight.sum(1), torch.ones(150, dtype=torch.float64))
    mean = weight @ at.double()  # (N, 2)
    error = (mean - z).square().mean().item()
    spread = (weight @ at.double().square() - mean.square()).mean().item()
    assert error == pytest.approx(spread, rel=0.35)  # 300 squared errors: 8 % standard error
    assert error < 0.5 * (1 + 4)  # the prior's variance


@pytest.mark.parametrize("source", Source)
def test_sequences_end_and_follow_their_seeds(source):
    def made(**keys):
        return Sequences(source=source, examples=200, words=20, **keys).load()

    data = made()
    assert data.shape == (23, 1, 11)
    assert (data.train.x[..., -1] == 1).all()
    assert (data.train.x[..., :-1] >= 3).all()
    assert data.train.length.unique().tolist() == [11]
    assert digest(made()) == digest(data)
    assert digest(made(seed=1)) != digest(data)
    assert digest(made(source_seed=1)) != digest(data)


@pytest.mark.parametrize("keys", [{"words": 1}, {"examples": 5}, {"max_length": 1}])
def test_what_is_no_set_of_sequences_is_refused(keys):
    with pytest.raises(UsageError, match=next(iter(keys))):
        Sequences(**keys).validate()


@pytest.mark.parametrize("source", [MarkovSource, LSTMSource])
def test_many_sequences_are_drawn_in_parts(source, monkeypatch):
    monkeypatch.setattr("vaecli.data.sets.sources.AT_ONCE", 7 * 100)  # parts of 100
    made = source(7, seeded())
    drawn = made.sample(250, 4, seeded(1))
    x = drawn if source is MarkovSource else drawn[0]
    assert x.shape == (250, 4)
    assert all(set(part.unique().tolist()) <= set(range(7)) for part in x.split(100))
    assert not x[:50].equal(x[100:150])
