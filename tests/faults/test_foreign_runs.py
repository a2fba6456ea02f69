"""Run directories and configs that somebody else wrote, or that were damaged: data, never code.

200 of them, mutated at random: each is refused with exit code 2 in at most three lines, or handled.
None ends in a traceback, hangs, or runs anything.
"""

import contextlib
import io
import json
import random
import shutil

import pytest
import yaml
from doors import compare, diagnose, train

TINY = (
    "trainer.max_steps=2",
    "diagnosis=quick",
    "data.limit=300",
    "diagnosis.samples=50",
    "diagnosis.importance_samples=2",
)
FILES = (
    "config.resolved.yaml",
    "config.yaml",
    "overrides.yaml",
    "summary.json",
    "metrics.jsonl",
    "diagnosis.json",
    "environment.json",
    "checkpoints/last.pt",
    "checkpoints/best.pt",
)
HOSTILE = (
    None,
    True,
    -1,
    0,
    10**30,
    1e308,
    "",
    "\x00",
    "../../../etc/passwd",
    "/dev/zero",
    "~",
    "${oc.env:HOME}",
    "${seed}",
    "${nothing}",
    "???",
    "<script>alert(1)</script>",
    [],
    {},
    [[]],
    {"_target_": "os.system"},
    "!!python/object/apply:os.system ['true']",
    "os",
    "é" * 300,
)


@pytest.fixture
def whole(trained):
    ran = trained(*TINY)
    assert ran.code == 0
    return ran.directory


def damage(run, rng):
    """Damage one file of the run; says how."""
    path = run / rng.choice(FILES)
    if not path.exists():
        return "nothing"
    content = path.read_bytes()
    kind = rng.choice(["cut", "flip", "junk", "empty", "gone", "directory", "value", "value"])
    if kind == "cut":
        path.write_bytes(content[: rng.randrange(len(content) + 1)])
    elif kind == "flip":
        changed = bytearray(content)
        for _ in range(rng.randint(1, 8)):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
    elif kind == "junk":
        path.write_bytes(rng.randbytes(rng.randint(1, 500)))
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind in ("gone", "directory"):
        path.unlink()
        if kind == "directory":
            path.mkdir()
    else:
        kind = _hostile_value(path, rng)
    return f"{path.name}: {kind}"


def _hostile_value(path, rng):
    """One value of a yaml or json file, at any depth, replaced by one that means harm."""
    text = path.suffix == ".json"
    if path.suffix not in (".json", ".yaml"):
        path.write_text("{]")
        return "no yaml"
    tree = json.loads(path.read_text()) if text else yaml.safe_load(path.read_text())
    place, keys = tree, []
    while isinstance(place, dict | list) and place:
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        keys.append(key)
        if isinstance(place, dict) and not text and rng.random() < 0.05:
            place[rng.choice([True, 1, None, 0.5])] = place.pop(key)
            return f"{keys}: no word"
        if not isinstance(place[key], dict | list) or rng.random() < 0.2:
            place[key] = value = rng.choice(HOSTILE)
            break
        place = place[key]
    else:
        return "nothing to replace"
    path.write_text(json.dumps(tree) if text else yaml.safe_dump(tree))
    return f"{keys} = {value!r}"[:200]


def ended(door, arguments):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = door(arguments)
    return code, out.getvalue(), err.getvalue()


def open_every_way(run, number):
    """Each way to open a run of somebody else's, with its answer."""
    doors = [
        (train, [f"resume={run}", "trainer.max_steps=3", *TINY[1:]]),
        (diagnose, [run, "--samples", 50, "diagnosis.tsne_points=0", "diagnosis.refine_steps=2"]),
        (compare, [str(run), "--out", str(run.parent / "compared")]),
    ]
    door, arguments = doors[number % len(doors)]
    return door.__name__, *ended(door, arguments)


def check(number, whole, place):
    rng = random.Random(number)
    run = place / f"{number}"
    shutil.copytree(whole, run)
    what = damage(run, rng)
    door, code, out, err = open_every_way(run, number)
    told = f"{number} {what} {door}: {code}\n{out[-2000:]}\n{err}"
    assert code in (0, 1, 2), told
    assert "Traceback" not in out + err, told
    if code == 2:
        assert 1 <= len(err.strip().splitlines()) <= 3, told
    shutil.rmtree(run)


@pytest.fixture
def guarded(monkeypatch):
    """Nothing may be executed, and no file of the system's be read."""
    import os
    import subprocess

    def never(*args, **kwargs):
        raise AssertionError(f"something was run: {args}")

    monkeypatch.setattr(os, "system", never)
    monkeypatch.setattr(subprocess, "Popen", never)


@pytest.mark.parametrize("number", range(20))
def test_a_mutated_run_is_refused_or_handled(number, whole, tmp_path, guarded, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check(number, whole, tmp_path)


@pytest.mark.faults
@pytest.mark.parametrize("number", range(20, 220))
def test_each_of_two_hundred_mutated_runs_is_refused_or_handled(
    number, whole, tmp_path, guarded, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    check(number, whole, tmp_path)
