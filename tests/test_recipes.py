"""The recipes of docs/architecture.md: the code as it stands there, as a user's own files."""

import re
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "architecture.md").read_text()
FILES = dict(re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """The files of all recipes; returns the arguments that let vae-train find them."""
    for name, code in FILES.items():
        path = tmp_path / ("own" if name.endswith(".yaml") else ".") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    modules = [name.removesuffix(".py") for name in FILES if name.endswith(".py")]
    yield ("--config-dir", str(tmp_path / "own"), f"extend=[{','.join(modules)}]")
    for module in modules:
        sys.modules.pop(module, None)


def test_every_recipe_has_a_file_and_a_yaml():
    modules = {name.removesuffix(".py") for name in FILES if name.endswith(".py")}
    yamls = {Path(name).stem for name in FILES if name.endswith(".yaml")}
    assert modules == yamls
    assert len(modules) == 4


@pytest.mark.parametrize(
    "options",
    [
        ("strategy=rate_floor", "strategy.rate_floor=1.5", "data.limit=300"),
        ("data=swiss_roll", "data.examples=200", "trainer.batch_size=32"),
        ("model=tanh_mlp", "decoder=small", "data.limit=300"),
        ("likelihood=laplace", "data.binarise=none", "data.limit=300"),
    ],
    ids=lambda options: options[0],
)
def test_the_code_of_a_recipe_trains_and_is_diagnosed(options, outside, train):
    quick = ("trainer.max_steps=2", "diagnosis=quick", "diagnosis.samples=100")
    ran = train(*outside, *options, *quick)
    assert ran.code == 0, ran.err
    assert ran.json("diagnosis.json")["rate"] > 0


def test_the_strategy_of_the_recipe_is_stacked(outside, train, tmp_path, smoke):
    sweep = tmp_path / "sweep"
    floors = "strategy.rate_floor=0.5,2"
    asked = (*outside, "-m", "strategy=rate_floor", floors, *smoke, f"hydra.sweep.dir={sweep}")
    ran = train(*asked, directory=None)
    assert ran.code == 0, ran.err
    assert "trained together as one stack" in ran.out
