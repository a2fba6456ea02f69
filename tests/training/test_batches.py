"""Rows of a memory-mapped file are read ahead in a thread, and are the rows of the same batches."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from vaecli.data.files.memory_map import open_rows
from vaecli.data.sets.base import Data, Kind, Split
from vaecli.training.batches import Batches


def split_of(rows):
    return Split(rows.x, memory_mapped=rows.memory_mapped)


@pytest.fixture
def two(tmp_path):
    """The same data in memory and in a file."""
    x = np.random.default_rng(0).integers(0, 256, (70, 1, 4, 4), dtype=np.uint8)
    np.save(tmp_path / "x.npy", x)
    held = Split(torch.from_numpy(x))
    return [
        Data("x", (1, 4, 4), Kind.GREY, train, held, held)
        for train in (held, split_of(open_rows(tmp_path / "x.npy")))
    ]


def test_rows_read_ahead_are_those_of_the_batches(two):
    memory, mapped = (Batches(data, 16, seed=0) for data in two)
    for which in ("next", "random", "held", *["next"] * 9, "held", "next"):  # over two epochs' ends
        assert torch.equal(memory.rows(which), mapped.rows(which)), which
        assert mapped._ahead is not None
    later = Batches(two[1], 16, seed=0)
    later.rows("next")
    later.load_state_dict(memory.state_dict())  # what it had read ahead is of another place
    for which in ("next", "held", "random", "next"):
        assert torch.equal(memory.rows(which), later.rows(which)), which


@pytest.mark.parametrize("which", ["next", "random", "held"])
def test_indices_lie_where_the_rows_do(two, which):
    rows = two[0].train.x.to("meta")  # stands for a GPU
    batches = Batches(replace(two[0], train=Split(rows)), 16, seed=0)
    batches.rows("next")
    assert batches.rows(which).shape == (16, 1, 4, 4)
    assert batches.index(which).device == rows.device


SMALL = """
import resource, sys
from pathlib import Path
from unittest.mock import Mock
import torch
torch.set_num_threads(1)
from hydra import compose, initialize_config_dir
from vaecli.runs.build import build
from vaecli.config.compose import CONFIGS
from vaecli.config.schema import read
from vaecli.data.sets.base import Data, Kind, Split
from vaecli.data.files.memory_map import open_rows
from vaecli.training.fit import Fit
from vaecli.training.precision import choose_precision
from vaecli.training.signals import StopRequests

x = open_rows(Path(sys.argv[1])).x
train = Split(x, memory_mapped=sys.argv[2] == "mapped")
few = Split(torch.zeros(64, *x.shape[1:], dtype=torch.uint8))
data = Data("x", tuple(x.shape[1:]), Kind.GREY, train, few, few)
with initialize_config_dir(str(CONFIGS), version_base="1.3"):
    config = read(compose("config", [
        "model=linear", "likelihood=bernoulli", "trainer.batch_size=512", "trainer.epochs=1",
        "trainer.evaluate_every=1",
    ]))
fit = Fit(
    build(config, data), data, trainer=config.trainer, schedule=config.schedule, seed=0,
    precision=choose_precision(config.trainer.amp, data.device), threshold=0.01,
    directory=Path(sys.argv[3]),
)
status = open("/proc/self/status").read()
taken = 1024 * int(next(s for s in status.splitlines() if s.startswith("VmData")).split()[1])
resource.setrlimit(resource.RLIMIT_DATA, (taken + 48 * 2**20,) * 2)
if sys.argv[2] == "memory":
    x.clone()
fit.run(StopRequests(), Mock())
print(fit.step * 512)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's")
def test_a_file_larger_than_the_memory_that_is_left_can_be_trained_on(tmp_path):
    """A limit of 48 MiB more than the process has, and all rows of a file of 96 MiB, once."""
    path = tmp_path / "large.npy"
    rows = 96 * 2**20 // 784
    header = {"descr": "|u1", "fortran_order": False, "shape": (rows, 1, 28, 28)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + rows * 784)  # a hole: it takes no room on the disk

    def end(how):
        command = [sys.executable, "-c", SMALL, str(path), how, str(tmp_path / how)]
        # What is freed goes back at once, or the limit is met by holes between threads' tensors.
        env = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env=env, timeout=120
        )

    mapped = end("mapped")
    assert mapped.returncode == 0, mapped.stderr
    assert rows - 512 < int(mapped.stdout) <= rows
    assert "allocate memory" in end("memory").stderr
