"""One run to be made, as it was composed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

if TYPE_CHECKING:
    from vaecli.config.schema import Config


@dataclass(frozen=True)
class Job:
    """One run to be made; under `sweep.inside` a whole sweep."""

    overrides: list[str]  # as they were written: an interpolation in one stays what it is
    text: str  # config.yaml: the composition before interpolations are resolved
    directory: Path
    sweep: Path | None = None  # the directory of the sweep that it is part of
    inside: str | None = None  # the overrides of the sweep that it is
    runs: int = 1  # how many it leaves behind; more if it is a sweep
    by_clock: bool = False  # the directory is named by the time: if it is taken, the next one does
    resume: bool = False  # go on with the run that the directory holds
    step_back: bool = False  # go on from the checkpoint before the last one, as its stack does

    @cached_property
    def config(self) -> Config:
        """The composition, validated. Raises UsageError."""
        from vaecli.config.schema import read  # it imports torch, which --help does not wait for

        return read(OmegaConf.create(self.text))

    def but(self, **changes: Any) -> Job:
        """A copy with other fields; it keeps the config that has been read."""
        job = replace(self, **changes)
        if "config" in self.__dict__ and "text" not in changes:
            job.__dict__["config"] = self.__dict__["config"]
        return job
