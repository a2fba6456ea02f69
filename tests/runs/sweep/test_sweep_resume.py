"""Sweeps gone on with: what is matched, what is kept, who may work where."""

import json
import os
import signal

import numpy as np
import pytest
import yaml
from sweeps import epochs, summaries, table

from vaecli.core.rundir import hold

TINY = ("trainer.max_steps=2", "diagnosis=quick")


@pytest.fixture
def sweep(train, trained, tmp_path):
    """A finished sweep over two seeds, in the working directory."""
    ran = trained("-m", "seed=0,1", *TINY).copied(tmp_path / "sweep")
    assert ran.code == 0
    return ran.directory


def interrupt(run):
    """Make a finished run look like one that was interrupted."""
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(
        json.dumps({**summary, "run_state": "interrupted"}, indent=2) + "\n"
    )


def contents(directory):
    """Every file but multirun.yaml, which is Hydra's and written by it at every start."""
    files = (p for p in directory.rglob("*") if p.is_file() and p.name != "multirun.yaml")
    return {path: path.read_bytes() for path in files}


def test_a_resumed_sweep_takes_further_values(train, sweep):
    more = train(f"resume={sweep}", "seed=0,1,2", directory=None)
    assert more.code == 0
    assert "2 of 3 runs are done already" in more.out
    assert [row["seed"] for row in table(sweep)] == ["0", "1", "2"]
    assert "seed=0,1,2" in yaml.safe_load((sweep / "sweep.yaml").read_text())


def test_a_sweep_resumed_with_another_setting_is_refused_before_anything_runs(train, sweep):
    refused = train(f"resume={sweep}", "trainer.lr=1e-4", directory=None)
    assert refused.code == 2
    assert "already holds a run that was made with other settings" in refused.err
    assert len(refused.err.strip().splitlines()) <= 3
    assert {s["run_state"] for s in summaries(sweep).values()} == {"done"}


def test_a_damaged_checkpoint_fails_its_own_run_and_not_the_resumed_sweep(train, sweep):
    for name in ("0_seed=0", "1_seed=1"):
        interrupt(sweep / name)
    (sweep / "0_seed=0" / "checkpoints" / "last.pt").write_bytes(b"no checkpoint")
    ran = train(f"resume={sweep}", "seed=0,1,2", directory=None)
    assert ran.code == 1
    assert "is no checkpoint of vaecli, or is damaged" in ran.out
    assert [s["run_state"] for _, s in sorted(summaries(sweep).items())] == [
        "failed",
        "done",
        "done",
    ]


def test_a_refused_resume_changes_no_file(train, sweep):
    """Not those of the user's own beside the runs either, nor those of a run it cannot place."""
    (sweep / "notes").mkdir()
    (sweep / "notes" / "summary.json").write_text("{}")
    (sweep / "1_seed=1" / "config.resolved.yaml").unlink()
    before = contents(sweep)
    assert train(f"resume={sweep}", "trainer.lr=1e-4", directory=None).code == 2
    assert train(f"resume={sweep}", directory=None).code == 2  # 1_seed=1 has lost its config
    assert contents(sweep) == before


