"""`resume=DIR`: the saved overrides of a run or a sweep, in front of those typed now."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from vaecli.config.arguments import key_of, quoted, split
from vaecli.config.sweep_inside import INSIDE
from vaecli.config.yaml_files import read_yaml
from vaecli.core.errors import UsageError
from vaecli.core.untrusted import require_own_files

OPTION = re.compile(r"[\w\s,:*()'\"\[\]-]*")  # the names of options, and sweeps over them
RUN, SWEEP = "overrides.yaml", "sweep.yaml"  # the overrides of a run, and of a sweep


class Resumed(NamedTuple):
    """The run or sweep that a command resumes."""

    directory: Path
    sweep: bool


def expand(arguments: list[str]) -> tuple[list[str], Resumed | None]:
    """Arguments with the saved overrides of `resume=DIR` in front of those typed; the last wins.

    Raises UsageError if DIR holds neither a run nor a sweep that can be read.
    """
    named = [a for a in arguments if a.startswith("resume=") and a != "resume=null"]
    if not named:
        return arguments, None
    directory = Path(re.sub(r"^(['\"])(.*)\1$", r"\2", named[-1].partition("=")[2]))
    require_own_files(directory)
    sweep = (directory / SWEEP).is_file()
    saved = _saved_overrides(directory, SWEEP if sweep else RUN)
    flags, typed = split([a for a in arguments if not a.startswith("resume=")])
    if not sweep:
        for flag in ("-m", "--multirun"):
            if flag in flags:
                raise UsageError(
                    "resume", directory, "is one run and no sweep", f"leave out {flag}"
                )
    if sweep:  # a flag, so that Hydra reads "seed=0,1" as a sweep whatever else is wrong
        flags, ours = ["--multirun", *flags], [f"hydra.sweep.dir={quoted(directory)}"]
    else:
        ours = ["hydra.mode=RUN", f"hydra.run.dir={quoted(directory)}"]
    return [*flags, *saved, *typed, *ours], Resumed(directory, sweep)


def to_save(arguments: list[str]) -> list[str]:
    """The overrides of a sweep's command that can be read back: vaecli's own keys.

    Hydra's own (a launcher, say) can name code to run, so they have to be typed again.
    """
    _, overrides = split(arguments)
    return [o for o in overrides if _is_plain(o) and key_of(o) not in ("extend", "resume")]


def _saved_overrides(directory: Path, name: str) -> list[str]:
    path = directory / name
    try:
        saved = read_yaml(path, key="resume")
    except FileNotFoundError as error:
        raise UsageError(
            "resume",
            directory,
            f"holds no run (no {RUN}) and no sweep (no {SWEEP})",
            "name a run's own directory, outputs/DATE/TIME, or a sweep's",
        ) from error
    if not isinstance(saved, list) or not all(_is_plain(item) for item in saved):
        raise UsageError("resume", path, "is no list of vae-train overrides", "name another run")
    return [o for o in saved if key_of(o) not in ("extend", "resume")]


def _is_plain(text: object) -> bool:
    """True for an override of vaecli's own keys.

    A run directory may come from someone else. Flags (--config-dir) and Hydra's own keys can name
    code to run, so neither is taken from a file; nor are the modules in `extend`.
    """
    if not isinstance(text, str) or text.startswith("-"):
        return False
    try:
        parsed = OverridesParser.create().parse_override(text)
    except HydraException:
        return False
    # The value of a group names a file of configs: with a path in it, any file at all.
    if "." not in parsed.key_or_group and not OPTION.fullmatch(text.partition("=")[2]):
        return False
    if parsed.key_or_group == INSIDE:  # overrides of its own, of each value that is swept
        values = parsed.sweep_iterator() if parsed.is_sweep_override() else [parsed.value()]
        return all(_is_plain(o) for value in values for o in _split(value))
    names = (parsed.key_or_group, parsed.package or "")
    return not any(name.replace("/", ".").split(".")[0] == "hydra" for name in names)


def _split(inside: object) -> list[str]:
    try:
        return [] if inside is None else shlex.split(str(getattr(inside, "text", inside)))
    except ValueError:
        return ["-"]
