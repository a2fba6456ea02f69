"""Shared by all tests: one thread each, vae-train in this process, where the real data is."""

import json
import os
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from vaecli.train import _main

torch.set_num_threads(1)  # two workers share two cores
ROOT = Path(__file__).resolve().parent.parent


class Ran(NamedTuple):
    code: int
    out: str
    err: str
    directory: Path

    def json(self, name):
        return json.loads((self.directory / name).read_text())

    @property
    def rows(self):
        text = (self.directory / "metrics.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def train(tmp_path, capsys, monkeypatch):
    """Call vae-train as from a shell in an empty directory; returns code, output, directory."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, directory="run"):
        path = tmp_path / (directory or "run")
        resumes = any(a.startswith("resume=") for a in arguments)
        where = [] if resumes or directory is None else [f"hydra.run.dir={path}"]
        code = _main([*arguments, *where])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err, path)

    return run


@pytest.fixture(scope="session")
def real_data():
    """The folder with the real MNIST, from VAECLI_TEST_DATA or ../shared/data."""
    folder = Path(os.environ.get("VAECLI_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "MNIST" / "raw").is_dir():
        pytest.skip(f"no MNIST at {folder}; set VAECLI_TEST_DATA")
    return folder


# Two updates and the figures only: enough to go through every room of the house.
SMOKE = ("trainer.max_steps=2", "diagnosis=quick", "data.limit=300", "diagnosis.samples=100")


@pytest.fixture
def smoke():
    return SMOKE
