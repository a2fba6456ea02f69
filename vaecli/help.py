"""What `--help` prints: the options of each group, and the config that the arguments compose."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
from itertools import pairwise
from pathlib import Path

from vaecli.compose import CONFIGS, run_hydra, split

HELP, MULTIRUN = {"--help", "-h"}, {"--multirun", "-m"}


def asks_help(arguments: list[str]) -> bool:
    """Whether `arguments` ask for --help on our own main config; on another, Hydra answers."""
    flags = split(arguments)[0]
    other = _values(flags, "--config-path", "-cp", "--config-name", "-cn")
    return not HELP.isdisjoint(flags) and not other


def show_help(arguments: list[str], header: str, footer: str) -> None:
    """Print header, the options of each group, footer and the config that `arguments` compose.

    Hydra would do so too, but copies all that it knows for every group, twice: half of the wait.
    Raises one of REFUSALS for what does not compose.
    """
    flags, overrides = split(arguments)
    kept = [flag for flag in flags if flag not in HELP | MULTIRUN]
    with redirect_stdout(StringIO()) as config:
        run_hydra([*kept, "--cfg", "job"], overrides, lambda _: None)
    groups = "\n".join(f"{group}: {', '.join(options)}" for group, options in _groups(flags))
    print(
        f"{header}\nOptions of each group (group=option)\n\n{groups}\n\n{footer}\n"
        f"Config\n\n{config.getvalue()}",
        end="",
    )


def _groups(flags: list[str]) -> list[tuple[str, list[str]]]:
    """The groups and their options, ours and those of the user's --config-dir."""
    roots = [CONFIGS, *map(Path, _values(flags, "--config-dir", "-cd"))]
    found: dict[str, set[str]] = {}
    for root in roots:
        for file in root.rglob("*.yaml"):
            group = file.parent.relative_to(root).as_posix()
            found.setdefault(group, set()).add(file.stem)
    return sorted((group, sorted(names)) for group, names in found.items() if group != ".")


def _values(flags: list[str], *names: str) -> list[str]:
    """What `flags` give as the value of any of `names`."""
    apart = [value for name, value in pairwise(flags) if name in names]
    joined = [flag.partition("=") for flag in flags]
    return apart + [value for name, sign, value in joined if sign and name in names]
