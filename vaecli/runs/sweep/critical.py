"""The search for the beta at which the code dies: bisection with several runs a round."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from vaecli.config.arguments import key_of
from vaecli.config.identity import config_hash
from vaecli.config.job import Job
from vaecli.core.errors import require
from vaecli.core.rundir import SUMMARY
from vaecli.core.untrusted import glance
from vaecli.diagnosis.status import Status

PROBES = 3  # betas tried at once in each gap: a stack trains them together
KEY = "schedule.beta"


@dataclasses.dataclass
class Search:
    """The search of one setting: jobs that differ in their seed alone."""

    jobs: list[Job]
    low: float  # the highest beta at which the code lived
    high: float  # the lowest beta above it at which the code is dead
    tolerance: float
    predicted: float | None = None
    rounds: int = 0
    failed: str | None = None  # why there is no answer

    @property
    def open(self) -> bool:
        """True until the boundary is known to the tolerance."""
        return self.failed is None and (
            self.rounds == 0 or self.high / self.low > 1 + self.tolerance
        )

    def betas(self) -> list[float]:
        """The next betas to try: evenly spaced in log beta, the ends too in the first round."""
        parts = PROBES + 1
        step = (self.high / self.low) ** (1 / parts)
        places = range(parts + 1) if self.rounds == 0 else range(1, parts)
        return [float(f"{self.low * step**place:.4g}") for place in places]

    def learn(self, alive: dict[float, bool | None]) -> None:
        """Narrow the gap. alive: for each beta, True if the code lived; None if no run finished."""
        self.rounds += 1
        if None in alive.values():
            lost = min(beta for beta, lived in alive.items() if lived is None)
            self.failed = f"no run at beta {lost:g} finished"
            return
        living = [beta for beta, lived in alive.items() if lived]
        dead = [beta for beta, lived in alive.items() if not lived]
        if self.rounds == 1 and not living:
            self.failed = f"the code is dead at beta {self.low:g} already: lower sweep.bisect_low"
        elif self.rounds == 1 and max(alive) in living:
            self.failed = f"the code lives at beta {self.high:g} still: raise sweep.bisect_high"
        self.low = max([self.low, *living])
        # A code that lives above one that died: the boundary is where the last one dies.
        self.high = min([self.high, *(beta for beta in dead if beta > self.low)])


def searches(jobs: list[Job]) -> list[Search]:
    """One search for each setting among the jobs. Raises UsageError where none is possible."""
    by_setting: dict[str, Search] = {}
    for job in jobs:
        plain = job.config.plain
        sweep = job.config.sweep
        require(
            KEY not in {key_of(o) for o in job.overrides},
            KEY,
            plain["schedule"]["beta"],
            "is what sweep.bisect searches for",
            "leave it out; sweep.bisect_low and sweep.bisect_high bound the search",
        )
        setting = config_hash({**plain, "seed": 0})
        tolerance = sweep.bisect
        assert tolerance is not None  # some job of the sweep asks for a search; so all do
        search = Search([], sweep.bisect_low, sweep.bisect_high, tolerance)
        by_setting.setdefault(setting, search).jobs.append(job)
    return list(by_setting.values())


def search(
    wanted: list[Search], run: Callable[[list[Job]], dict[Path, Path] | None]
) -> dict[str, Any]:
    """Narrow every search down; returns what critical_beta.json holds.

    run: makes the runs; returns where each job's run lies, or None if a signal ended it.
    """
    number = 0
    while any(one.open for one in wanted):
        jobs: list[Job] = []
        probes: list[tuple[Search, float, Job]] = []
        for one in (one for one in wanted if one.open):
            for beta in one.betas():
                for job in one.jobs:
                    probe = _probe(job, beta, number)
                    number += 1
                    jobs.append(probe)
                    probes.append((one, beta, probe))
        where = run(jobs)
        if where is None:
            break
        for one in (one for one in wanted if one.open):
            mine = [(beta, where.get(job.directory)) for s, beta, job in probes if s is one]
            one.learn({beta: _alive(d for b, d in mine if b == beta) for beta, _ in mine})
            one.predicted = next((p for _, d in mine if (p := _predicted(d)) is not None), None)
    return dict(zip(_names(wanted), map(_answer, wanted), strict=True))


def sentence(name: str, answer: dict[str, Any]) -> str:
    """The answer in words, for the console."""
    setting = f" ({name})" if name else ""
    if answer["reason"]:
        return f"Critical beta{setting}: not found, {answer['reason']}"
    words = f"Critical beta{setting}: between {answer['low']:g} and {answer['high']:g}"
    if answer["predicted"] is not None:
        words += f"; theory: {answer['predicted']:.3g}"
    return words


def _probe(job: Job, beta: float, number: int) -> Job:
    config = OmegaConf.create(job.text)
    OmegaConf.update(config, KEY, beta)
    override = f"{KEY}={beta:g}"
    swept = job.directory.name.partition("_")[2]
    name = f"{number}_{','.join(part for part in (swept, override) if part)}"
    return job.but(
        overrides=[*job.overrides, override],
        text=OmegaConf.to_yaml(config),
        directory=job.directory.with_name(name),
    )


def _alive(directories: Iterable[Path | None]) -> bool | None:
    """True if the code lived in at least half of the finished runs; None if none finished."""
    ends = Counter(glance(d / SUMMARY).get("status") for d in directories if d is not None)
    finished = sum(count for status, count in ends.items() if status)
    return ends[Status.FULL] <= finished / 2 if finished else None


def _predicted(directory: Path | None) -> float | None:
    if directory is None:
        return None
    return glance(directory / "diagnosis.json").get("prediction", {}).get("critical_beta")


def _names(settings: list[Search]) -> list[str]:
    """The name of each setting: the overrides that not all settings share."""
    typed = [one.jobs[0].overrides for one in settings]
    return [
        ",".join(o for o in mine if key_of(o) != "seed" and any(o not in other for other in typed))
        for mine in typed
    ]


def _answer(one: Search) -> dict[str, Any]:
    interrupted = "the search was interrupted" if one.open else None
    return {
        "low": one.low,
        "high": one.high,
        "predicted": one.predicted,
        "seeds": len(one.jobs),
        "reason": one.failed or interrupted,
    }
