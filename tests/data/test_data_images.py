import math

import pytest
import torch

from vaecli.data.files.images import draw, resize, threshold
from vaecli.data.sets.base import Kind


def test_static_draws_are_reproducible_and_follow_data_seed():
    grey = torch.randint(0, 256, (50, 1, 8, 8), dtype=torch.uint8)
    assert torch.equal(draw(grey, 0, "train"), draw(grey, 0, "train"))
    assert not torch.equal(draw(grey, 0, "train"), draw(grey, 1, "train"))
    assert not torch.equal(draw(grey, 0, "train"), draw(grey, 0, "val"))


@pytest.mark.parametrize("level", [0, 1, 64, 200, 255])
def test_draws_have_the_grey_level_as_their_mean(level):
    n = 200 * 28 * 28
    drawn = draw(torch.full((200, 1, 28, 28), level, dtype=torch.uint8), 0, "train")
    assert set(drawn.unique().tolist()) <= {0, 255}
    p = level / 255
    # Five binomial standard deviations; a level of 0 or 255 leaves none.
    tolerance = 5 * math.sqrt(p * (1 - p) / n) + 1e-9
    assert abs(drawn.double().mean().item() / 255 - p) <= tolerance


def test_draws_differ_between_chunks(monkeypatch):
    monkeypatch.setattr("vaecli.data.files.images.CHUNK", 10)
    drawn = draw(torch.full((20, 1, 8, 8), 128, dtype=torch.uint8), 0, "train")
    assert not torch.equal(drawn[:10], drawn[10:])


def test_static_and_dynamic_share_validation_and_test(option, digits):
    static = option("digits", binarise="static").load()
    assert (static.kind, static.dynamic) == (Kind.BINARY, False)
    assert (digits.kind, digits.dynamic) == (Kind.BINARY, True)
    assert torch.equal(static.val.x, digits.val.x)
    assert torch.equal(static.test.x, digits.test.x)
    assert set(static.train.x.unique().tolist()) == {0, 255}
    assert set(digits.test.x.unique().tolist()) == {0, 255}
    assert len(digits.train.x.unique()) == 17  # grey until a batch is drawn


def test_dynamic_batches_are_drawn_afresh_and_validation_is_not(digits):
    index = torch.arange(200)
    source = torch.Generator().manual_seed(0)
    first, second = (digits.batch(digits.train, index, source) for _ in range(2))
    assert set(first.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(first, second)
    again = digits.batch(digits.train, index, torch.Generator().manual_seed(0))
    assert torch.equal(first, again)
    val = torch.arange(len(digits.val.x))
    drawn = digits.batch(digits.val, val, source)
    assert torch.equal(drawn, digits.val.x.float() / 255)


def test_threshold_is_above_one_half(option):
    x = torch.tensor([0, 127, 128, 255], dtype=torch.uint8)
    assert threshold(x).tolist() == [0, 0, 255, 255]  # 127/255 < 0.5 < 128/255
    data = option("digits", binarise="threshold").load()
    grey = option("digits", binarise="none").load()
    assert torch.equal(data.train.x == 255, grey.train.x.float() / 255 > 0.5)
    assert (data.kind, data.dynamic) == (Kind.BINARY, False)


def test_integer_factor_is_pooled_by_averaging():
    x = torch.randint(0, 256, (30, 3, 12, 12), dtype=torch.uint8)
    small = resize(x, 4)
    assert (small.shape, small.dtype) == ((30, 3, 4, 4), torch.uint8)
    blocks = x.double().unfold(2, 3, 3).unfold(3, 3, 3).mean((-1, -2))
    assert (small.double() - blocks).abs().max() <= 0.5 + 1e-4  # rounded to whole levels


def test_other_sizes_keep_a_constant_image_and_the_brightness():
    flat = torch.full((2, 1, 28, 28), 77, dtype=torch.uint8)
    for size in (9, 20, 33):
        assert resize(flat, size).unique().tolist() == [77]
    x = torch.randint(0, 256, (1, 1, 105, 105), dtype=torch.uint8)
    # Antialiasing averages 3.75 x 3.75 pixels, so the noise (sd 74) shrinks and the mean stays.
    small = resize(x, 28).float()
    assert abs(small.mean() - x.float().mean()) < 2
    assert small.std() < 30


def test_resize_takes_the_central_square():
    x = torch.zeros(1, 1, 4, 10, dtype=torch.uint8)
    x[..., 3:7] = 200
    assert resize(x, 4).unique().tolist() == [200]
    assert resize(x, 2).unique().tolist() == [200]


def test_resize_in_chunks_equals_resize_at_once(monkeypatch):
    x = torch.randint(0, 256, (25, 1, 8, 8), dtype=torch.uint8)
    whole = resize(x, 5)
    monkeypatch.setattr("vaecli.data.files.images.CHUNK", 10)
    assert torch.equal(resize(x, 5), whole)


@pytest.mark.parametrize("size", [4, 6, 28])
def test_image_size_sets_the_shape(option, size):
    data = option("digits", image_size=size).load()
    assert data.shape == (1, size, size)
    assert {part.x.shape[1:] for part in (data.train, data.val, data.test)} == {(1, size, size)}
