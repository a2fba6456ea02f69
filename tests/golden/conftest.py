"""Golden runs that several tests look at."""

from functools import cache

import pytest
from recordings import trained


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory):
    """Train a case of losses the first time; returns its recording and its directory."""

    @cache
    def train(name):
        directory = tmp_path_factory.mktemp("golden")
        return trained(name, directory), directory

    return train
