"""The doors of vaecli in this process: each takes a list of arguments and gives its exit code."""

import importlib
import sys
from collections.abc import Callable, Sequence
from unittest.mock import patch


def _door(name: str) -> Callable[[Sequence[str]], int]:
    def call(arguments: Sequence[str]) -> int:
        main = importlib.import_module(f"vaecli.{name}").main
        with patch.object(sys, "argv", [f"vae-{name}", *map(str, arguments)]):
            try:
                main()
            except SystemExit as ended:
                return int(ended.code or 0)
        raise AssertionError(f"vae-{name} gave no exit code")

    call.__name__ = name
    return call


train, diagnose, compare, predict = map(_door, ("train", "diagnose", "compare", "predict"))
