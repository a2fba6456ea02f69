"""Sweeps as a user meets them: stacks, failures, signals, resume, the comparison at the end."""

import json
import signal
import time

import processes
import pytest
import torch
from sweeps import epochs, figures, summaries, table

from vaecli import load_run

SHORT = ("trainer.epochs=3", "diagnosis=quick", "data.limit=400")
SWEEPS = {
    4: ("-m", "schedule.beta=0.5,2", "seed=1,3", *SHORT),
    24: ("-m", "schedule.beta=0.5,1,2,4", "seed=0,1,2,3,4,5", *SHORT),
}


@pytest.fixture
def accidents(monkeypatch):
    """Make the run of beta 0.5, seed 1 diverge and that of beta 2, seed 3 raise while training."""
    from vaecli.training.fit import Fit

    original = Fit.take_stock

    def take_stock(self, encoded, per_example, **when):
        if self.step > 0 and (self.target, self.seed) == (0.5, 1):
            per_example = per_example * float("nan")
        if self.step > 0 and (self.target, self.seed) == (2, 3):
            raise RuntimeError("the sky <fell>")
        return original(self, encoded, per_example, **when)

    monkeypatch.setattr(Fit, "take_stock", take_stock)
    return monkeypatch


@pytest.mark.parametrize("runs", [4, pytest.param(24, marks=pytest.mark.slow)])
def test_two_of_many_runs_fail_the_others_finish_and_a_resume_runs_only_the_two(
    train, trained, tmp_path, accidents, runs
):
    sweep = tmp_path / "sweep"
    ran = train(*SWEEPS[runs], f"hydra.sweep.dir={sweep}", directory=None)
    assert ran.code == 1
    assert "trained together as one stack" in ran.out
    found = summaries(sweep)
    states = [summary["run_state"] for summary in found.values()]
    assert sorted(states) == [*["diverged"], *["done"] * (runs - 2), *["failed"]]
    diverged, failed = (name_of(sweep, "schedule.beta", *run) for run in ((0.5, 1), (2, 3)))
    assert "distortion became nan" in found[diverged]["reason"]
    assert found[failed]["reason"] == "RuntimeError: the sky <fell>"
    page = (sweep / "comparison.html").read_text()
    assert "the sky &lt;fell&gt;" in page
    for text in (ran.out.split("===")[-1], page, (sweep / "comparison.csv").read_text()):
        assert "distortion became nan" in text
        assert "the sky" in text
    assert "Traceback" in (sweep / failed / "train.log").read_text()

    accidents.undo()
    before = {p: p.stat().st_mtime_ns for p in sweep.glob("*/metrics.jsonl")}
    again = train(f"resume={sweep}", directory=None)
    assert again.code == 0
    assert f"{runs - 2} of {runs} runs are done already" in again.out
    touched = {p.parent.name for p, t in before.items() if p.stat().st_mtime_ns != t}
    assert touched == {diverged, failed}
    assert {summary["run_state"] for summary in summaries(sweep).values()} == {"done"}

    assert figures(sweep) == figures(trained(*SWEEPS[runs]).directory)


def name_of(sweep, key, beta, seed):
    (run,) = sweep.glob(f"*_{key}={beta},seed={seed}")
    return run.name


