import dataclasses
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from vaecli.config.options import find
from vaecli.data.sets.base import DataSet

FILES = Path(__file__).parents[2] / "configs" / "data"
NAMES = sorted(path.stem for path in FILES.glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_yaml_holds_exactly_the_fields_and_their_defaults(name, monkeypatch):
    monkeypatch.delenv("VAECLI_DATA", raising=False)
    node = OmegaConf.load(FILES / f"{name}.yaml")
    assert next(iter(node)) == "name"
    suggested = node.pop("suggested")
    small = suggested.pop("small_image")  # the side that exercises on small images use
    assert small is None or 8 <= small <= 16
    assert {key: type(value) for key, value in suggested.items()} == {
        "latent_dim": int,
        "epochs": int,
        "lr": float,
    }
    cls = find("data", name, DataSet)
    assert set(node) - {"name"} == {field.name for field in dataclasses.fields(cls)}
    node.pop("name")
    assert OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(cls), node)) == cls()


@pytest.mark.parametrize("name", NAMES)
def test_each_key_has_one_comment(name):
    for line in (FILES / f"{name}.yaml").read_text().splitlines()[1:]:
        assert line.count("  #") >= 1 or " # " in line
        assert len(line) <= 110


@pytest.mark.parametrize("name", NAMES)
def test_name_is_the_option(name):
    assert find("data", name, DataSet)().name == name


def test_environment_moves_the_root(option, monkeypatch, tmp_path):
    monkeypatch.setenv("VAECLI_DATA", str(tmp_path))
    assert option("mnist").root == str(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("val_fraction", 0.0),
        ("val_fraction", 1.0),
        ("val_fraction", float("nan")),
        ("test_fraction", -0.1),
        ("limit", 0),
        ("image_size", 0),
        ("seed", -1),
    ],
)
def test_values_out_of_range_are_refused(option, refused, key, value):
    refused(lambda: option("digits", **{key: value}), f"data.{key}={value}", "try data.")


@pytest.mark.parametrize("mode", ["none", "threshold", "static", "dynamic"])
def test_binarise_is_spelt_as_a_word(option, mode):
    assert option("digits", binarise=mode).binarise.value == mode


@pytest.mark.parametrize("name", ["cifar10", "svhn", "image_folder"])
def test_colour_images_are_not_binarised(option, refused, name):
    path = {"path": "here"} if name == "image_folder" else {}
    refused(lambda: option(name, binarise="static", **path), "data.binarise=static", "colour")
