import hashlib
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from vaecli.data.sets.base import Kind


def md5(path):
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """Six pickles of 10 images in CIFAR-10's format, whose sums replace torchvision's."""
    from torchvision.datasets import CIFAR10

    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    random = np.random.default_rng(0)
    names = [name for name, _ in CIFAR10.train_list + CIFAR10.test_list]
    images = {}
    for name in names:
        images[name] = random.integers(0, 256, (10, 3072), dtype=np.uint8)
        entry = {"data": images[name], "labels": list(range(10))}
        (folder / name).write_bytes(pickle.dumps(entry))
    meta = folder / CIFAR10.meta["filename"]
    meta.write_bytes(pickle.dumps({"label_names": [str(i) for i in range(10)]}))
    sums = [[name, md5(folder / name)] for name in names]
    monkeypatch.setattr(CIFAR10, "train_list", sums[:5])
    monkeypatch.setattr(CIFAR10, "test_list", sums[5:])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": md5(meta)})
    return tmp_path, folder, images


def test_cifar10_is_read_channels_first(option, cifar):
    root, _, images = cifar
    data = option("cifar10", root=str(root)).load()
    assert (data.kind, data.shape) == (Kind.COLOUR, (3, 32, 32))
    assert (len(data.train.x), len(data.val.x)) == (45, 5)
    expected = torch.from_numpy(images["test_batch"]).view(10, 3, 32, 32)
    assert torch.equal(data.test.x, expected)
    assert data.test.y.tolist() == list(range(10))
    assert data.train.x.is_contiguous()


def test_cifar10_is_pooled_in_colour(option, cifar):
    data = option("cifar10", root=str(cifar[0]), image_size=8).load()
    assert data.test.x.shape == (10, 3, 8, 8)


def test_damaged_cifar10_file_is_named_and_not_unpickled(option, refused, cifar, monkeypatch):
    root, folder, _ = cifar
    with (folder / "data_batch_3").open("ab") as file:
        file.write(b"x")
    monkeypatch.setattr(pickle, "load", lambda *_, **__: pytest.fail("unpickled"))
    refused(option("cifar10", root=str(root)).load, "data.root=", folder / "data_batch_3")


def test_missing_cifar10_file_is_named(option, refused, cifar):
    root, folder, _ = cifar
    (folder / "test_batch").unlink()
    refused(option("cifar10", root=str(root)).check_files, folder / "test_batch", "download=true")


@pytest.fixture
def svhn(tmp_path, monkeypatch):
    """Two .mat files in SVHN's format, whose sums replace torchvision's."""
    from scipy.io import savemat
    from torchvision.datasets import SVHN

    random = np.random.default_rng(0)
    images, listed = {}, dict(SVHN.split_list)
    for part, n in (("train", 30), ("test", 20)):
        images[part] = random.integers(0, 256, (32, 32, 3, n), dtype=np.uint8)
        labels = np.arange(n, dtype=np.uint8)[:, None] % 10 + 1  # 10 stands for the digit 0
        path = tmp_path / listed[part][1]
        savemat(path, {"X": images[part], "y": labels})
        listed[part] = [*listed[part][:2], md5(path)]
    monkeypatch.setattr(SVHN, "split_list", listed)
    return tmp_path, images


def test_svhn_is_read_channels_first_with_zero_as_class_0(option, svhn):
    root, images = svhn
    data = option("svhn", root=str(root)).load()
    assert (data.kind, data.shape) == (Kind.COLOUR, (3, 32, 32))
    assert (len(data.train.x), len(data.val.x)) == (27, 3)
    assert torch.equal(data.test.x, torch.from_numpy(images["test"]).permute(3, 2, 0, 1))
    assert data.test.y.tolist() == [(i + 1) % 10 for i in range(20)]
    assert data.test.x.is_contiguous()


def test_damaged_svhn_file_is_named(option, refused, svhn):
    root, _ = svhn
    path = root / "test_32x32.mat"
    path.write_bytes(path.read_bytes()[:-10])
    refused(option("svhn", root=str(root)).load, path, "damaged")


@pytest.fixture
def omniglot(tmp_path):
    """Two alphabets of 2 characters of 6 drawings to train on, one to test on."""
    for folder, alphabets in (
        ("images_background", ("Greek", "Latin")),
        ("images_evaluation", ("Oriya",)),
    ):
        for alphabet in alphabets:
            for character in ("character01", "character02"):
                where = tmp_path / "omniglot-py" / folder / alphabet / character
                where.mkdir(parents=True)
                for drawing in range(6):
                    ink = np.ones((105, 105), dtype=bool)
                    ink[:, 40:60] = False  # strokes are black on white paper
                    Image.fromarray(ink).save(where / f"0001_{drawing:02}.png")
    return tmp_path


def test_omniglot_is_inverted_and_brought_to_28_pixels(option, omniglot):
    data = option("omniglot", root=str(omniglot), binarise="none").load()
    assert (data.shape, data.kind) == ((1, 28, 28), Kind.GREY)
    assert [len(s.x) for s in (data.train, data.val, data.test)] == [22, 2, 12]
    assert data.test.x[0, 0, :, 13].unique().tolist() == [255]
    assert data.test.x[0, 0, :, 0].unique().tolist() == [0]


def test_omniglot_evaluation_characters_are_classes_of_their_own(option, omniglot):
    data = option("omniglot", root=str(omniglot), image_size=None).load()
    assert data.shape == (1, 105, 105)
    assert data.dynamic
    assert set(torch.cat((data.train.y, data.val.y)).tolist()) == {0, 1, 2, 3}
    assert data.test.y.tolist() == [4] * 6 + [5] * 6


def test_damaged_omniglot_drawing_is_named(option, refused, omniglot):
    path = omniglot / "omniglot-py/images_evaluation/Oriya/character02/0001_03.png"
    path.write_bytes(path.read_bytes()[:40])
    refused(option("omniglot", root=str(omniglot)).load, "data.root=", path)