@pytest.mark.parametrize("runs", [4, pytest.param(24, marks=pytest.mark.slow)])
def test_a_sweep_that_was_killed_ends_with_the_same_table_once_resumed(
    train, trained, tmp_path, runs
):
    arguments = [*SWEEPS[runs], "trainer.epochs=12"]
    expected = trained(*arguments).directory

    sweep = tmp_path / "sweep"
    killed = processes.start("doors.train", *arguments, f"hydra.sweep.dir={sweep}", cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not list(sweep.glob(f"{runs - 1}_*/checkpoints/last.pt")):  # the first are there
        assert killed.process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.process.kill()
    killed.wait()
    states = [s["run_state"] for s in summaries(sweep).values()]
    assert "done" not in states
    assert train(f"resume={sweep}", directory=None).code == 0
    assert figures(sweep) == figures(expected)


@pytest.mark.parametrize("stack", ["auto", "off"])
def test_sigint_checkpoints_what_runs_marks_the_rest_and_writes_the_comparison(
    train, trained, tmp_path, monkeypatch, stack
):
    """Two structures, hence two groups of runs: the signal arrives while the first trains."""
    from vaecli.training.fit import Fit

    original = Fit.take_stock
    sent = []

    def take_stock(self, *seen, **when):
        if self.step == self.per_epoch and not sent:
            sent.append(signal.raise_signal(signal.SIGINT))
        return original(self, *seen, **when)

    monkeypatch.setattr(Fit, "take_stock", take_stock)
    sweep = tmp_path / "sweep"
    arguments = ["-m", "model.latent_dim=4,6", "seed=0,1", *SHORT, f"sweep.stack={stack}"]
    ran = train(*arguments, f"hydra.sweep.dir={sweep}", directory=None)
    assert ran.code == 130
    first = 2 if stack == "auto" else 1
    states = [summaries(sweep)[name]["run_state"] for name in sorted(summaries(sweep))]
    assert states == ["interrupted"] * first + ["pending"] * (4 - first)
    assert [row["run_state"] for row in table(sweep)] == states
    begun = sorted(sweep.iterdir())[0]
    assert (begun / "checkpoints" / "last.pt").exists()
    monkeypatch.undo()
    assert train(f"resume={sweep}", directory=None).code == 0
    assert epochs(begun) == [0, 1, 2, 3]  # it went on: no epoch is there twice, none is missing
    assert figures(sweep) == figures(trained(*arguments).directory)


@pytest.mark.parametrize(
    ("strategies", "epochs"),
    [
        ("free_bits,encoder_steps", 4),
        pytest.param(
            "none,free_bits,delta_vae,committed_rate,encoder_steps", 8, marks=pytest.mark.slow
        ),
    ],
)
def test_stacked_and_single_runs_of_every_strategy_end_alike(train, tmp_path, strategies, epochs):
    """Equal status; equal counts, unless a dimension's KL is within twice of the threshold."""
    arguments = ["-m", f"strategy={strategies}", "schedule.beta=1,4", f"trainer.epochs={epochs}"]
    for stack in ("auto", "off"):
        where = f"hydra.sweep.dir={tmp_path}/{stack}"
        more = (f"sweep.stack={stack}", "diagnosis=quick", where)
        assert train(*arguments, *more, directory=None).code == 0
    for together, alone in zip(table(tmp_path / "auto"), table(tmp_path / "off"), strict=True):
        assert (together["stacked"], alone["stacked"]) == ("2", "1")
        for exact in ("strategy", "schedule.beta", "status", "decoder_updates", "encoder_updates"):
            assert together[exact] == alone[exact]
        for figure in ("elbo", "rate", "distortion", "validation_loss", "shuffle_rise"):
            expected = pytest.approx(float(alone[figure]), rel=2e-3, abs=2e-3)
            assert float(together[figure]) == expected
        ends = [
            json.loads((tmp_path / where / name / "diagnosis.json").read_text())
            for where, name in (("auto", together["directory"]), ("off", alone["directory"]))
        ]
        undecided = any(0.005 < kl < 0.02 for kl in ends[1]["kl_per_dim"])
        assert undecided or ends[0]["active_dimensions"] == ends[1]["active_dimensions"]


def test_every_run_of_a_stack_leaves_the_files_of_a_single_run(train, tmp_path):
    sweep = tmp_path / "sweep"
    drawn = ("trainer.epochs=2", "data.limit=300", "diagnosis.tsne_points=0")
    train("-m", "seed=0,1", *drawn, f"hydra.sweep.dir={sweep}", directory=None)
    single = train("seed=1", *drawn)
    ours = sweep / "1_seed=1"

    def names(directory):
        return {p.relative_to(directory).as_posix() for p in directory.rglob("*") if p.is_file()}

    events = "tensorboard/events.out"
    assert {n for n in names(ours) if events not in n} == {
        n for n in names(single.directory) if events not in n
    }
    assert any(events in n for n in names(ours))
    vae, data, _ = load_run(ours)
    with torch.no_grad():
        assert vae.encode(data.test.x[:4].float() / 255)[0].isfinite().all()
    log = (ours / "train.log").read_text()
    assert "Theory" in log
    assert "Report" in log
    longer = train(f"resume={ours}", "trainer.epochs=3", "diagnosis.plots=false", directory=None)
    assert longer.code == 0
    assert epochs(ours) == [0, 1, 2, 3]


def test_what_cannot_be_stacked_runs_alone_and_the_console_says_why(train, tmp_path):
    sweep = tmp_path / "sweep"
    ran = train(
        "-m",
        "strategy=none,aggressive",
        "seed=0,1",
        "trainer.max_steps=2",
        "diagnosis=quick",
        f"hydra.sweep.dir={sweep}",
        directory=None,
    )
    assert ran.code == 0
    assert ran.out.count("as one stack") == 1
    assert ran.out.count("strategy=aggressive decides by the run's own losses") == 2
    stacked = {name: s["stacked"] for name, s in summaries(sweep).items()}
    assert {n: count for n, count in stacked.items() if "none" in n} == {
        "0_strategy=none,seed=0": 2,
        "1_strategy=none,seed=1": 2,
    }


def test_max_stack_cuts_a_stack_into_equal_parts(train, tmp_path):
    ran = train(
        "-m",
        "seed=0,1,2,3,4",
        "sweep.max_stack=3",
        "trainer.max_steps=2",
        "diagnosis=quick",
        f"hydra.sweep.dir={tmp_path}/sweep",
        directory=None,
    )
    assert "runs 1 to 3 of 5" in ran.out
    assert "runs 4 to 5 of 5" in ran.out


def test_a_stack_whose_update_fails_is_cut_in_two_and_goes_on(
    train, trained, tmp_path, monkeypatch
):
    from vaecli.training.stack.stack import Stack

    original = Stack.update

    def update(self):
        if len(self.fits) > 2 and self.step >= 6:
            raise torch.OutOfMemoryError("no room for that many")
        return original(self)

    monkeypatch.setattr(Stack, "update", update)
    sweep = tmp_path / "sweep"
    arguments = ["-m", "seed=0,1,2,3", *SHORT]
    ran = train(*arguments, f"hydra.sweep.dir={sweep}", directory=None)
    assert ran.code == 0
    assert ran.out.count("is cut in two (OutOfMemoryError: no room for that many)") == 1
    monkeypatch.undo()
    assert figures(sweep) == figures(trained(*arguments).directory)


def test_a_strategy_that_vmap_refuses_runs_alone(train, tmp_path, monkeypatch):
    from vaecli.objectives.strategies.free_bits import FreeBits

    original = FreeBits.loss

    def loss(self, terms, beta, state):
        if terms.kl_per_dim.mean() > 1e9:  # an `if` on a tensor: fine alone, not under vmap
            raise AssertionError
        return original(self, terms, beta, state)

    monkeypatch.setattr(FreeBits, "loss", loss)
    ran = train(
        "-m",
        "strategy=free_bits",
        "seed=0,1",
        "trainer.max_steps=2",
        "diagnosis=quick",
        f"hydra.sweep.dir={tmp_path}/sweep",
        directory=None,
    )
    assert ran.code == 0
    assert ran.out.count("it cannot be vmapped") == 2


def test_flags_may_stand_anywhere_in_the_command(train, tmp_path, smoke):
    made = train(*smoke, "-m", "seed=0,1", "hydra.sweep.dir=sweep", directory=None)
    assert made.code == 0
    assert len(list((tmp_path / "sweep").glob("*/report.html"))) == 2
