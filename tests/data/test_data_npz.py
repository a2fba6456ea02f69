import zipfile

import numpy as np
import pytest
import torch

from vaecli.data.sets.base import Kind

random = np.random.default_rng(0)
GREY = random.integers(0, 256, (50, 9, 7), dtype=np.uint8)
COLOUR = random.integers(0, 256, (50, 3, 9, 7), dtype=np.uint8)
VECTORS = random.normal(size=(50, 12))


@pytest.fixture
def stored(tmp_path):
    """Writes arrays to a .npz file and returns its path."""

    def write(**arrays):
        path = tmp_path / "data.npz"
        np.savez(path, **arrays)
        return str(path)

    return write


def union(data, field="x"):
    return torch.cat([getattr(getattr(data, part), field) for part in ("train", "val", "test")])


def same_rows(x, array):
    """Equal as sets of examples."""
    return sorted(x.flatten(1).tolist()) == sorted(array.reshape(len(array), -1).tolist())


@pytest.mark.parametrize(
    ("array", "shape", "kind"),
    [
        (GREY, (1, 9, 7), Kind.GREY),
        (GREY[..., None], (1, 9, 7), Kind.GREY),
        (COLOUR, (3, 9, 7), Kind.COLOUR),
        (COLOUR.transpose(0, 2, 3, 1), (3, 9, 7), Kind.COLOUR),
        (VECTORS.astype(np.float32), (1, 1, 12), Kind.REAL),
        (VECTORS.astype(">f8"), (1, 1, 12), Kind.REAL),
        (VECTORS.astype(np.float16), (1, 1, 12), Kind.REAL),
        (VECTORS.reshape(50, 3, 4), (1, 3, 4), Kind.REAL),
        (np.asfortranarray(VECTORS), (1, 1, 12), Kind.REAL),
    ],
)
@pytest.mark.parametrize("suffix", ["npz", "npy"])
def test_layouts_become_images_or_real_numbers(option, tmp_path, array, shape, kind, suffix):
    path = tmp_path / f"data.{suffix}"
    np.save(path, array) if suffix == "npy" else np.savez_compressed(path, x=array)
    data = option("npz", path=str(path)).load()
    assert (data.shape, data.kind) == (shape, kind)
    assert [len(s.x) for s in (data.train, data.val, data.test)] == [36, 4, 10]
    assert data.train.x.dtype == (torch.float32 if kind is Kind.REAL else torch.uint8)
    assert all(part.x.is_contiguous() for part in (data.train, data.val, data.test))
    channels_first = array
    if array.ndim == 4 and array.shape[3] in (1, 3):
        channels_first = array.transpose(0, 3, 1, 2)
    exact = channels_first.astype(np.float32) if kind is Kind.REAL else channels_first
    assert same_rows(union(data), exact)
    assert data.train.y is None


def test_labels_go_with_their_examples(option, stored):
    label = np.arange(50)
    images = np.repeat(label.astype(np.uint8), 16).reshape(50, 4, 4)
    for y in (label, label[:, None], label.astype(np.uint8)):
        data = option("npz", path=stored(x=images, y=y)).load()
        assert torch.equal(union(data, "y"), union(data)[:, 0, 0, 0].long())


def test_real_batches_are_the_numbers_themselves(option, stored):
    data = option("npz", path=stored(x=VECTORS)).load()
    index = torch.tensor([3, 1])
    assert torch.equal(data.batch(data.train, index), data.train.x[index])


