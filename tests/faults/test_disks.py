"""Disks that fill up under a process: it says so and ends, and nothing that was written is lost."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import processes
import pytest
from endings import ending

SHORT = ("trainer.epochs=4", "diagnosis=quick", "data.limit=400", "trainer.checkpoint_every=2")
SAME = ("rows", "diagnosis", "last", "best", "curves")


def all_of(*values):
    """Cases for `make test-faults`."""
    return [pytest.param(value, marks=pytest.mark.faults) for value in values]


@pytest.fixture
def disk(tmp_path):
    """A function that makes a file system of so many KiB, and later resizes it."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = []

    def sized(kilobytes):
        options = f"{'remount,' if mounted else ''}size={kilobytes}k"
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            pytest.skip("no file system may be mounted here")
        mounted.append(place)
        return place

    with contextlib.suppress(FileNotFoundError):
        yield sized
    if mounted:
        subprocess.run(["umount", "-l", str(place)], check=True)


def command(door, *arguments, cwd, most_bytes=None):
    """A door of vaecli in a process of its own, which may write no file larger than that."""
    return processes.run(f"doors.{door}", *arguments, cwd=cwd, most_bytes=most_bytes)


def refused(done, *words):
    told = done.stdout + done.stderr
    assert "Traceback" not in told, told
    assert any(word in told for word in words), told


@pytest.fixture
def whole(trained):
    ran = trained(*SHORT)
    assert ran.code == 0, ran.err
    return ran.directory


def goes_on(run, whole, cwd):
    again = command("train", f"resume={run}", cwd=cwd)
    assert again.returncode == 0, again.stderr
    expected, found = ending(whole), ending(run)
    for part in SAME:
        assert found[part] == expected[part], part


# What does not fit any more: the config, a row, TensorBoard's file, a checkpoint, the next one,
# the pages.
@pytest.mark.parametrize("kilobytes", [24, 2400, *all_of(8, 32, 100, 1900)])
def test_a_run_on_a_full_disk_ends_and_goes_on_where_there_is_room(
    disk, whole, tmp_path, kilobytes
):
    run = disk(kilobytes) / "run"
    done = command("train", *SHORT, f"hydra.run.dir={run}", cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    refused(done, "No space left on device")
    disk(100_000)
    goes_on(run, whole, tmp_path)


@pytest.fixture
def whole_sweep(trained):
    ran = trained("-m", *SHORT, "seed=0,1")
    assert ran.code == 0, ran.err
    return ran.directory


@pytest.mark.parametrize("kilobytes", all_of(32, 60, 3000))
def test_a_sweep_on_a_full_disk_ends_and_goes_on_where_there_is_room(
    disk, whole_sweep, tmp_path, kilobytes
):
    sweep = disk(kilobytes) / "sweep"
    done = command("train", "-m", *SHORT, "seed=0,1", f"hydra.sweep.dir={sweep}", cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    refused(done, "No space left on device")
    assert "No comparison: " in done.stdout or "Comparison   " in done.stdout
    disk(100_000)
    again = command("train", f"resume={sweep}", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    for run in ("0_seed=0", "1_seed=1"):
        expected, found = ending(whole_sweep / run), ending(sweep / run)
        for part in SAME:
            assert found[part] == expected[part], (run, part)
    assert (sweep / "comparison.html").exists()


@pytest.mark.faults
def test_a_sweep_that_is_terminated_on_a_full_disk_says_so_and_compares(disk, tmp_path):
    place = disk(20_000)
    asked = ["-m", "seed=0,1,2", "sweep.stack=off", "trainer.epochs=100000", "data.limit=400"]
    asked += ["trainer.checkpoint_every=100000", "diagnosis=quick", f"hydra.sweep.dir={place}/s"]
    started = processes.start("doors.train", *asked, cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not list(place.glob("s/*/metrics.jsonl")):
        assert started.process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with contextlib.suppress(OSError), open(place / "fill", "wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))
    os.kill(started.process.pid, signal.SIGTERM)
    done = started.wait(60)
    words = done.stdout + done.stderr
    assert "Traceback" not in words, words
    # The disk may have ended the run before the signal did.
    assert done.returncode in (1, 143), words
    assert "No comparison: " in words, words


@pytest.mark.parametrize("most_bytes", [5_000, *all_of(300_000)])
def test_files_that_may_not_grow_end_the_run_and_nothing_is_lost(whole, tmp_path, most_bytes):
    """The first limit is TensorBoard's file, the second a checkpoint."""
    done = command("train", *SHORT, "hydra.run.dir=run", cwd=tmp_path, most_bytes=most_bytes)
    assert done.returncode == 1, done.stdout + done.stderr
    refused(done, "File too large")
    assert not list((tmp_path / "run").rglob("*.tmp"))
    goes_on(tmp_path / "run", whole, tmp_path)


def test_a_diagnosis_and_a_comparison_that_cannot_be_written_leave_nothing(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    again = command("diagnose", "run", "diagnosis.tsne_points=0", cwd=tmp_path, most_bytes=2000)
    assert again.returncode == 2
    refused(again, "cannot be written (File too large)")
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
    compared = command("compare", ".", cwd=tmp_path, most_bytes=200)
    assert compared.returncode == 2
    refused(compared, "cannot be written (File too large)")
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_a_console_that_takes_nothing_does_not_end_a_run(tmp_path):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "vaecli.train",
                "trainer.max_steps=2",
                "diagnosis=quick",
                "hydra.run.dir=run",
            ],
            cwd=tmp_path,
            stdout=full,
            check=False,
            timeout=120,
        )
    assert done.returncode == 0
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["run_state"] == "done"


def test_a_directory_that_is_removed_ends_the_run_with_a_word(tmp_path):
    run = tmp_path / "run"
    started = processes.start(
        "doors.train", "trainer.epochs=2000", f"hydra.run.dir={run}", cwd=tmp_path
    )
    deadline = time.monotonic() + 60
    while not (run / "checkpoints" / "last.pt").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    shutil.rmtree(run, ignore_errors=True)
    done = started.wait()
    assert done.returncode == 1
    refused(done, "No such file or directory")
