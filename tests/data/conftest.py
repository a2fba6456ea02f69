import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from vaecli.config.options import find
from vaecli.data.sets.base import DataSet

ROOT = Path(__file__).parents[2]


def build(name, **overrides):
    """The validated data set as config.py makes it: the option's yaml, overridden as strings."""
    node = OmegaConf.load(ROOT / "configs" / "data" / f"{name}.yaml")
    assert node.pop("name") == name
    node.pop("suggested")
    typed = OmegaConf.structured(find("data", name, DataSet))
    dataset = OmegaConf.to_object(OmegaConf.merge(typed, node, overrides))
    dataset.validate()
    return dataset


@pytest.fixture
def option():
    return build


@pytest.fixture(scope="session")
def digits():
    return build("digits").load()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Memory-mapped copies go here, never to the home directory."""
    monkeypatch.setenv("VAECLI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "memmap"


@pytest.fixture(scope="session")
def real_data():
    """A folder that holds the complete MNIST/raw."""
    where = Path(os.environ.get("VAECLI_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (where / "MNIST" / "raw" / "train-images-idx3-ubyte").is_file():
        pytest.skip(f"no MNIST at {where}; set VAECLI_TEST_DATA to a folder with MNIST/raw")
    return where


def write_idx(path, array, *, compressed=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    content = header + array.astype(np.uint8).tobytes()
    if compressed:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(content))
    else:
        path.write_bytes(content)


@pytest.fixture
def idx():
    return write_idx


@pytest.fixture
def refused():
    """Calls, expects a UsageError of at most three lines, and returns its text."""
    from vaecli.core.errors import UsageError

    def check(call, *words):
        with pytest.raises(UsageError) as caught:
            call()
        text = str(caught.value)
        assert len(text.splitlines()) <= 3
        for word in words:
            assert str(word) in text
        return text

    return check
