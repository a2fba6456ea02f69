"""Which runs of a sweep become one stack, and what is said of those that are alone."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from hydra import compose, initialize_config_dir

from vaecli.config.compose import CONFIGS
from vaecli.config.job import Job
from vaecli.config.schema import read
from vaecli.core import atomic
from vaecli.core.rundir import SUMMARY
from vaecli.objectives.strategies.base import Strategy
from vaecli.objectives.strategies.free_bits import FreeBits
from vaecli.runs.attempt import Prepared
from vaecli.runs.sweep import plan as planning
from vaecli.runs.sweep.plan import plan
from vaecli.training import checkpoint
from vaecli.training.fit import LAST, PREVIOUS


def entries(own, *common, where="nowhere", resume=False):
    made = []
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        for number, each in enumerate(own):
            config = read(compose("config", overrides=["data.limit=300", *common, *each]))
            data = made[0].data if made else config.data.load()
            job = Job([], "", Path(where) / str(number), resume=resume)
            made.append(Prepared(job, config, data))
    return made


def groups(entries):
    return [[int(entry.job.directory.name) for entry in group.entries] for group in plan(entries)]


SEEDS = [[f"seed={seed}"] for seed in range(3)]


@pytest.mark.parametrize(
    ("room", "asked", "reason"),
    [
        (1, "null", "memory has room for 1 at a time"),
        (2, "null", "memory has room for 2 at a time"),
        (5, "1", "sweep.max_stack=1"),
        (5, "2", "sweep.max_stack=2"),
    ],
)
def test_a_run_that_is_alone_for_want_of_room_is_told_whose_limit_it_was(
    room, asked, reason, monkeypatch
):
    monkeypatch.setattr(planning, "largest_stack", lambda *_: room)
    made = plan(entries(SEEDS, f"sweep.max_stack={asked}"))
    assert {group.alone for group in made if len(group.entries) == 1} == {reason}
    assert {group.alone for group in made if len(group.entries) > 1} <= {None}


def test_what_a_seed_puts_into_a_module_keeps_runs_of_one_strategy_apart(monkeypatch):
    def install(self, vae):
        vae.prior.order = torch.randperm(1000).tolist()

    monkeypatch.setattr(FreeBits, "install", install)
    own = [["seed=0"], ["seed=0", "schedule.beta=2"], ["seed=1"], ["seed=0", "trainer.lr=1e-4"]]
    made = plan(entries(own, "strategy=free_bits"))
    assert groups(entries(own, "strategy=free_bits")) == [[0, 1, 3], [2]]
    assert "cannot be seen to hold" in made[1].alone


@dataclass(frozen=True)
class Weighted(Strategy):
    slots: ClassVar[frozenset[str]] = frozenset({"loss"})
    weights: list[float] = field(default_factory=lambda: [1.0])


def test_a_strategy_with_a_list_among_its_keys_can_be_swept(monkeypatch):
    monkeypatch.setattr("vaecli.objectives.strategies.none.Plain", Weighted)
    monkeypatch.setattr(Weighted, "__module__", "vaecli.objectives.strategies.none")
    own = [["+strategy.weights=[1,2]"], ["+strategy.weights=[1,2]", "seed=1"]]
    assert groups(entries([*own, ["+strategy.weights=[2,1]"]])) == [[0, 1], [2]]


def write_run(where, number, *steps):
    """A begun run with checkpoints at these updates, the last one first."""
    directory = where / str(number)
    directory.mkdir(parents=True)
    atomic.write_text(directory / SUMMARY, json.dumps({"run_state": "running"}))
    for path, step in zip((LAST, PREVIOUS), steps, strict=False):
        path = directory / "checkpoints" / path
        path.parent.mkdir(exist_ok=True)
        checkpoint.save(path, {"progress": {"step": step, "encoder_updates": step}})


def test_runs_to_be_continued_are_together_where_they_stand_at_the_same_update(tmp_path):
    for number, step in enumerate((12, 12, 8)):
        write_run(tmp_path, number, step, step - 2)
    write_run(tmp_path, 3)
    atomic.write_text(tmp_path / "3" / SUMMARY, json.dumps({"run_state": "pending"}))
    own = [[f"seed={seed}"] for seed in range(4)]
    assert groups(entries(own, where=tmp_path, resume=True)) == [[0, 1], [2], [3]]
    assert groups(entries(own, where=tmp_path)) == [[0, 1, 2, 3]]


@pytest.mark.parametrize(
    "steps",
    [
        [(12, 8), (12, 8), (8, 4)],  # killed before the third had written its checkpoint
        [(4,), (4,), ()],  # the same, at the first checkpoint
        [(8, 4), (8, 4), (8, 4)],
    ],
)
def test_a_stack_that_was_killed_between_its_checkpoints_goes_on_as_one(steps, tmp_path):
    for number, own in enumerate(steps):
        write_run(tmp_path, number, *own)
    made = plan(entries(SEEDS, where=tmp_path, resume=True))
    assert [len(group.entries) for group in made] == [3]
    uneven = len(set(steps)) > 1
    assert [entry.job.step_back for entry in made[0].entries] == [uneven, uneven, False]
