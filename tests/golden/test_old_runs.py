"""Runs of version 0.1.0, before the package was given its rooms, open with the code of today."""

import csv
import json
import shutil

import pytest
import torch
import yaml
from golden_doors import done
from recordings import HERE, close, objects

from vaecli import compare, diagnose, load_run, train

RUNS = ("single", "sweep/0_seed=0", "sweep/1_seed=1")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory with copies of the old runs."""
    place = tmp_path_factory.mktemp("old") / "runs"
    shutil.copytree(HERE / "runs", place)
    return place


@pytest.mark.parametrize("run", RUNS)
def test_the_weights_of_an_old_run_are_loaded(place, run):
    vae, data, config = load_run(place / run)
    stored = torch.load(place / run / "checkpoints" / "last.pt", weights_only=True)["model"]
    assert vae.state_dict().keys() == stored.keys()
    assert all(torch.equal(vae.state_dict()[name], stored[name]) for name in stored)
    assert len(data.train.x) == 64
    assert config.seed == int(run.endswith("1"))


@pytest.mark.parametrize("run", RUNS)
def test_an_old_run_diagnosed_again_has_its_first_figures(place, run):
    first = json.loads((place / run / "diagnosis.json").read_text())
    settings = [f"diagnosis.{key}={_typed(value)}" for key, value in first["settings"].items()]
    done(diagnose, place, run, *settings)
    second = json.loads((place / run / "diagnosis-2.json").read_text())
    assert second.pop("weights") == "last.pt"
    assert second.keys() >= first.keys()  # there may be new figures
    for key, recorded, now in _leaves(first, second):
        assert close(recorded, now), key


def test_old_runs_are_compared(place):
    done(compare, place, "sweep", "single", "--out", "compared")
    with (place / "compared" / "comparison.csv").open(newline="") as file:
        rows = {row["directory"]: row for row in csv.DictReader(file)}
    assert len(rows) == 3
    for run in RUNS:
        (row,) = [row for name, row in rows.items() if name.endswith(run)]
        summary = json.loads((place / run / "summary.json").read_text())
        assert row["run_state"] == "done"
        assert float(row["elbo"]) == summary["elbo"]


@pytest.mark.parametrize(("what", "runs"), [("single", RUNS[:1]), ("sweep", RUNS[1:])])
def test_old_runs_go_on_where_they_stopped(place, tmp_path, what, runs):
    shutil.copytree(place / what, tmp_path / what)
    done(train, tmp_path, f"resume={what}", "trainer.epochs=3")
    for run in runs:
        before, after = (objects(where / run / "metrics.jsonl") for where in (place, tmp_path))
        assert after[: len(before)] == before
        assert [row["epoch"] for row in after] == [0, 1, 2, 3]
        assert json.loads((tmp_path / run / "summary.json").read_text())["run_state"] == "done"


def _typed(value):
    return yaml.safe_dump(value).partition("\n")[0]


def _leaves(first, second, key=""):
    if isinstance(first, dict):
        for name in first:
            yield from _leaves(first[name], second[name], f"{key}.{name}")
    elif isinstance(first, list):
        assert len(first) == len(second), key
        for number, pair in enumerate(zip(first, second, strict=True)):
            yield from _leaves(*pair, f"{key}[{number}]")
    else:
        yield key, first, second
