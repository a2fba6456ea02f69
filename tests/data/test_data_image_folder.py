import numpy as np
import pytest
import torch
from PIL import Image

from vaecli.data.sets.base import Kind


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def classes(tmp_path):
    """Three classes of 10 pictures of 12x8, each filled with its class and number as colours."""
    root = tmp_path / "pictures"
    for label, name in enumerate(("ant", "bee", "cat")):
        for i in range(10):
            pixels = np.empty((8, 12, 3), np.uint8)
            pixels[:] = (label * 20, i * 20, 255)
            save(root / name / f"{i}.png", pixels)
    (root / "notes.txt").write_text("not an image")
    save(root / ".thumbnails" / "0.png", np.zeros((3, 3), np.uint8))
    return root


def union(data, field):
    return torch.cat([getattr(getattr(data, part), field) for part in ("train", "val", "test")])


def test_folders_are_classes_in_alphabetical_order(option, classes):
    data = option("image_folder", path=str(classes)).load()
    assert (data.kind, data.shape) == (Kind.COLOUR, (3, 8, 12))
    assert [len(s.x) for s in (data.train, data.val, data.test)] == [22, 2, 6]
    x, y = union(data, "x"), union(data, "y")
    assert torch.equal(x[:, 0, 0, 0].long(), y * 20)
    pairs = x[:, :2, 3, 3].long().mul(torch.tensor([100, 1])).sum(1)
    assert len(pairs.unique()) == 30
    assert x[:, 2].unique().tolist() == [255]


def test_flat_folder_has_no_labels(option, tmp_path):
    for i in range(12):
        save(tmp_path / f"{i}.PNG", np.full((4, 4), i, np.uint8))
    data = option("image_folder", path=str(tmp_path), channels=1).load()
    assert (data.kind, data.shape) == (Kind.GREY, (1, 4, 4))
    assert data.train.y is None
    assert sorted(union(data, "x")[:, 0, 0, 0].tolist()) == list(range(12))


def test_same_data_seed_gives_the_same_split(option, classes):
    first, again, other = (
        option("image_folder", path=str(classes), seed=seed).load() for seed in (0, 0, 1)
    )
    assert torch.equal(first.train.x, again.train.x)
    assert not torch.equal(first.train.x, other.train.x)


def test_limit_decodes_only_what_is_used(option, classes):
    whole = option("image_folder", path=str(classes)).load()
    few = option("image_folder", path=str(classes), limit=5).load()
    assert torch.equal(few.train.x, whole.train.x[:5])
    assert torch.equal(few.test.x, whole.test.x)


def test_image_size_brings_unequal_images_to_one_square(option, classes):
    save(classes / "ant" / "tall.jpg", np.full((31, 17, 3), 90, np.uint8))
    data = option("image_folder", path=str(classes), image_size=6).load()
    assert data.shape == (3, 6, 6)
    assert len(union(data, "x")) == 31


def test_grey_pictures_are_binarised(option, classes):
    data = option("image_folder", path=str(classes), channels=1, binarise="static").load()
    assert data.kind is Kind.BINARY
    assert set(union(data, "x").unique().tolist()) == {0, 255}


@pytest.mark.parametrize("mode", ["RGBA", "P", "L", "CMYK"])
def test_other_modes_become_rgb(option, tmp_path, mode):
    for i in range(10):
        image = Image.new("RGB", (4, 4), (204, 204, 204)).convert(mode)
        suffix = "jpg" if mode == "CMYK" else "png"
        extra = {"transparency": b"\x00\x80"} if mode == "P" else {}
        image.save(tmp_path / f"{i}.{suffix}", **extra)
    data = option("image_folder", path=str(tmp_path)).load()
    assert data.shape == (3, 4, 4)
    assert (
        data.train.x.int() - 204
    ).abs().max() <= 2  # CMYK goes through JPEG; 204 is in the palette


def test_images_of_unequal_size_are_refused(option, refused, classes):
    save(classes / "bee" / "9.png", np.zeros((8, 13, 3), np.uint8))
    load = option("image_folder", path=str(classes)).load
    refused(load, f"data.path={classes}", "13x8", "12x8", "bee/9.png", "data.image_size")


def test_unreadable_image_is_named(option, refused, classes):
    path = classes / "cat" / "3.png"
    path.write_bytes(path.read_bytes()[:45])
    refused(option("image_folder", path=str(classes)).load, "data.path=", path, "cannot be read")


def test_text_named_as_an_image_is_refused(option, refused, classes):
    (classes / "cat" / "3.png").write_text("hello")
    load = option("image_folder", path=str(classes)).load
    refused(load, classes / "cat" / "3.png", "cannot be read as an image")


def test_deep_pixels_are_refused_rather_than_clipped(option, refused, classes):
    save(classes / "cat" / "3.png", np.full((8, 12), 40000, np.uint16))
    refused(option("image_folder", path=str(classes)).load, "more than 8 bits")


def test_empty_folder_is_refused(option, refused, tmp_path):
    refused(option("image_folder", path=str(tmp_path)).load, "data.path=", "holds no images")


def test_missing_folder_is_refused(option, refused, tmp_path):
    dataset = option("image_folder", path=str(tmp_path / "nope"))
    refused(dataset.check_files, "data.path=", "is not a folder")
    refused(dataset.load, "data.path=", "is not a folder")


def test_too_few_images_are_refused(option, refused, tmp_path):
    for i in range(9):
        save(tmp_path / f"{i}.png", np.zeros((4, 4), np.uint8))
    refused(option("image_folder", path=str(tmp_path)).load, "data.path=", "holds 9 examples")


def test_images_beside_folders_of_images_are_refused(option, refused, classes):
    save(classes / "stray.png", np.zeros((8, 12, 3), np.uint8))
    refused(option("image_folder", path=str(classes)).load, "1 images beside folders")


def test_path_is_needed(option, refused):
    refused(lambda: option("image_folder"), "data.path=", "add data.path=")


def test_two_channels_are_refused(option, refused):
    refused(lambda: option("image_folder", path="x", channels=2), "data.channels=2", "1 (grey)")
