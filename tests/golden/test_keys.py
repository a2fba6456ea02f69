"""A run writes the files that it wrote when they were recorded, with the same keys in each."""

import pytest
from recordings import KEYS, keys_of, read, remedy


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("keys")


@pytest.mark.parametrize("name", KEYS)
def test_files_and_their_keys_are_the_recorded_ones(name, directory, trained_once):
    recorded = read(f"keys/{name}").splitlines()
    if name == "sweep":
        _, directory = trained_once("stacked_sweep")
    assert keys_of(name, directory).splitlines() == recorded, remedy(f"keys/{name}")
