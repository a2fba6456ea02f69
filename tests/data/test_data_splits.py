import pytest
import torch

from vaecli.data.sets.base import Kind
from vaecli.data.sets.splits import plan_splits

PARTS = ("train", "val", "test")


def rows(data):
    return [getattr(data, part).x for part in PARTS]


def test_digits_are_contiguous_uint8_images_with_labels(digits):
    assert digits.shape == (1, 8, 8)
    for part in PARTS:
        x, y = getattr(digits, part)[:2]
        assert (x.dtype, x.shape[1:], x.is_contiguous()) == (torch.uint8, (1, 8, 8), True)
        assert (y.dtype, y.shape) == (torch.int64, (len(x),))
        assert set(y.tolist()) == set(range(10))


def test_digits_spread_17_levels_over_the_bytes(option):
    data = option("digits", binarise="none").load()
    assert data.kind is Kind.GREY
    assert {round(i * 255 / 16) for i in range(17)} == set(data.train.x.unique().tolist())


def test_same_data_seed_gives_the_same_data(option, digits):
    again = option("digits").load()
    for part in PARTS:
        assert torch.equal(getattr(again, part).x, getattr(digits, part).x)
        assert torch.equal(getattr(again, part).y, getattr(digits, part).y)


def test_another_data_seed_gives_another_split(option, digits):
    other = option("digits", seed=1).load()
    for part in PARTS:
        assert not torch.equal(getattr(other, part).y, getattr(digits, part).y)


def test_split_does_not_depend_on_the_global_generator(option, digits):
    torch.manual_seed(123)
    before = torch.get_rng_state()
    again = option("digits").load()
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(again.train.x, digits.train.x)


def test_splits_are_disjoint_and_complete(option):
    data = option("digits", binarise="none").load()
    assert [len(x) for x in rows(data)] == [1294, 144, 359]  # 20 % of 1797, 10 % of the rest
    # All 1,797 images: sorted as vectors, the union of the splits is the whole set.
    from sklearn.datasets import load_digits

    whole = torch.from_numpy(load_digits().images).flatten(1)
    union = (torch.cat(rows(data)).flatten(1).double() * 16 / 255).round()
    assert torch.equal(sort_rows(union), sort_rows(whole))


def sort_rows(x):
    return torch.tensor(sorted(x.tolist()))


@pytest.mark.parametrize("n", [10, 11, 97, 1000])
def test_plan_uses_every_row_once(n):
    plan = plan_splits(n, seed=3, val_fraction=0.1, test_fraction=0.2)
    assert sorted(plan.order.tolist()) == list(range(n))
    assert plan.n_test >= 1
    assert plan.n_val >= 1


def test_limit_keeps_the_first_training_examples_and_the_other_splits(option, digits):
    few = option("digits", limit=100).load()
    assert torch.equal(few.train.x, digits.train.x[:100])
    assert torch.equal(few.train.y, digits.train.y[:100])
    assert torch.equal(few.val.x, digits.val.x)
    assert torch.equal(few.test.x, digits.test.x)


def test_limit_above_the_size_keeps_all(option, digits):
    assert len(option("digits", limit=10**6).load().train.x) == len(digits.train.x)


def test_nothing_left_to_train_on_is_refused(refused):
    refused(
        lambda: plan_splits(10, seed=0, val_fraction=0.99, test_fraction=0.1),
        "data.val_fraction=0.99",
        "leaves nothing to train on",
    )


def test_batch_gathers_the_indexed_rows_as_floats(option):
    data = option("digits", binarise="none").load()
    index = torch.tensor([5, 0, 7])
    x = data.batch(data.train, index)
    assert (x.dtype, x.device.type) == (torch.float32, "cpu")
    assert torch.equal(x, data.train.x[index].float() / 255)
