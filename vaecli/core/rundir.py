"""The run directory: claimed once, never overwritten, every file complete or absent."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

from vaecli.core import atomic
from vaecli.core.errors import UsageError
from vaecli.core.untrusted import glance, text_of

SUMMARY, LOG = "summary.json", "train.log"
RESOLVED = "config.resolved.yaml"  # the last file that a run writes before it begins
VOCABULARY = "vocabulary.json"  # of a run on text


class RunState(StrEnum):
    """How far a run is, or how it ended: `run_state` in summary.json."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    DIVERGED = "diverged"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class RunDirectory:
    """One run's files. `claim` creates the directory; `reopen` opens one that is there."""

    def __init__(self, path: Path):
        self.path = Path(path)

    @classmethod
    def claim(cls, path: Path, summary: dict[str, Any]) -> RunDirectory:
        """Take `path` for a new run by creating its summary exclusively.

        Raises UsageError if it holds a run already or cannot be written.
        """
        created = missing(path)
        claimed = False
        try:
            with _new(path / SUMMARY) as file:
                claimed = True
                file.write(_json(summary))
                file.flush()
                os.fsync(file.fileno())
            for directory in (path, *(p.parent for p in created)):
                atomic.sync(directory)
        except FileExistsError as error:
            taken = (path / SUMMARY).exists()
            raise UsageError(
                "hydra.run.dir",
                path,
                "already holds a run" if taken else "is not a directory",
                f"go on with it: vae-train resume={path}" if taken else "choose another one",
            ) from error
        except OSError as error:
            if claimed:
                with contextlib.suppress(OSError):
                    (path / SUMMARY).unlink()
            remove(created)
            raise unwritable(path, error) from error
        return cls(path)

    @classmethod
    def reopen(cls, path: Path) -> RunDirectory:
        """The directory of an earlier run. Raises UsageError if there is none at `path`."""
        if not (path / SUMMARY).is_file():
            raise UsageError(
                "resume", path, "holds no run (no summary.json)", "name a run's own directory"
            )
        return cls(path)

    @property
    def checkpoints(self) -> Path:
        """The directory of last.pt and best.pt."""
        return self.path / "checkpoints"

    def write_next(self, pattern: str, content: Any) -> int:
        """Write the JSON file `pattern` with the smallest number from 2 that is free; returns it.

        Raises UsageError if the directory cannot be written.
        """
        try:
            number = self._claim_next(pattern)
            try:
                self.write_json(pattern.format(number), content)
            except BaseException:
                (self.path / pattern.format(number)).unlink()
                raise
        except OSError as error:
            raise unwritable(self.path, error, new=False) from error
        return number

    def _claim_next(self, pattern: str) -> int:
        for number in itertools.count(2):
            with contextlib.suppress(FileExistsError):
                (self.path / pattern.format(number)).open("x").close()
                return number
        raise AssertionError("there is always a next number")

    def write_text(self, name: str, text: str) -> None:
        """Write a file atomically; it is on the disk when this returns."""
        atomic.write_text(self.path / name, text)

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file atomically; NaN and infinity become null."""
        self.write_text(name, _json(content))

    def read_json(self, name: str) -> Any:
        """Read a JSON file. Raises UsageError if it is missing or damaged."""
        try:
            return json.loads(text_of(self.path / name))
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(
                "run", self.path / name, f"cannot be read ({error})", "name another run"
            ) from error

    def update_summary(self, **changes: Any) -> None:
        """Set keys of summary.json."""
        self.write_json(SUMMARY, {**self.read_json(SUMMARY), **changes})

    def append_row(self, row: dict[str, Any]) -> None:
        """Append a row to metrics.jsonl, on the disk before the checkpoint that follows it."""
        path = self.path / "metrics.jsonl"
        with atomic.named(path), open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(_finite(row)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def rows(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl; [] if there is none. Raises UsageError for a damaged line."""
        path = self.path / "metrics.jsonl"
        try:
            return read_rows(path)
        except FileNotFoundError:
            return []
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError("run", path, f"is damaged ({error})", "remove that line") from error

    def keep_rows_until(self, step: int) -> None:
        """Drop rows of updates that a resumed run will make again."""
        rows = [row for row in self.rows() if row["step"] <= step]
        self.write_text("metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def read_rows(path: Path, *, lenient: bool = False) -> list[dict[str, Any]]:
    """The rows of a metrics.jsonl; a last line that was cut off is left out.

    lenient: leave out every damaged line. Otherwise raises ValueError or RecursionError for one;
    OSError or ValueError for a file that cannot be read.
    """
    rows = []
    for line in text_of(path, errors="replace" if lenient else "strict").splitlines(True):
        try:
            if line.endswith("\n"):
                rows.append(_row(line))
        except (ValueError, RecursionError):
            if not lenient:
                raise
    return rows


def _row(line: str) -> dict[str, Any]:
    """A row: numbers and lists of numbers, any of which may be null. Raises ValueError."""
    row = json.loads(line)
    is_row = (
        isinstance(row, dict)
        and type(row.get("step")) is int
        and all(
            all(map(_is_figure, value)) if isinstance(value, list) else _is_figure(value)
            for value in row.values()
        )
        and isinstance(row.get("kl_per_dim", []), list)
    )
    if not is_row:
        raise ValueError("a line is no row")
    return row


def _is_figure(value: Any) -> bool:
    """A number that fits a float, or null."""
    return value is None or (isinstance(value, int | float) and abs(value) < 1e300)


def has_begun(directory: Path) -> bool:
    """True if a run has written its config here; before that there is no run to go on with."""
    return (directory / RESOLVED).exists()


def never_began(directory: Path) -> bool:
    """True if a run claimed `directory` and was killed before it wrote its config."""
    summary = directory / SUMMARY
    if not summary.exists() or glance(summary).get("run_state") == RunState.DONE:
        return False
    before = {SUMMARY, LOG, "overrides.yaml", "config.yaml"}
    unfinished = {name + atomic.UNFINISHED for name in (*before, RESOLVED)}
    return {path.name for path in directory.iterdir()} <= before | unfinished


def hold(file: IO | int) -> bool:
    """Lock an open file or directory until it is closed; False if another process holds it.

    True where there are no locks: on Windows, and on some network file systems.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def remove_empty(path: Path, *, keep: set[Path]) -> None:
    """Remove `path` and its parents, up to the first that is not empty or is one to `keep`."""
    for directory in (path, *path.parents):
        if directory in keep:
            return
        try:
            directory.rmdir()
        except OSError:
            return


def check_writable(path: Path, *, new: bool = True) -> None:
    """Raise UsageError if a run directory cannot be created at `path`; the probe is removed.

    new: False for a directory that is there already.
    """
    created = missing(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise unwritable(path, error, new=new) from error
    finally:
        remove(created)


def _new(path: Path) -> IO[str]:
    """A file that did not exist, open, in a directory that need not exist.

    Another process's `check_writable` may remove the directory while it is empty.
    """
    for attempts in reversed(range(10)):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return open(path, "x", encoding="utf-8")
        except FileNotFoundError:
            if not attempts:
                raise
    raise AssertionError("the last of them has raised")


def missing(path: Path) -> list[Path]:
    """`path` and the directories above it that are not there, the lowest first."""
    return [p for p in (path, *path.parents) if not p.exists()]


def remove(directories: Iterable[Path]) -> None:
    """Remove directories, the lowest first, until one is not empty."""
    for directory in directories:
        try:
            directory.rmdir()
        except OSError:
            return


def unwritable(path: Path, error: OSError, *, new: bool = True) -> UsageError:
    """The refusal of a directory that cannot be written.

    Args:
        path: the directory.
        error: the reason.
        new: False for a directory that is there already.

    Returns:
        The error to raise.
    """
    if not new:
        remedy = "make room, or copy it to where you may write"
        return UsageError("run", path, f"cannot be written ({error.strerror})", remedy)
    return UsageError(
        "hydra.run.dir",
        path,
        f"cannot be written ({error.strerror})",
        "choose a directory you may write to: hydra.run.dir=DIR (hydra.sweep.dir for a sweep)",
    )


def _json(content: Any) -> str:
    return json.dumps(_finite(content), indent=2) + "\n"


def _finite(value: Any) -> Any:
    # JSON has no NaN, and readers other than Python's refuse it.
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    fields = getattr(value, "_asdict", None)  # of a named tuple
    if fields is not None:
        return _finite(fields())
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
