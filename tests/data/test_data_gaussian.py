"""data=gaussian: every split has exactly the moments that the linear oracle assumes."""

import numpy as np
import pytest
import torch

from vaecli.data.sets.base import Kind

PARTS = ("train", "val", "test")
# float32 holds each value to 6e-8 of it; a sum of N products of them is at least as good in mean.
ROUNDING = 1e-6


def rows(data, part):
    return getattr(data, part).x.flatten(1).double()


def test_splits_are_real_vectors_of_the_sizes_asked_for(option):
    data = option("gaussian", examples=100, held_out=50).load()
    assert (data.name, data.shape, data.kind) == ("gaussian", (1, 1, 6), Kind.REAL)
    assert [tuple(getattr(data, part).x.shape) for part in PARTS] == [
        (100, 1, 1, 6),
        (50, 1, 1, 6),
        (50, 1, 1, 6),
    ]
    assert data.train.x.dtype == torch.float32
    assert all(getattr(data, part).x.is_contiguous() for part in PARTS)


@pytest.mark.parametrize("rotate", [True, False])
@pytest.mark.parametrize("spectrum", [[9, 4, 2, 1, 0.5, 0.25], [0.01, 7, 7], [2.5]])
def test_every_split_has_mean_zero_and_exactly_the_spectrum(option, spectrum, rotate):
    data = option("gaussian", spectrum=spectrum, rotate=rotate, examples=300, held_out=11).load()
    for part in PARTS:
        x = rows(data, part)
        assert x.mean(0).abs().max() < ROUNDING * max(spectrum) ** 0.5
        found = np.linalg.eigvalsh(x.T @ x / len(x))
        np.testing.assert_allclose(found, sorted(spectrum), rtol=0, atol=ROUNDING * max(spectrum))


def test_every_split_has_the_same_covariance(option):
    data = option("gaussian").load()
    covariances = [torch.from_numpy(np.cov(rows(data, part).T, ddof=0)) for part in PARTS]
    for covariance in covariances[1:]:
        torch.testing.assert_close(covariance, covariances[0], rtol=0, atol=9 * ROUNDING)
    # The directions lie across the axes.
    off_diagonal = covariances[0] - covariances[0].diagonal().diag()
    assert off_diagonal.abs().max() > 0.1


def test_without_rotation_the_axes_are_the_directions_in_the_order_of_the_spectrum(option):
    data = option("gaussian", spectrum=[1, 9, 4], rotate=False).load()
    covariance = np.cov(rows(data, "test").T, ddof=0)
    np.testing.assert_allclose(covariance, np.diag([1, 9, 4]), rtol=0, atol=9 * ROUNDING)


def test_examples_are_normal_beyond_their_covariance(option):
    x = rows(option("gaussian", rotate=False).load(), "train")
    fourth = (x / x.square().mean(0).sqrt()).pow(4).mean(0)
    # Kurtosis 3, standard error sqrt(24 / 4096) = 0.077: four of them, six columns, one seed.
    assert (fourth - 3).abs().max() < 0.31


def test_the_seed_decides_and_the_splits_differ(option):
    first, again = (option("gaussian", held_out=200).load() for _ in range(2))
    assert all(getattr(first, p).x.equal(getattr(again, p).x) for p in PARTS)
    assert not first.val.x.equal(first.test.x)
    other = option("gaussian", held_out=200, seed=1).load()
    assert not other.train.x.equal(first.train.x)


def test_it_is_hashable_so_that_a_sweep_loads_it_once(option):
    assert hash(option("gaussian")) == hash(option("gaussian"))
    assert option("gaussian", spectrum=[1, 2]) != option("gaussian")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("spectrum", []),
        ("spectrum", [1.0, 0.0]),
        ("spectrum", [-1.0]),
        ("spectrum", [float("nan")]),
        ("spectrum", [float("inf")]),
        ("examples", 6),
        ("held_out", 6),
        ("held_out", 0),
        ("seed", -1),
    ],
)
def test_values_out_of_range_are_refused(option, refused, key, value):
    refused(lambda: option("gaussian", **{key: value}), f"data.{key}={value}", "try data.")


def test_as_many_held_out_examples_as_dimensions_plus_one_are_enough(option):
    data = option("gaussian", held_out=7).load()
    found = np.linalg.eigvalsh(np.cov(rows(data, "val").T, ddof=0))
    np.testing.assert_allclose(found, [0.25, 0.5, 1, 2, 4, 9], rtol=0, atol=9 * ROUNDING)
