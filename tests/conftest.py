"""Shared by all tests: one thread each, vae-train in this process, runs that are trained once."""

import contextlib
import fcntl
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"  # two workers share two cores, and so do their children,
SUPPORT = str(Path(__file__).parent / "support")  # who find the tests' helpers, too
os.environ["PYTHONPATH"] = os.pathsep.join([SUPPORT, *filter(None, [os.getenv("PYTHONPATH")])])

import pytest  # noqa: E402
import torch  # noqa: E402
from doors import train as vae_train  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

torch.set_num_threads(1)

LENIENT = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "suppress_health_check": list(HealthCheck),
}
settings.register_profile("few", max_examples=20, **LENIENT)
settings.register_profile("many", max_examples=60, **LENIENT)  # make test-all
settings.load_profile("few")


@pytest.fixture(autouse=True, scope="session")
def hasty_disk():
    """Files are not waited for until they lie on the disk: no test pulls the plug."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda file: None)
        yield


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

    def copied(self, directory):
        """The same in another place, where it may be changed."""
        shutil.copytree(self.directory, directory, symlinks=True)
        return self._replace(directory=directory)


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


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """once(name, fill): a directory that fill(directory) fills once for all tests and workers."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    root /= "once"
    root.mkdir(exist_ok=True)

    def made(name: str, fill: Callable[[Path], None]) -> Path:
        place = root / hashlib.sha256(name.encode()).hexdigest()[:16]
        with open(place.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            filled = place.with_suffix(".filled")
            if not filled.exists():
                shutil.rmtree(place, ignore_errors=True)
                place.mkdir()
                fill(place)
                filled.touch()
        return place

    return made


@pytest.fixture(scope="session")
def trained(once):
    """A run, or with -m a sweep, of these arguments: made once for all tests, never changed."""

    def find(*arguments):
        kind = "sweep" if "-m" in arguments else "run"

        def fill(place):
            out, err = io.StringIO(), io.StringIO()
            with (
                contextlib.chdir(place),
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(err),
            ):
                code = vae_train([*arguments, f"hydra.{kind}.dir={place / kind}"])
            (place / "told.json").write_text(json.dumps([code, out.getvalue(), err.getvalue()]))

        place = once(" ".join(arguments), fill)
        return Ran(*json.loads((place / "told.json").read_text()), place / kind)

    return find


# Two updates and the figures only: enough to go through every room of the house.
SMOKE = ("trainer.max_steps=2", "diagnosis=quick", "data.limit=300", "diagnosis.samples=100")


@pytest.fixture
def smoke():
    return SMOKE
