"""Runs as a comparison sees them: read from their directories, however damaged these are."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from vaecli.config.identity import flat
from vaecli.core.rundir import SUMMARY, RunState, read_rows
from vaecli.core.untrusted import glance, yaml_text
from vaecli.diagnosis.figures import FIGURES, by_key
from vaecli.diagnosis.reading import value

UNREADABLE = "unreadable"  # the state of a run whose summary cannot be read
# What vae-train writes beside the summary: a directory that has one of them is its own.
_SIBLINGS = ("config.resolved.yaml", "overrides.yaml", "environment.json", "metrics.jsonl")
LONGEST_VALUE = 500  # of an override that is read as yaml, and not just shown
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is ten times faster


@dataclass(frozen=True)
class RunRecord:
    """One run. What could not be read is empty; `reason` then says so."""

    directory: Path
    name: str  # its directory seen from that of the comparison, with slashes
    summary: dict[str, Any]
    overrides: dict[str, Any]  # as typed: key -> value, without a sweep's or Hydra's signs
    config: dict[str, Any] | None = field(repr=False)  # resolved and flat: dotted key -> value

    @property
    def state(self) -> str:
        """`run_state` of the summary: done, diverged, failed, ..., or UNREADABLE."""
        return str(self.summary.get("run_state") or UNREADABLE)

    @property
    def done(self) -> bool:
        """True if its figures are those of a finished run."""
        return self.state == RunState.DONE

    @property
    def reason(self) -> str:
        """The reason why it did not finish, on one line; may be empty."""
        return " ".join(str(self.summary.get("reason") or "").split())

    @property
    def status(self) -> str:
        """Status of its diagnosis; of a run that did not finish, its state."""
        status = self.summary.get("status") or self.diagnosis.get("status")
        return str(status or "not diagnosed") if self.done else self.state

    @cached_property
    def seed(self) -> Any:
        """Its seed; None if that is not known."""
        return (self.config or self.overrides).get("seed")

    @cached_property
    def split(self) -> str | None:
        """The split its figures were measured on."""
        split = self.diagnosis.get("split") or (self.config or {}).get("diagnosis.split")
        return None if split is None else str(split)

    @cached_property
    def diagnosis(self) -> dict[str, Any]:
        """diagnosis.json; empty if it cannot be read."""
        return glance(self.directory / "diagnosis.json")

    @property
    def kl_per_dim(self) -> list[float]:
        """KL of each dimension at the end, nats; [] unless all are known."""
        kl = self.diagnosis.get("kl_per_dim")
        if not isinstance(kl, list):
            return []
        sound = all(isinstance(nats, int | float) and math.isfinite(nats) for nats in kl)
        return [float(nats) for nats in kl] if sound else []

    @property
    def history(self) -> list[dict[str, Any]]:
        """Rows of metrics.jsonl; those that cannot be read are left out. Read at every call."""
        try:
            return read_rows(self.directory / "metrics.jsonl", lenient=True)
        except (OSError, ValueError):
            return []

    def figure(self, key: str) -> float | None:
        """A figure of the summary, or of the diagnosis; None if it is unknown or not finite.

        key: as in the catalogue of figures.
        """
        entry = by_key(key)
        if entry is not None and entry.sign < 0:
            positive = next(e.key for e in FIGURES if e.path == entry.path and e.sign > 0)
            figure = self.figure(positive)
            return None if figure is None else -figure
        figure = None if self.summary.get(key) is True else value(self.summary, key)
        if figure is None and self.done and entry is not None and entry.place:
            figure = value(self.diagnosis, *entry.place)
        return figure


def find_runs(directory: Path) -> Iterator[Path]:
    """Run directories at `directory` or below it, in order of their names.

    A run is not searched for other runs. Raises OSError if `directory` cannot be listed.
    """
    if is_run(directory):
        yield directory
        return
    # Numbers in names count as numbers: run 10 of a sweep comes after run 9.
    inside = [Path(entry.path) for entry in os.scandir(directory) if entry.is_dir()]
    for path in sorted(inside, key=lambda p: natural(p.name)):
        try:
            yield from find_runs(path)
        except OSError:  # a directory that is closed to us hides its runs, not the others
            continue


def read_run(directory: Path, name: str) -> RunRecord:
    """The run at `directory`, as far as it can be read; never raises for what it finds there."""
    damaged = {"run_state": UNREADABLE, "reason": f"{SUMMARY} is missing or damaged"}
    summary = glance(directory / SUMMARY) or damaged
    typed = summary.get("overrides")
    if not isinstance(typed, list):
        typed = _yaml(directory / "overrides.yaml")
    config = _yaml(directory / "config.resolved.yaml")
    return RunRecord(
        directory,
        name,
        summary,
        _overrides(typed if isinstance(typed, list) else []),
        flat(config) if isinstance(config, dict) and config else None,
    )


def natural(name: str) -> list[Any]:
    """A key that sorts "9_x" before "10_x", and "x1" before "x"."""
    parts = re.split("([0-9]+)", f"{name}\0")  # every second one is a number
    return [int(part) if place % 2 else part for place, part in enumerate(parts)]


def is_run(directory: Path) -> bool:
    """True for a directory that vae-train claimed, however damaged it is."""
    file = directory / SUMMARY
    if not file.is_file():
        return False
    summary = glance(file)
    if summary:
        return "run_state" in summary
    try:  # cut off while it was written, or someone else's
        return file.stat().st_size == 0 or any((directory / s).exists() for s in _SIBLINGS)
    except OSError:
        return False


def _overrides(typed: list[Any]) -> dict[str, Any]:
    overrides = {}
    for item in typed:
        key, sign, text = str(item).lstrip("+-").partition("=")
        if sign:
            try:
                overrides[key] = yaml.load(text, _LOADER) if len(text) < LONGEST_VALUE else text
            except (yaml.YAMLError, ValueError):
                overrides[key] = text
    return overrides


def _yaml(path: Path) -> Any:
    try:
        return yaml.load(yaml_text(path), _LOADER)
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return None
