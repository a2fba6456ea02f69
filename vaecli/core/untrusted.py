"""Files that may come from someone else: they are read as data, up to a limit."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import yaml

from vaecli.core.errors import UsageError

MOST_BYTES = 2**29  # of a text file: rows of 1,000 latents over 20,000 evaluations
MOST_DEPTH = 50  # of a yaml file: the reader written in C ends the process
MOST_INTERPOLATIONS = 20  # in a yaml file; those of configs/ are two
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is ten times faster


def require_own_files(directory: Path) -> None:
    """Raise UsageError unless `directory` holds plain files and directories only.

    Links inside it are allowed. A run may come from someone else, and a link out of it would let
    its files be read, and written, anywhere.
    """
    root = directory.resolve()
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            try:
                kind = path.lstat().st_mode
            except FileNotFoundError:  # the run is being written
                continue
            inside = stat.S_ISLNK(kind) and _leads_to(path, root)
            if not (inside or stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
                raise UsageError(
                    "run",
                    path,
                    "is a link out of its directory, or no plain file",
                    "put the file itself there, or remove it",
                )


def _leads_to(link: Path, root: Path) -> bool:
    try:
        return link.resolve().is_relative_to(root)
    except (OSError, RuntimeError):  # a loop
        return False


def glance(path: Path) -> dict[str, Any]:
    """The JSON object in a file; {} if there is none that can be read."""
    try:
        content = json.loads(text_of(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def yaml_text(path: Path) -> str:
    """The text of a yaml file that may come from someone else.

    Raises OSError, yaml's errors, or ValueError if it repeats parts of itself: nine lines can then
    stand for billions of values. No file that vaecli writes does.
    """
    text = text_of(path)
    depth = 0
    for event in yaml.parse(text, _LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or depth > MOST_DEPTH:
            raise ValueError("a yaml file that repeats itself, or is too deep to be read")
    if text.count("${") > MOST_INTERPOLATIONS:
        raise ValueError("too many interpolations, which may contain each other")
    return text


def text_of(path: Path, *, errors: str = "strict") -> str:
    """The text of a file that may come from someone else. Raises OSError or ValueError."""
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"larger than {MOST_BYTES:,} bytes")
    return path.read_text(encoding="utf-8", errors=errors)
