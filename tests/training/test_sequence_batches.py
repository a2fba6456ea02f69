"""Batches of sequences: little padding, no sequence twice, and an exact position."""

import pytest
import torch
from sentences import write

from vaecli.data.files.vocabulary import Level
from vaecli.data.text import Text
from vaecli.training.sequence_batches import WIDTH, batches_of

B = 32


@pytest.fixture
def data(tmp_path):
    path = write(tmp_path / "t.txt")
    return Text(path=str(path), min_count=1, level=Level.char, max_length=60).load()


def taken(batches, n, which="next"):
    return [batches.rows(which) for _ in range(n)]


def test_an_epoch_has_each_sequence_at_most_once(data):
    batches = batches_of(data, B, seed=0)
    for _ in range(2):
        index = torch.cat([batches.index("next") for _ in range(batches.per_epoch)])
        assert len(index.unique()) == len(index) == batches.per_epoch * B


def test_epochs_and_seeds_differ_in_order_and_in_what_is_left_out(data):
    one, other = batches_of(data, B, seed=0), batches_of(data, B, seed=1)
    epochs = [torch.cat([b.index("next") for _ in range(b.per_epoch)]) for b in (one, one, other)]
    for a, b in ((0, 1), (0, 2)):
        assert not torch.equal(epochs[a], epochs[b])
        assert set(epochs[a].tolist()) != set(epochs[b].tolist())


def test_a_batch_holds_its_longest_and_hardly_more(data):
    batches = batches_of(data, B, seed=0)
    positions = tokens = 0
    for _ in range(batches.per_epoch):
        x = batches.rows("next")
        longest = int(data.train.length[batches.held].max())
        assert longest <= x.shape[-1] <= longest + WIDTH - 1
        assert x.shape[-1] % WIDTH == 0 or x.shape[-1] == data.shape[2]
        positions += x.numel()
        tokens += int((x > 0).sum())
    assert tokens > 0.8 * positions
    assert tokens < 0.8 * batches.per_epoch * B * data.shape[2]  # padded to one length: less


def test_long_and_short_come_in_no_order(data):
    batches = batches_of(data, B, seed=0)
    widths = [x.shape[-1] for x in taken(batches, batches.per_epoch)]
    assert widths not in (sorted(widths), sorted(widths, reverse=True))


def first_epoch(data):
    """The batches of the first epoch, as tuples of indices."""
    batches = batches_of(data, B, seed=0)
    return {tuple(batches.index("next").tolist()) for _ in range(batches.per_epoch)}


def test_a_random_batch_is_one_of_the_epochs(data):
    batches = batches_of(data, B, seed=0)
    own = first_epoch(data)
    drawn = {tuple(batches.index("random").tolist()) for _ in range(30)}
    assert drawn <= own
    assert len(drawn) > 3


def test_a_random_batch_of_an_epochs_last_step_is_of_that_epoch(data):
    batches = batches_of(data, B, seed=0)
    for _ in range(batches.per_epoch):
        batches.rows("next")
    assert {tuple(batches.index("random").tolist()) for _ in range(30)} <= first_epoch(data)


def test_the_held_batch_is_the_last_next_one(data):
    batches = batches_of(data, B, seed=0)
    x = batches.rows("next")
    batches.rows("random")
    assert torch.equal(batches.rows("held"), x)


@pytest.mark.parametrize("made", [0, 3, 11])
def test_a_position_is_exact(made, data):
    whole, part, later = (batches_of(data, B, seed=0) for _ in range(3))
    for batches in (whole, part):
        for n in range(made):
            batches.rows("random" if n % 3 else "next")
    later.load_state_dict(part.state_dict())
    order = ["next", "random", "held", "next", "random"] * 4
    for which in order:
        assert torch.equal(whole.rows(which), later.rows(which))
