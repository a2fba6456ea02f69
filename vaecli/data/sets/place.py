"""Paths of the user's files."""

from __future__ import annotations

from pathlib import Path

from vaecli.core.errors import UsageError


def place(key: str, path: str) -> Path:
    """The path with ~ expanded. Raises UsageError, of `key`, for a home that nobody has."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UsageError(key, path, "names the home of an unknown user", "write it out") from error
