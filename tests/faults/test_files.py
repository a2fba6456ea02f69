"""Damaged and foreign files, full disks: a clear answer, and what was written before is whole."""

import errno
import os
import random

import pytest
import torch
from endings import ending

from vaecli.core.errors import UsageError
from vaecli.training import checkpoint

SHORT = ("trainer.epochs=3", "diagnosis=quick", "data.limit=400")


@pytest.fixture(scope="module")
def content():
    weights = {"w": torch.randn(40, 30), "b": torch.zeros((), dtype=torch.int64)}
    return {"model": weights, "progress": {"step": 7, "best": 1.5}, "noise": torch.arange(9.0)}


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    return a == b


def test_a_checkpoint_comes_back_as_it_was(content, tmp_path):
    checkpoint.save(tmp_path / "x.pt", content)
    found = checkpoint.load(tmp_path / "x.pt")
    assert found.pop("format") == checkpoint.FORMAT
    assert equal(found, content)


def test_no_flipped_bit_and_no_cut_goes_unnoticed(content, tmp_path):
    path = tmp_path / "x.pt"
    checkpoint.save(path, content)
    whole = path.read_bytes()
    rng = random.Random(0)
    refused = 0
    for number in range(200):
        damaged = bytearray(whole)
        if number % 4 == 0:
            del damaged[rng.randrange(len(damaged)) :]
        else:
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            found = checkpoint.load(path)
        except UsageError:
            refused += 1
            continue
        found.pop("format")
        assert equal(found, content), number  # the bit was one of the archive's padding
    assert refused > 100


def test_a_damaged_last_checkpoint_costs_the_updates_since_the_one_before(train, trained, tmp_path):
    whole = trained(*SHORT)
    ran = whole.copied(tmp_path / "run")
    last = ran.directory / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:-1000])
    resumed = train("resume=run")
    assert resumed.code == 0
    assert "last.pt: is no checkpoint of vaecli, or is damaged" in resumed.out
    assert "goes on from the checkpoint before it" in resumed.out
    expected = ending(whole.directory)
    found = ending(ran.directory)
    for part in ("rows", "diagnosis", "last", "best", "curves"):
        assert found[part] == expected[part], part
    for name in ("last", "previous"):
        (last.with_name(f"{name}.pt")).write_bytes(b"")
    refused = train("resume=run")
    assert refused.code == 2
    assert "last.pt" in refused.err


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.ESTALE])
def test_a_disk_that_takes_no_more_ends_the_run_with_its_earlier_checkpoint(
    train, trained, monkeypatch, tmp_path, number
):
    whole = trained(*SHORT)
    fsync, first = os.fsync, tmp_path / "run" / "checkpoints" / "last.pt"

    def full(file):
        if first.exists():
            raise OSError(number, os.strerror(number))
        return fsync(file)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        ran = train(*SHORT)
    assert ran.code == 1
    assert os.strerror(number) in ran.out
    assert "Traceback" not in ran.out + ran.err
    found = checkpoint.load(ran.directory / "checkpoints" / "last.pt")
    assert found["progress"]["step"] > 0
    assert train("resume=run").code == 0
    expected = ending(whole.directory)
    found = ending(ran.directory)
    for part in ("rows", "diagnosis", "last", "best", "curves"):
        assert found[part] == expected[part], part


@pytest.mark.parametrize("stacked", [False, True])
def test_a_gradient_that_is_no_number_never_reaches_a_checkpoint(train, monkeypatch, stacked):
    """The loss of the last update before a checkpoint is finite, and its gradient is not."""
    from vaecli.training.fit import Fit

    original = Fit.save

    def save(self, name):
        if name == "last" and self.step == 6 and self.seed == 0:
            self.groups["decoder"][0].data.fill_(float("nan"))  # as an update with it would
        original(self, name)

    monkeypatch.setattr(Fit, "save", save)
    many = ("-m", "seed=0,1", "hydra.sweep.dir=sweep") if stacked else ("seed=0",)
    ran = train(*many, *SHORT, directory=None if stacked else "run")
    assert ran.code == (1 if stacked else 3)
    assert "a weight became nan at decoder update 6" in ran.out
    run = ran.directory.parent / "sweep" / "0_seed=0" if stacked else ran.directory
    found = checkpoint.load(run / "checkpoints" / "last.pt")
    assert found["progress"]["step"] == 3
    assert all(weights.isfinite().all() for weights in found["model"].values())
