"""The words of a command line: flags with their values, and overrides."""

from __future__ import annotations

import re
from argparse import Namespace
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser

from vaecli.core.errors import UsageError

CONFIG_DIRECTORY = ("--config-dir", "-cd")
# Hydra's flags that take a value.
FLAGS_WITH_VALUE = {*CONFIG_DIRECTORY, "--config-path", "-cp", "--config-name", "-cn", "-p"}
FLAGS_WITH_VALUE |= {"--package", "-c", "--cfg", "-i", "--info"}


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Flags with their values, and overrides."""
    flags: list[str] = []
    overrides: list[str] = []
    for argument in arguments:
        belongs = bool(flags) and flags[-1] in FLAGS_WITH_VALUE
        (flags if belongs or argument.startswith("-") else overrides).append(argument)
    return flags, overrides


def parse_flags(flags: list[str]) -> Namespace:
    """`flags` as Hydra's own parser reads them. Raises UsageError for one that it does not know."""

    def refuse(words: str) -> NoReturn:
        raise refused_flags(flags, words)

    if any(flag.startswith("--experimental-rerun") for flag in flags):
        refuse("--experimental-rerun needs Hydra's own files; type vae-train resume=DIR instead")
    parser = get_args_parser()
    setattr(parser, "error", refuse)  # noqa: B010 - argparse itself would print the usage of all
    return parser.parse_args(flags)


def refused_flags(flags: list[str], rule: str) -> UsageError:
    """The refusal of flags that break `rule`."""
    return UsageError("flags", " ".join(flags), rule, "`vae-train --hydra-help` lists them")


def values(flags: list[str], *names: str) -> list[str]:
    """The values that `flags` give to any of `names`, as a word of its own or behind "="."""
    apart = [value for name, value in pairwise(flags) if name in names]
    joined = [flag.partition("=") for flag in flags]
    return apart + [value for name, sign, value in joined if sign and name in names]


def key_of(override: str) -> str:
    """The key or group that an override sets."""
    return override.partition("=")[0].lstrip("+~").partition("@")[0]


def sweeps(override: str) -> bool:
    """True for an override that gives its key several values."""
    return OverridesParser.create().parse_override(override).is_sweep_override()


def quoted(directory: Path) -> str:
    """A directory as the value of an override, which Hydra and OmegaConf read as it is."""
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", str(directory.resolve()))
    return "'" + re.sub(r"(\\*)('|$)", lambda m: 2 * m[1] + ("\\'" if m[2] else ""), text) + "'"
