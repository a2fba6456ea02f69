"""The output of `--help`: the options of each group, and the config of the arguments."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from vaecli.config.arguments import CONFIG_DIRECTORY, split, sweeps, values
from vaecli.config.compose import CONFIGS, run_hydra

HELP = {"--help", "-h"}


def asks_help(arguments: list[str]) -> bool:
    """True if `arguments` ask for --help on our own main config; on another, Hydra answers."""
    flags = split(arguments)[0]
    other = values(flags, "--config-path", "-cp", "--config-name", "-cn")
    return not HELP.isdisjoint(flags) and not other


def show_help(arguments: list[str], header: str, footer: str) -> None:
    """Print header, the options of each group, footer and the config that `arguments` compose.

    A swept key has no single value, so it is shown as it is without the sweep.

    Hydra's own help takes twice as long: it copies its registry for every group.
    Raises UsageError for what does not compose.
    """
    flags, overrides = split(arguments)
    own = values(flags, *CONFIG_DIRECTORY)
    kept = [f"--config-dir={directory}" for directory in own]
    kept += [flag for flag in flags if flag == "--resolve"]  # whatever else was asked is not
    with redirect_stdout(StringIO()) as config:
        run_hydra([*kept, "--cfg=job"], [o for o in overrides if not sweeps(o)], lambda _: None)
    groups = "\n".join(f"{group}: {', '.join(options)}" for group, options in _groups(own))
    print(
        f"{header}\nOptions of each group (group=option)\n\n{groups}\n\n{footer}\n"
        f"Config\n\n{config.getvalue()}",
        end="",
    )


def _groups(own: list[str]) -> list[tuple[str, list[str]]]:
    """The groups and their options, ours and those in the user's `own` directories."""
    groups: dict[str, set[str]] = {}
    for root in (CONFIGS, *map(Path, own)):
        for file in root.rglob("*.yaml"):
            group = file.parent.relative_to(root).as_posix()
            groups.setdefault(group, set()).add(file.stem)
    return sorted((group, sorted(names)) for group, names in groups.items() if group != ".")
