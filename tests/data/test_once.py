"""A figure of a data set is computed once and dropped with the data set."""

import gc
import weakref
from dataclasses import replace

import pytest
import torch

from vaecli.data.sets.base import Data, Kind, Split
from vaecli.data.sets.once import once


@pytest.fixture
def data():
    split = Split(torch.zeros(3, 1, 2, 2))
    return Data("x", (1, 2, 2), Kind.REAL, split, split, split)


@pytest.fixture
def calls():
    return []


@pytest.fixture
def figure(calls):
    @once
    def compute(data, factor=1):
        calls.append(factor)
        return factor * len(data.train.x)

    return compute


def test_it_is_computed_once_for_each_data_set_and_key(data, figure, calls):
    assert [figure(data), figure(data), figure(data, 2), figure(data, 2)] == [3, 3, 6, 6]
    assert calls == [1, 2]


def test_data_that_was_changed_is_another_data_set(data, figure):
    figure(data)
    assert figure(replace(data, train=Split(torch.zeros(5, 1, 2, 2)))) == 5


def test_the_figure_does_not_keep_the_data_in_memory(figure):
    split = Split(torch.zeros(3, 1, 2, 2))
    data = Data("x", (1, 2, 2), Kind.REAL, split, split, split)
    figure(data)
    there = weakref.ref(data)
    del data
    gc.collect()
    assert there() is None
