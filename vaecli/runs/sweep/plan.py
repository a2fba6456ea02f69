"""Groups of runs that are trained together, and why the others are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import torch

from vaecli.config.identity import flat
from vaecli.config.job import Job
from vaecli.config.schema import Config, Stacking
from vaecli.core.errors import UsageError
from vaecli.core.rundir import SUMMARY, RunState
from vaecli.core.untrusted import glance
from vaecli.data.sets.base import Data
from vaecli.models.vae import VAE
from vaecli.runs.attempt import Prepared, checkpoints
from vaecli.runs.build import build
from vaecli.training import checkpoint
from vaecli.training.precision import choose_precision
from vaecli.training.stack.memory import largest_stack
from vaecli.training.stack.stackable import agree, number_fields, try_stacking

# What may differ within a stack, besides the strategies' numbers and the whole schedule.
NUMBERS = {"seed", "trainer.lr", "trainer.weight_decay", "trainer.clip"}

# Runs in a stack unless sweep.max_stack says otherwise: each holds two files and a thread open, and
# a larger stack is no faster per run.
MOST = 256


class Group(NamedTuple):
    """Runs that are trained together; `alone` says why a single one is not with others."""

    entries: list[Prepared]
    alone: str | None = None


def plan(entries: list[Prepared]) -> list[Group]:
    """The groups, in the order of their first runs. Runs of one structure go into one stack."""
    structures: dict[str, list[Prepared]] = {}
    reasons: dict[Path, str | None] = {}
    for entry in entries:
        reason = reasons[entry.job.directory] = _own_reason(entry.config, entry.data)
        key = str(entry.job.directory) if reason else _structure(entry)
        structures.setdefault(key, []).append(entry)
    groups = []
    for members in structures.values():
        reason = reasons[members[0].job.directory]
        if len(members) == 1:
            groups.append(Group(members, reason or "no other run has its structure"))
            continue
        for alike in _alike(members):
            for level in in_lockstep(alike):
                if len(level) == 1 < len(alike):
                    groups.append(Group(level, "no other run of its structure has come as far"))
                else:
                    groups += _stacks(level)
    return groups


def in_lockstep(entries: list[Prepared]) -> list[list[Prepared]]:
    """The runs of an earlier stack, grouped by the update from which they go on.

    Its checkpoints are written one run after another. If it was killed in between, the runs whose
    checkpoint was written go one back: in a smaller stack the others would be rounded differently.
    """
    places = [_places(entry.job) for entry in entries]
    begun = {
        options[0] for entry, options in zip(entries, places, strict=True) if _begun(entry.job)
    }
    levels: dict[Place, list[Prepared]] = {}
    for entry, options in zip(entries, places, strict=True):
        back = len(options) > 1 and options[1] in begun
        job = entry.job.but(step_back=back)
        levels.setdefault(options[back], []).append(entry._replace(job=job))
    return list(levels.values())


def _own_reason(config: Config, data: Data) -> str | None:
    """The reason that keeps this run out of every stack; None if there is none."""
    if config.sweep.stack is Stacking.off:
        return "sweep.stack=off"
    for strategy in config.strategies:
        if not strategy.stackable:
            return f"strategy={strategy.name} decides by the run's own losses what comes next"
    if config.trainer.max_seconds is not None:
        return "trainer.max_seconds gives each run a time of its own"
    if data.kind.of_sequences:
        return "batches of sequences differ in length from run to run"
    if choose_precision(config.trainer.amp, data.device).dtype is torch.float16:
        return "trainer.amp=fp16 scales each run's loss by its own history"
    return None


def _structure(entry: Prepared) -> str:
    """The config without the numbers that may differ within a stack, as one string."""
    plain = flat(entry.config.plain)
    numbers = {f"strategy.{key}" for s in entry.config.strategies for key in number_fields(type(s))}
    kept = {
        key: value
        for key, value in plain.items()
        if key not in NUMBERS | numbers and not key.startswith("schedule.")
    }
    clipped = entry.config.trainer.clip is not None
    return json.dumps([kept, clipped], sort_keys=True, default=str)


Place = tuple[int, int]  # decoder and encoder updates made


def _begun(job: Job) -> bool:
    return job.resume and glance(job.directory / SUMMARY).get("run_state") != RunState.PENDING


def _places(job: Job) -> list[Place]:
    """The places to resume from: the last checkpoint, the one before, or else the start."""
    paths = checkpoints(job.directory) if job.resume else []
    places = []
    for path in paths:
        try:
            progress = checkpoint.load(path)["progress"]
            places.append((int(progress["step"]), int(progress["encoder_updates"])))
        except (UsageError, KeyError, TypeError, ValueError):  # damaged: the one before it serves
            continue
    return places if len(paths) > 1 else [*places, (0, 0)]


def _alike(members: list[Prepared]) -> list[list[Prepared]]:
    """Members whose models differ in nothing but tensors: strategies and seeds go into them."""
    kinds: list[tuple[VAE, list[Prepared]]] = []
    known: dict[str, list[Prepared]] = {}
    for member in members:
        made_of = json.dumps([member.config.plain["strategy"], member.config.seed], sort_keys=True)
        if made_of not in known:
            vae = build(member.config, member.data).vae
            kind = next((kind for first, kind in kinds if agree(first, vae)), [])
            if not kind:
                kinds.append((vae, kind))
            known[made_of] = kind
        known[made_of].append(member)
    return [kind for _, kind in kinds]


def _stacks(members: list[Prepared]) -> list[Group]:
    """Members of one structure, cut into stacks that fit into memory."""
    first = members[0]
    if len(members) == 1:
        return [Group(members, "its modules cannot be seen to hold what the other runs' do")]
    batch_size = first.config.trainer.batch_size
    objective = build(first.config, first.data)
    try:
        try_stacking(objective, first.data)
    except Exception as error:  # whatever vmap has against somebody's model
        why = (str(error).strip().splitlines() or [type(error).__name__])[0][:150]
        return [Group([member], f"it cannot be vmapped: {why}") for member in members]
    fitting = largest_stack(objective, first.data, batch_size) or MOST
    asked = min(m.config.sweep.max_stack or MOST for m in members)
    most = min(fitting, asked)
    count = -(-len(members) // most)  # of about equal size
    stacks = [members[i::count] for i in range(count)]
    room = f"memory has room for {fitting} at a time"
    alone = f"sweep.max_stack={asked}" if asked <= fitting else room
    return [Group(stack, alone if len(stack) == 1 else None) for stack in stacks]
