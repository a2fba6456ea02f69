"""Refusals of what Hydra, OmegaConf or a yaml parser cannot read, in vaecli's words."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import yaml
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from vaecli.config.arguments import CONFIG_DIRECTORY, refused_flags, values
from vaecli.core.errors import UsageError

# Both can name code to run, so a resumed run's files are not asked for them.
TYPED_AGAIN = "  if it was begun with --config-dir or extend, these have to be typed again"


class CompositionError(UsageError):
    """Hydra or OmegaConf cannot compose the command. The message is their own, shortened."""

    def __init__(self, words: str):
        Exception.__init__(self, words)


@contextmanager
def refusing(flags: list[str], *, resumed: bool = False) -> Iterator[None]:
    """Turn all that Hydra and OmegaConf say of a command, or of a user's yaml, into UsageError."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        lines = shortened(error).splitlines()
        if resumed and isinstance(error, HydraException):
            lines = [*lines[:2], TYPED_AGAIN]
        raise CompositionError("\n".join(lines)) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "a yaml" if mark is None else f"{mark.name}, line {mark.line + 1},"
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UsageError(
            *_user_configs(flags), f"{where} is no yaml: {reason}", "mend it"
        ) from error
    except UnicodeDecodeError as error:
        if not _raised_by_hydra(error):
            raise
        rule = "holds a yaml that is not UTF-8"
        raise UsageError(*_user_configs(flags), rule, "mend it") from error
    except ValueError as error:
        if not _raised_by_hydra(error):
            raise
        raise refused_flags(flags, str(error).strip().rstrip(".").splitlines()[-1]) from error


def shortened(error: Exception) -> str:
    """Hydra's own message, without its search path, in at most three lines."""
    text = str(error)
    if error.__cause__ is not None and len(text.strip().splitlines()) == 1:
        text += f"\n{error.__cause__}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("Config search path")]
    lines = lines[:1] + [line for line in lines[1:] if "provider=" not in line]
    key = re.match(r"Could not override '([^.']+)\.([^']+)'", lines[0])
    if key:
        group, name = key.groups()
        lines[1:] = [
            f"the chosen {group} option has no key {name!r}; `vae-train --cfg job` prints its keys",
            f"if another option has it, choose that one too: {group}=...",
        ]
    elif lines[0].startswith("Could not override"):
        lines[1:] = ["`vae-train --help` lists the groups and keys"]
    choices = [i for i, line in enumerate(lines) if line.startswith("Available options")]
    if choices:
        lines[1:] = ["choose one of: " + ", ".join(lines[choices[0] + 1 :])]
    return "\n  ".join(lines[:3])


def _user_configs(flags: list[str]) -> tuple[str, str]:
    return "--config-dir", " ".join(values(flags, *CONFIG_DIRECTORY)) or "configs"


def _raised_by_hydra(error: Exception) -> bool:
    """True if Hydra or OmegaConf raised it: reading and composing, and not what they call."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    modules = [frame.f_globals.get("__name__", "") for frame in frames]
    codecs = ("codecs", "encodings", "yaml")
    callers = [name for name in modules if name.split(".")[0] not in codecs]
    return callers[-1].split(".")[0] in ("hydra", "omegaconf")
