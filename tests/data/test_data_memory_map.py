import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

random = np.random.default_rng(0)
SOURCES = {
    "images": random.integers(0, 256, (60, 6, 5, 3), dtype=np.uint8),
    "reals": random.normal(size=(60, 7)),
}
PARTS = ("train", "val", "test")


@pytest.fixture(params=["npz images", "npz reals", "npy images", "npy reals", "image_folder"])
def source(request, tmp_path):
    """(option, path) of a small data set of each kind that can be mapped."""
    kind, _, which = request.param.partition(" ")
    if kind == "image_folder":
        for i, pixels in enumerate(SOURCES["images"]):
            folder = tmp_path / "pictures" / str(i % 3)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"{i}.png")
        return kind, str(tmp_path / "pictures")
    path = tmp_path / f"data.{kind}"
    labels = np.arange(60)
    if kind == "npy":
        np.save(path, SOURCES[which])
    else:
        np.savez(path, x=SOURCES[which], y=labels)
    return "npz", str(path)


def load(option, source, **keys):
    return option(source[0], path=source[1], **keys).load()


def test_batches_equal_those_from_memory(option, source):
    memory, mapped = (load(option, source, memory_limit_gb=gb) for gb in (1, 0))
    assert mapped.shape == memory.shape
    assert mapped.kind is memory.kind
    for part in PARTS:
        held, file = getattr(memory, part), getattr(mapped, part)
        assert (held.memory_mapped, file.memory_mapped) == (False, True)
        index = torch.randperm(len(held.x))
        assert torch.equal(memory.batch(held, index), mapped.batch(file, index))
        assert (held.y is None) == (file.y is None)
        assert held.y is None or torch.equal(held.y, file.y)


def test_mapped_splits_stay_in_the_file_when_data_moves(option, source):
    mapped = load(option, source, memory_limit_gb=0)
    moved = mapped.to(torch.device("cpu"))
    for part in PARTS:
        split = getattr(moved, part)
        assert split.memory_mapped
        assert split.x.data_ptr() == getattr(mapped, part).x.data_ptr()


def test_splits_are_views_of_one_file(option, source, cache):
    mapped = load(option, source, memory_limit_gb=0)
    (file,) = cache.iterdir()
    starts = {getattr(mapped, part).x.untyped_storage().data_ptr() for part in PARTS}
    assert len(starts) == 1
    assert mapped.train.x.untyped_storage().nbytes() < file.stat().st_size


def test_copy_is_written_once_and_again_when_the_source_changes(option, source, cache):
    load(option, source, memory_limit_gb=0)
    (file,) = cache.iterdir()
    written = file.stat().st_mtime_ns
    load(option, source, memory_limit_gb=0)
    assert [path.stat().st_mtime_ns for path in cache.iterdir()] == [written]
    load(option, source, memory_limit_gb=0, seed=1)
    assert len(list(cache.iterdir())) == 2
    path = Path(source[1])
    for changed in [path] if path.is_file() else path.rglob("*.png"):
        os.utime(changed, ns=(1, 1))
    load(option, source, memory_limit_gb=0)
    assert len(list(cache.iterdir())) == 3


def test_limit_counts_towards_the_memory(option, tmp_path):
    path = tmp_path / "big.npy"
    np.save(path, np.full((1000, 10, 10), 9, np.uint8))
    limit_gb = 50e3 / 1e9  # half of the whole; 280 of val and test and 100 of train fit
    whole, few = (
        option("npz", path=str(path), memory_limit_gb=limit_gb, limit=limit).load()
        for limit in (None, 100)
    )
    assert whole.train.memory_mapped
    assert not few.train.memory_mapped


def test_refused_load_leaves_no_file(option, refused, tmp_path, cache):
    bad = SOURCES["reals"].copy()
    bad[59, 0] = np.nan
    path = tmp_path / "data.npy"
    np.save(path, bad)
    refused(option("npz", path=str(path), memory_limit_gb=0).load, "NaN")
    assert list(cache.iterdir()) == []


def test_binarisation_of_mapped_images_is_refused_before_writing(option, refused, tmp_path, cache):
    path = tmp_path / "data.npy"
    np.save(path, SOURCES["images"][..., 0])
    dataset = option("npz", path=str(path), memory_limit_gb=0, binarise="static")
    refused(dataset.load, "data.binarise=static", "data.memory_limit_gb=0", "raise")
    assert not cache.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_cache_without_room_is_refused(option, refused, source, cache):
    cache.parent.mkdir()
    cache.parent.chmod(0o500)
    refused(lambda: load(option, source, memory_limit_gb=0), "VAECLI_CACHE", cache)


def test_cache_under_a_file_is_refused(option, refused, source, cache):
    cache.parent.write_text("in the way")
    refused(
        lambda: load(option, source, memory_limit_gb=0), "data.memory_limit_gb=0", "VAECLI_CACHE"
    )


PEAK = """
import sys, torch
from vaecli.data.npz import Npz

def status(field):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":")) * 1024

torch.zeros(10)[torch.tensor([1])]
open("/proc/self/clear_refs", "w").write("5")  # the peak starts afresh
before = status("VmRSS")
data = Npz(path=sys.argv[1], memory_limit_gb=float(sys.argv[2])).load()
data = data.to(torch.device("cpu"))
for _ in range(20):
    data.batch(data.train, torch.randint(200, (64,)))
print(data.train.memory_mapped, status("VmHWM") - before)
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux's /proc")
def test_peak_memory_does_not_grow_by_the_size_of_the_file(tmp_path):
    path = tmp_path / "big.npy"
    size = 128 * 2**20
    np.save(path, np.full((size // 2**14, 1, 128, 128), 7, np.uint8))

    def peak(limit_gb):
        command = [sys.executable, "-c", PEAK, str(path), str(limit_gb)]
        mapped, grown = subprocess.check_output(command, text=True, timeout=120).split()
        return mapped == "True", int(grown)

    # In memory the whole file counts; mapped, chunks of 4 MB on the way, their copies in the
    # order of the splits, and the pages that the batches touched: under a quarter of 128 MB.
    mapped, grown = peak(limit_gb=0)
    assert mapped
    assert grown < size / 4
    mapped, grown = peak(limit_gb=4)
    assert not mapped
    assert grown > size