def test_a_run_that_was_killed_before_it_began_is_made_anew(train, sweep):
    run = sweep / "1_seed=1"
    for path in sorted(run.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (run / "summary.json").write_text("")  # created, and killed before it was written
    (run / "config.resolved.yaml.tmp").write_text("")
    ran = train(f"resume={sweep}", directory=None)
    assert ran.code == 0, ran.err
    assert "1 of 2 runs are done already" in ran.out
    assert {s["run_state"] for s in summaries(sweep).values()} == {"done"}


def test_a_sweep_resumed_for_longer_goes_on_with_its_runs_and_records_their_length(train, sweep):
    ran = train(f"resume={sweep}", "trainer.max_steps=4", directory=None)
    assert ran.code == 0, ran.err
    assert [row["decoder_updates"] for row in table(sweep)] == ["4", "4"]
    config = yaml.safe_load((sweep / "0_seed=0" / "config.resolved.yaml").read_text())
    assert config["trainer"]["max_steps"] == 4
    before = contents(sweep / "0_seed=0")
    again = train(f"resume={sweep}", "trainer.max_steps=3", directory=None)  # long enough already
    assert "2 of 2 runs are done already" in again.out
    assert contents(sweep / "0_seed=0") == before


def test_runs_that_differ_in_length_alone_keep_their_directories(train, tmp_path):
    sweep = tmp_path / "sweep"
    train(
        "-m", "trainer.max_steps=2,4", "diagnosis=quick", f"hydra.sweep.dir={sweep}", directory=None
    )
    for run in sweep.glob("*_*"):
        interrupt(run)
    assert train(f"resume={sweep}", directory=None).code == 0
    assert {n: s["decoder_updates"] for n, s in summaries(sweep).items()} == {
        "0_trainer.max_steps=2": 2,
        "1_trainer.max_steps=4": 4,
    }


def test_a_run_cannot_be_resumed_to_end_before_where_it_is(train, sweep):
    run = sweep / "0_seed=0"
    interrupt(run)
    before = contents(run)
    refused = train(f"resume={run}", "trainer.max_steps=1", directory=None)
    assert refused.code == 2
    assert "it has made 2" in refused.err
    assert contents(run) == before


def test_a_sweep_over_files_goes_on_with_the_run_of_each(train, tmp_path):
    rng = np.random.default_rng(0)
    for name, n in (("a", 300), ("b", 400)):
        (tmp_path / name).mkdir()
        np.savez(tmp_path / name / "x.npz", x=rng.integers(0, 2, (n, 8, 8), dtype=np.uint8) * 255)
    sweep = tmp_path / "sweep"
    paths = f"data.path={tmp_path}/b/x.npz,{tmp_path}/a/x.npz"
    arguments = ["-m", "data=npz", paths, *TINY, f"hydra.sweep.dir={sweep}"]
    assert train(*arguments, directory=None).code == 0
    for run in sweep.glob("*_*"):
        interrupt(run)
    turned = f"data.path={tmp_path}/a/x.npz,{tmp_path}/b/x.npz"
    digests = {n: s["data_digest"] for n, s in summaries(sweep).items()}
    assert train(f"resume={sweep}", turned, directory=None).code == 0
    assert {n: s["data_digest"] for n, s in summaries(sweep).items()} == digests
    assert len(set(digests.values())) == 2

    run = next(sweep.glob("0_*"))
    other = train(f"resume={run}", f"data.path={tmp_path}/a/x.npz", directory=None)
    assert other.code == 2
    assert "does not hold the data that" in other.err
    (tmp_path / "b" / "x.npz").rename(tmp_path / "moved.npz")
    moved = train(f"resume={run}", f"data.path={tmp_path}/moved.npz", directory=None)
    assert moved.code == 0


def test_a_damaged_summary_is_made_again_and_does_not_lock_the_sweep(train, sweep):
    (sweep / "0_seed=0" / "summary.json").write_text('{"run_st')
    ran = train(f"resume={sweep}", directory=None)
    assert ran.code == 0, ran.err
    summary = summaries(sweep)["0_seed=0"]
    assert summary["run_state"] == "done"
    assert summary["decoder_updates"] == 2


def test_a_second_sweep_does_not_begin_in_the_directory_of_one(train, sweep):
    before = contents(sweep)
    again = train("-m", "seed=2,3", *TINY, f"hydra.sweep.dir={sweep}", directory=None)
    assert again.code == 2
    assert f"vae-train resume={sweep}" in again.err
    assert contents(sweep) == before


@pytest.mark.parametrize("held", ["", "0_seed=0/train.log"])
def test_what_another_process_works_on_is_refused(train, sweep, held):
    """A lock is the file's, not the process's: holding it here is what another would do."""
    interrupt(sweep / "0_seed=0")
    before = summaries(sweep)
    target = sweep / "0_seed=0" if held else sweep
    handle = os.open(sweep / held, os.O_RDONLY)
    try:
        assert hold(handle)
        refused = train(f"resume={target}", directory=None)
        assert refused.code == 2
        assert "another process" in refused.err
        assert summaries(sweep) == before
        if target != sweep:  # a resumed sweep leaves it alone, and says so
            ran = train(f"resume={sweep}", directory=None)
            assert ran.code == 1
            assert "another process" in ran.out
            assert summaries(sweep) == before
    finally:
        os.close(handle)
    assert train(f"resume={target}", directory=None).code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_stack_opens_or_is_cut_is_heeded(train, tmp_path, monkeypatch, number):
    from vaecli.runs.run import Run
    from vaecli.training.stack.stack import Stack

    begin, update = Run.__init__, Stack.update

    def opened_first(self, *args):
        begin(self, *args)
        if self.config.seed == 0:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(Run, "__init__", opened_first)
    opening = tmp_path / "opening"
    asked = ("-m", "seed=0,1,2", "trainer.max_steps=50", "diagnosis=quick")
    ran = train(*asked, f"hydra.sweep.dir={opening}", directory=None)
    assert ran.code == 128 + number
    assert [s["run_state"] for _, s in sorted(summaries(opening).items())] == [
        "interrupted",
        "pending",
        "pending",
    ]
    assert json.loads((opening / "0_seed=0" / "summary.json").read_text())["run_state"]
    monkeypatch.setattr(Run, "__init__", begin)

    def broken(self):
        if self.step == 10:
            os.kill(os.getpid(), number)
            raise RuntimeError("no room")
        return update(self)

    monkeypatch.setattr(Stack, "update", broken)
    cut = tmp_path / "cut"
    assert train(*asked, f"hydra.sweep.dir={cut}", directory=None).code == 128 + number
    assert {s["run_state"] for s in summaries(cut).values()} == {"interrupted"}
    monkeypatch.undo()
    for sweep in (opening, cut):
        assert train(f"resume={sweep}", directory=None).code == 0
        assert {epochs(run)[-1] for run in sweep.glob("*_seed=*")} == {5.0}


def test_a_sweep_of_an_own_option_says_what_has_to_be_typed_again(train, sweep, tmp_path):
    saved = yaml.safe_load((sweep / "sweep.yaml").read_text())
    (sweep / "sweep.yaml").write_text(yaml.safe_dump([*saved, "strategy=my_own"]))
    refused = train(f"resume={sweep}", directory=None)
    assert refused.code == 2
    assert "--config-dir" in refused.err
    assert "Ambiguous" not in refused.err
