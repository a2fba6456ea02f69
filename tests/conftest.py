"""Shared by all tests: one thread each, vae-train in this process."""

import json
import os
from pathlib import Path
from typing import NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"  # two workers share two cores, and so do their children,
SUPPORT = str(Path(__file__).parent / "support")  # who find the tests' helpers, too
os.environ["PYTHONPATH"] = os.pathsep.join([SUPPORT, *filter(None, [os.getenv("PYTHONPATH")])])

import pytest  # noqa: E402
import torch  # noqa: E402
from doors import train as vae_train  # noqa: E402

torch.set_num_threads(1)


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
        code = vae_train([*arguments, *where])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err, path)

    return run


# Two updates and the figures only: enough to go through every room of the house.
SMOKE = ("trainer.max_steps=2", "diagnosis=quick", "data.limit=300", "diagnosis.samples=100")


@pytest.fixture
def smoke():
    return SMOKE