def test_test_array_is_used_whole_and_in_order(option, stored):
    labels = np.arange(20)
    path = stored(x_train=GREY, y_train=np.arange(50), x_test=GREY[:20] // 2, y_test=labels)
    keys = {"key": "x_train", "label_key": "y_train"}
    keys |= {"test_key": "x_test", "test_label_key": "y_test"}
    data = option("npz", path=path, **keys).load()
    assert torch.equal(data.test.x[:, 0], torch.from_numpy(GREY[:20] // 2))
    assert data.test.y.tolist() == labels.tolist()
    assert (len(data.train.x), len(data.val.x)) == (45, 5)


def test_test_array_of_another_shape_is_refused(option, refused, stored):
    path = stored(x=GREY, t=GREY[:, :5])
    refused(option("npz", path=path, test_key="t").load, "data.test_key=t", "(1, 5, 7)")


def test_images_are_resized_and_binarised(option, stored):
    data = option("npz", path=stored(x=GREY), image_size=4, binarise="static").load()
    assert (data.shape, data.kind) == ((1, 4, 4), Kind.BINARY)


def test_missing_array_lists_those_there(option, refused, stored):
    load = option("npz", path=stored(images=GREY, other=GREY)).load
    refused(load, "data.key=x", "images, other")


def test_missing_labels_are_refused_only_if_named(option, refused, stored):
    path = stored(x=GREY)
    assert option("npz", path=path).load().train.y is None
    refused(option("npz", path=path, label_key="target").load, "data.label_key=target", "has: x")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_counted(option, refused, stored, value):
    bad = VECTORS.copy()
    bad[7, 3] = bad[20, 1] = value
    load = option("npz", path=stored(x=bad)).load
    refused(load, "data.path=", "2 values that are NaN or infinite", "remove these")


def test_doubles_too_large_for_floats_are_refused(option, refused, stored):
    bad = VECTORS.copy()
    bad[0, 0] = 1e300
    refused(option("npz", path=stored(x=bad)).load, "1 values that are NaN or infinite")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((50, 12), np.uint8), "has shape (50, 12)"),
        (np.zeros(50), "has shape (50,)"),
        (np.zeros((5, 4, 3, 2, 1)), "has shape"),
        (np.zeros((0, 4, 4), np.uint8), "has shape (0, 4, 4)"),
        (np.zeros((50, 4, 0), np.uint8), "has shape (50, 4, 0)"),
        (np.zeros((50, 2, 5, 5), np.uint8), "no axis of 1 or 3 channels"),
        (np.zeros((50, 4, 4), np.int64), "of type int64"),
        (np.zeros((50, 4, 4), bool), "of type bool"),
        (np.full((50, 4, 4), "a"), "of type <U1"),
        (GREY[:9], "holds 9 examples"),
        (GREY % 2, "no grey level above 1"),
    ],
)
def test_what_is_no_set_of_examples_is_refused(option, refused, stored, array, words):
    refused(option("npz", path=stored(x=array)).load, "data.path=", words)


@pytest.mark.parametrize("labels", [np.arange(49), np.linspace(0, 1, 50), np.zeros((50, 2), int)])
def test_wrong_labels_are_refused(option, refused, stored, labels):
    refused(option("npz", path=stored(x=GREY, y=labels)).load, "data.label_key=y", "50 whole")


@pytest.mark.parametrize("suffix", ["npz", "npy"])
def test_pickled_objects_are_never_loaded(option, refused, tmp_path, suffix):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    path = tmp_path / f"data.{suffix}"
    array = np.array([Trap()] * 50, dtype=object)
    np.save(path, array) if suffix == "npy" else np.savez(path, x=array)
    refused(option("npz", path=str(path)).load, "data.path=", "of type object")
    if suffix == "npz":
        np.savez(path, x=GREY, y=array)
        refused(option("npz", path=str(path)).load, "data.path=", "Python objects")


def test_truncated_files_are_refused(option, refused, tmp_path, stored):
    path = tmp_path / "data.npy"
    np.save(path, GREY)
    path.write_bytes(path.read_bytes()[:-5])
    refused(option("npz", path=str(path)).load, f"data.path={path}", "ends too early")
    zipped = tmp_path / "data.npz"
    stored(x=GREY)
    zipped.write_bytes(zipped.read_bytes()[:-30])
    refused(option("npz", path=str(zipped)).load, f"data.path={zipped}", "damaged")


def test_flipped_bits_are_noticed(option, refused, tmp_path, stored):
    stored(x=GREY)
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path) as archive:
        middle = archive.infolist()[0].file_size // 2
    content = bytearray(path.read_bytes())
    content[middle] ^= 0xFF
    path.write_bytes(content)
    refused(option("npz", path=str(path)).load, f"data.path={path}", "Bad CRC-32")


def test_other_files_are_refused(option, refused, tmp_path):
    path = tmp_path / "data.npz"
    path.write_text("hello")
    refused(option("npz", path=str(path)).load, "not a .npz or .npy file")
    path.write_bytes(b"")
    refused(option("npz", path=str(path)).load, "not a .npz or .npy file")
    dataset = option("npz", path=str(tmp_path / "nope.npz"))
    refused(dataset.check_files, "data.path=", "is not a file")
    refused(dataset.load, "data.path=", "is not a file")


@pytest.mark.parametrize(
    ("key", "value"), [("binarise", "dynamic"), ("binarise", "static"), ("image_size", 8)]
)
def test_real_numbers_are_neither_binarised_nor_resized(option, refused, stored, key, value):
    load = option("npz", path=stored(x=VECTORS), **{key: value}).load
    refused(load, f"data.{key}={value}", "real numbers")


def test_colour_arrays_are_not_binarised(option, refused, stored):
    load = option("npz", path=stored(x=COLOUR), binarise="static").load
    refused(load, "data.binarise=static", "colour")


def test_path_is_needed(option, refused):
    refused(lambda: option("npz"), "data.path=", "add data.path=")


def test_labels_of_no_test_array_are_refused(option, refused):
    refused(lambda: option("npz", path="a", test_label_key="y"), "data.test_label_key=y")
