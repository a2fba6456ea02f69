"""Every strategy names its source and shows a command that works."""

import doctest
import importlib
import inspect
import pkgutil
import re
import shlex

import pytest
from hydra import compose, initialize_config_dir

import vaecli.core.options
import vaecli.objectives.strategies as strategies
from vaecli.config.compose import CONFIGS
from vaecli.config.schema import read
from vaecli.objectives.strategies.base import Strategy

NAMES = sorted(path.stem for path in (CONFIGS / "strategy").glob("*.yaml"))


def class_of(name):
    module = importlib.import_module(f"{strategies.__name__}.{name}")
    (cls,) = (
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, Strategy) and member.__module__ == module.__name__
    )
    return cls


def commands(name):
    """The lines of the block behind `Example::`."""
    block = re.search(r"Example::\n\n((?:    .*\n)+)", inspect.getdoc(class_of(name)))
    return [] if block is None else [shlex.split(line) for line in block[1].splitlines()]


EXAMPLES = [(name, command) for name in NAMES for command in commands(name)]


def test_every_strategy_has_a_yaml_and_every_yaml_a_strategy():
    modules = {module.name for module in pkgutil.iter_modules(strategies.__path__)}
    assert modules - {"base"} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_strategy_names_its_source(name):
    text = inspect.getdoc(class_of(name))
    references = text.partition("References:")[2]
    assert re.search(r"\b(19|20)\d\d\b", references)


@pytest.mark.parametrize("name", NAMES)
def test_a_strategy_shows_a_command_that_uses_it(name):
    assert commands(name)
    for command in commands(name):
        assert command[0] == "vae-train"
        assert f"strategy={name}" in command


@pytest.mark.parametrize(
    ("name", "command"), EXAMPLES, ids=[" ".join(command) for _, command in EXAMPLES]
)
def test_the_command_composes_a_run_with_the_strategy(name, command):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = read(compose("config", overrides=command[1:]))
    assert [strategy.name for strategy in config.strategies] == [name]


def test_the_name_of_an_option_is_that_of_its_module():
    assert doctest.testmod(vaecli.core.options) == (0, 1 + 1)
