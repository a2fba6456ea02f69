"""The directory of a sweep: the process at work in it, and the run of each job."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vaecli.config.identity import config_hash
from vaecli.config.resume import SWEEP
from vaecli.config.yaml_files import read_yaml, to_yaml
from vaecli.core.errors import UsageError, require
from vaecli.core.rundir import RunDirectory, has_begun, hold, unwritable

Plain = dict[str, Any]


def require_sweep(directory: Path, *, resume: bool) -> None:
    """Raise UsageError unless a sweep can begin in `directory`, or go on there."""
    if resume:
        with _held(directory):
            return
    require(
        not (directory / SWEEP).exists(),
        "hydra.sweep.dir",
        directory,
        "already holds a sweep",
        f"choose another one, or go on with it: vae-train resume={directory}",
    )


@contextmanager
def working_on(directory: Path, typed: list[str], *, resume: bool) -> Iterator[None]:
    """Write sweep.yaml, and keep other processes out of the directory meanwhile.

    Raises UsageError if one was faster, or the directory cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with _held(directory):
        if not resume:
            require_sweep(directory, resume=False)
        try:
            RunDirectory(directory).write_text(SWEEP, to_yaml(typed))
        except OSError as error:
            raise unwritable(directory, error, new=not resume) from error
        yield


@contextmanager
def _held(directory: Path) -> Iterator[None]:
    try:
        handle = os.open(directory, os.O_RDONLY)
    except OSError as error:
        raise unwritable(directory, error, new=False) from error
    try:
        require(
            hold(handle),
            "resume",
            directory,
            "is a sweep that another process is at work on",
            "wait for its end, or stop it",
        )
        yield
    finally:
        os.close(handle)


def runs_in(sweep: Path) -> dict[Path, Plain]:
    """The runs that have begun, in order, and the resolved config of each. Changes nothing."""
    directories = (path.parent for path in sweep.glob("*/config.yaml"))
    configs = {}
    for directory in sorted(directories, key=number):
        plain = config_in(directory)
        if plain is not None:
            configs[directory] = plain
    return configs


def config_in(directory: Path) -> Plain | None:
    """The config of the run that has begun in `directory`; None if there is none to be read."""
    if not has_begun(directory):
        return None
    try:
        plain = read_yaml(directory / "config.yaml", resolve=True)
    except (UsageError, OSError):
        return None
    return plain if isinstance(plain, dict) else None


def match(wanted: list[Plain], begun: dict[Path, Plain]) -> list[Path | None]:
    """For each config its run; each run is given out once.

    A run of the same length comes before one that only has to go on for longer.
    """
    remaining = dict(begun)
    places: list[Path | None] = [None] * len(wanted)
    for any_length in (False, True):
        by_hash: dict[str, list[Path]] = {}
        for directory, plain in remaining.items():
            by_hash.setdefault(config_hash(plain, any_length=any_length), []).append(directory)
        for job, plain in enumerate(wanted):
            same = by_hash.get(config_hash(plain, any_length=any_length))
            if places[job] is None and same:
                place = same.pop(0)
                places[job] = place
                del remaining[place]
    return places


def number(directory: Path) -> tuple[int, str]:
    """A sweep's runs are numbered: 10_... comes after 9_..."""
    first = directory.name.partition("_")[0]
    return (int(first) if first.isdecimal() else 0, directory.name)
