import os

import numpy as np
import pytest
import torch

from vaecli.data.sets.base import Kind


def listing(folder):
    return sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*"))


def test_real_mnist_is_complete_and_upright(option, real_data):
    before = listing(real_data)
    data = option("mnist", root=str(real_data), binarise="none").load()
    assert [len(s.x) for s in (data.train, data.val, data.test)] == [54000, 6000, 10000]
    assert (data.shape, data.kind) == ((1, 28, 28), Kind.GREY)
    # Means as published with the data: 0.1307 for all 60,000 training images.
    both = torch.cat((data.train.x, data.val.x)).float().mean().item() / 255
    assert both == pytest.approx(0.1307, abs=1e-4)
    assert data.test.y[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert torch.cat((data.train.y, data.val.y)).bincount().tolist() == [
        *(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
    ]
    assert listing(real_data) == before


def test_real_mnist_binarises_with_the_right_mean(option, real_data):
    grey, static = (
        option("mnist", root=str(real_data), binarise=mode, limit=2000).load()
        for mode in ("none", "static")
    )
    p = grey.test.x.float() / 255
    # The sum of independent Bernoulli pixels; five standard deviations of its mean.
    tolerance = 5 * (p * (1 - p)).sum().sqrt().item() / p.numel()
    assert abs((static.test.x.float() / 255).mean() - p.mean()) < tolerance


def test_relative_root_is_taken_from_the_working_directory(option, real_data, monkeypatch):
    monkeypatch.chdir(real_data.parent)
    data = option("mnist", root=real_data.name, limit=10, image_size=14).load()
    assert data.shape == (1, 14, 14)


FOLDERS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}


def write(idx, root, folder, *, compressed=False, prefixes=("train", "t10k"), first_class=0):
    """Small files in the layout of MNIST: image i is filled with i, its class is i mod 10."""
    for prefix, n in zip(prefixes, (40, 20), strict=True):
        i = np.arange(n)
        images = np.broadcast_to(i[:, None, None], (n, 28, 28)).copy()
        images[:, 0, 1:] = 0  # the top row is dark but for its first pixel
        raw = root / folder / "raw"
        idx(raw / f"{prefix}-images-idx3-ubyte", images, compressed=compressed)
        idx(raw / f"{prefix}-labels-idx1-ubyte", i % 10 + first_class, compressed=compressed)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", FOLDERS)
def test_idx_files_are_read_plain_and_gzipped(option, idx, tmp_path, name, compressed):
    write(idx, tmp_path, FOLDERS[name], compressed=compressed)
    before = listing(tmp_path)
    data = option(name, root=str(tmp_path), binarise="none").load()
    assert data.test.x[:, 0, 5, 5].tolist() == list(range(20))  # the official order
    assert data.test.y.tolist() == [i % 10 for i in range(20)]
    seen = torch.cat((data.train.x, data.val.x))[:, 0, 5, 5].tolist()
    assert sorted(seen) == list(range(40))
    assert torch.equal(data.train.y, data.train.x[:, 0, 5, 5].long() % 10)
    assert len(data.val.x) == 4
    assert listing(tmp_path) == before


@pytest.mark.parametrize(("split", "first_class"), [("balanced", 0), ("letters", 1)])
def test_emnist_is_upright_with_classes_from_0(option, idx, tmp_path, split, first_class):
    prefixes = (f"emnist-{split}-train", f"emnist-{split}-test")
    write(idx, tmp_path, "EMNIST", prefixes=prefixes, first_class=first_class)
    data = option("emnist", root=str(tmp_path), split=split, binarise="none").load()
    assert data.test.y.tolist() == [i % 10 for i in range(20)]
    image = data.test.x[7, 0]
    assert image[1:, 0].unique().tolist() == [0]  # the dark row of the file is the left column
    assert image[0].unique().tolist() == [7]
    assert data.test.x.is_contiguous()


@pytest.mark.parametrize("name", [*FOLDERS, "emnist", "omniglot", "cifar10", "svhn"])
def test_missing_files_are_refused_with_the_remedy(option, refused, tmp_path, name):
    root = tmp_path / "nowhere"
    dataset = option(name, root=str(root))
    for call in (dataset.check_files, dataset.load):
        refused(call, f"data.root={root}", "does not exist", "data.download=true")
    assert not root.exists()


def damage(name, content):
    def apply(raw):
        path = raw / name
        path.write_bytes(content(path.read_bytes()))
        return path

    return apply


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (damage("train-images-idx3-ubyte", lambda b: b[:-5]), "damaged"),
        (damage("t10k-images-idx3-ubyte", lambda b: b + b"x"), "damaged"),
        (damage("train-labels-idx1-ubyte", lambda b: b[:2]), "not an IDX file"),
        (damage("train-labels-idx1-ubyte", lambda b: b""), "not an IDX file"),
        (damage("train-images-idx3-ubyte", lambda b: b"\x00\x00\x0d" + b[3:]), "not an IDX file"),
    ],
)
def test_damaged_idx_file_is_named(option, refused, idx, tmp_path, fault, words):
    write(idx, tmp_path, "MNIST")
    path = fault(tmp_path / "MNIST" / "raw")
    dataset = option("mnist", root=str(tmp_path))
    refused(dataset.load, "data.root=", path, words, "data.download=true")


def test_truncated_gzip_is_named(option, refused, idx, tmp_path):
    write(idx, tmp_path, "MNIST", compressed=True)
    path = damage("train-images-idx3-ubyte.gz", lambda b: b[: len(b) // 2])(
        tmp_path / "MNIST" / "raw"
    )
    refused(option("mnist", root=str(tmp_path)).load, path, "cannot be read")


def test_counts_of_images_and_labels_must_agree(option, refused, idx, tmp_path):
    write(idx, tmp_path, "MNIST")
    idx(tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte", np.zeros(39))
    refused(option("mnist", root=str(tmp_path)).load, "39 labels for the 40 images")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file_is_named(option, refused, idx, tmp_path):
    write(idx, tmp_path, "MNIST")
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.chmod(0)
    refused(option("mnist", root=str(tmp_path)).load, path, "cannot be read")


def test_failed_download_is_one_message(option, refused, tmp_path, monkeypatch):
    from torchvision.datasets import MNIST

    def offline(self):
        raise RuntimeError("Error downloading\nTried a mirror, got:\nno route")

    monkeypatch.setattr(MNIST, "download", offline)
    dataset = option("mnist", root=str(tmp_path), download=True)
    dataset.check_files()  # what is missing may be fetched
    refused(dataset.load, "data.download=True", "Error downloading", str(tmp_path))


def test_download_is_not_tried_when_the_files_are_there(option, idx, tmp_path, monkeypatch):
    from torchvision.datasets import MNIST

    monkeypatch.setattr(MNIST, "download", lambda self: pytest.fail("downloaded"))
    write(idx, tmp_path, "MNIST", compressed=True)
    assert len(option("mnist", root=str(tmp_path), download=True).load().test.x) == 20


def test_binary_pixels_of_downloaded_sets_by_default(option, idx, tmp_path):
    write(idx, tmp_path, "KMNIST")
    write(idx, tmp_path, "FashionMNIST")
    assert option("kmnist", root=str(tmp_path)).load().dynamic
    assert option("fashion_mnist", root=str(tmp_path)).load().kind is Kind.GREY
