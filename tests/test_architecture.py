"""The order of the rooms: imports run from the doors down to core, never back up."""

import ast
import importlib
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

import vaecli
from vaecli.core.old_paths import MOVED

PACKAGE = Path(vaecli.__file__).parent
DOORS = ("train", "diagnose", "compare", "predict")

# From the top floor down; rooms of one floor do not know each other.
FLOORS = [
    DOORS,
    ("runs",),
    ("reporting",),
    ("config",),
    ("training",),
    ("theory", "diagnosis", "objectives"),
    ("evaluation",),
    ("models",),
    ("data",),
    ("core",),
]
FLOOR = {room: len(FLOORS) - floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        yield name.removesuffix(".__init__"), path


def imports(path: Path) -> set[str]:
    """Modules of vaecli that the file imports, at any depth, for type checking too."""
    nodes = ast.walk(ast.parse(path.read_text()))
    found = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return {node.module for node in found if node.module.startswith("vaecli")}


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def test_at_the_top_of_the_package_stand_the_doors_and_the_rooms_and_nothing_else():
    files = {path.stem for path in PACKAGE.glob("*.py")}
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert files == {"__init__", *DOORS}
    assert rooms == set(FLOOR) - set(DOORS)


@pytest.mark.parametrize("module", [name for name, _ in modules() if room(name)])
def test_a_room_imports_only_from_lower_floors(module):
    path = dict(modules())[module]
    upward = {
        other
        for other in imports(path)
        if room(other) not in ("", room(module)) and FLOOR[room(other)] >= FLOOR[room(module)]
    }
    assert not upward


def test_the_public_names_are_there_and_are_listed():
    assert set(vaecli.__all__) <= set(dir(vaecli))
    for name in vaecli.__all__:
        assert getattr(vaecli, name).__name__ == name


def test_every_old_path_names_modules_that_exist_and_is_no_module_today():
    today = {name for name, _ in modules()}
    for old, targets in MOVED.items():
        assert old not in today
        assert set(targets) <= today


def test_an_old_path_still_gives_its_names_and_says_where_they_are():
    with pytest.warns(FutureWarning, match="vaecli.data.sets.base now"):
        old = importlib.import_module("vaecli.data.base")
    assert old.DataSet is vaecli.DataSet
    sys.modules.pop("vaecli.data.base")


def test_the_package_and_the_train_door_are_imported_without_torch():
    code = "import sys, vaecli.train; sys.exit('torch' in sys.modules)"
    path = os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=120)


def test_between_the_door_and_the_loss_stand_at_most_nine_frames(train, monkeypatch):
    from vaecli.objectives.strategies.base import Strategy

    depths: list[int] = []
    plain_loss = Strategy.loss

    def loss(self, *args):
        frames = [f for f in traceback.extract_stack() if Path(f.filename).is_relative_to(PACKAGE)]
        depths.append(1 + sum(frame.name != "main" for frame in frames))
        return plain_loss(self, *args)

    monkeypatch.setattr(Strategy, "loss", loss)
    assert train("trainer.max_steps=1", "diagnosis=quick").code == 0
    assert max(depths) <= 9
