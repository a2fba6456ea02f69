"""A job that is itself a sweep, without any launcher; and what a driver finds afterwards."""

import json
import subprocess
import sys
import time

import pytest


def states(directory):
    return [
        json.loads(p.read_text())["run_state"] for p in sorted(directory.glob("**/summary.json"))
    ]


def test_jobs_that_are_sweeps_run_one_after_another_and_a_resume_finds_them(train, tmp_path, smoke):
    where = ("hydra.sweep.dir=sweep",)
    typed = ("-m", "model.latent_dim=4,6", "sweep.inside='seed=0,1'", *smoke)
    ran = train(*typed, *where, directory=None)
    assert ran.code == 0, ran.err
    sweep = tmp_path / "sweep"
    assert len(list(sweep.glob("*_model.latent_dim=?/*_seed=?/summary.json"))) == 4
    assert (sweep / "comparison.html").exists()
    before = {p: p.stat().st_mtime_ns for p in sweep.glob("*/*/metrics.jsonl")}
    again = train("resume=sweep", "model.latent_dim=4,6,8", directory=None)
    assert again.code == 0, again.err
    after = {p: p.stat().st_mtime_ns for p in sweep.glob("*/*/metrics.jsonl")}
    assert len(after) == 6
    assert {p: after[p] for p in before} == before  # finished runs are left as they are


def test_sigterm_reaches_the_sweep_inside_and_ends_the_one_around_it(tmp_path):
    sweep = tmp_path / "sweep"
    command = [
        sys.executable,
        "-m",
        "vaecli.train",
        "-m",
        "model.latent_dim=4,6",
        "sweep.inside='seed=0,1'",
        "trainer.epochs=2000",
        "diagnosis=quick",
        "hydra.sweep.dir=sweep",
    ]
    driver = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while len(list(sweep.glob("*/*/checkpoints/last.pt"))) < 2:
            assert time.monotonic() < deadline
            assert driver.poll() is None
            time.sleep(0.05)
        driver.terminate()
        assert driver.wait(60) == 143
    finally:
        driver.kill()
    assert states(sweep) == ["interrupted", "interrupted", "pending"]
    assert (sweep / "comparison.html").exists()


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        ("-m seed=0,1", "is a flag"),
        ("hydra.sweep.dir=x", "belongs to the sweep around it"),
        ("hydra/launcher=ray", "belongs to the sweep around it"),
        ("seed", "is no override"),
        ("seed=-1", "must be >= 0"),
        ("schedule.bta=1", "no key 'bta'"),
    ],
)
def test_what_cannot_stand_inside_is_refused_before_anything_runs(train, tmp_path, inside, said):
    ran = train("-m", "model.latent_dim=4,6", f"sweep.inside='{inside}'", directory=None)
    assert ran.code == 2
    assert said in ran.err
    assert len(ran.err.strip().splitlines()) <= 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_directory_of_ones_own_configs_goes_with_it_however_it_is_written(train, tmp_path, smoke):
    (tmp_path / "own").mkdir()
    ran = train(
        "-m",
        f"--config-dir={tmp_path / 'own'}",
        "sweep.inside='seed=0,1'",
        "model=linear,mlp",
        *smoke,
        f"hydra.sweep.dir={tmp_path}/outer",
        directory=None,
    )
    assert ran.code == 0
    assert len(list((tmp_path / "outer").glob("*/*/summary.json"))) == 4


def test_it_is_never_left_out_in_silence(train, tmp_path):
    ran = train(
        "-m",
        "--config-name=config",
        "sweep.inside='seed=0,1'",
        "model=linear,mlp",
        f"hydra.sweep.dir={tmp_path}/outer",
        directory=None,
    )
    assert ran.code == 2
    assert "sweep.inside" in ran.err
    assert not (tmp_path / "outer").exists()


def test_a_single_run_has_nothing_inside(train, tmp_path):
    ran = train("sweep.inside='seed=0,1'", directory=None)
    assert ran.code == 2
    assert "add -m" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_launcher_that_is_not_installed_names_its_extra(train, tmp_path, monkeypatch):
    from vaecli.config import compose

    monkeypatch.setitem(compose.EXTRAS, "elsewhere", "slurm")
    ran = train("-m", "hydra/launcher=elsewhere", "seed=0,1", directory=None)
    assert ran.code == 2
    assert 'pip install "vaecli[slurm]"' in ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_died_or_never_began_is_not_finished(train, trained, tmp_path, smoke, capsys):
    """What is found when all jobs are gone: one done, one recorded as running, one not begun."""
    from vaecli.config.compose import Composition
    from vaecli.config.job import Job
    from vaecli.runs.launch.launch import conclude

    sweep = trained("-m", *smoke, "seed=0,1").copied(tmp_path / "sweep").directory
    died = sweep / "1_seed=1" / "summary.json"
    died.write_text(died.read_text().replace('"done"', '"running"'))
    jobs = {n: Job([f"seed={n}"], "", sweep / f"{n}_seed={n}", sweep) for n in range(3)}
    composition = Composition([], jobs, sweep, launcher="joblib", here=False)
    code = conclude(composition, jobs, "a title", stopped=0)
    assert code == 1
    out = capsys.readouterr().out
    assert "seed=1 (1_seed=1): running" in out
    assert "seed=2 (2_seed=2): pending: its job left nothing here" in out
    assert f"vae-train resume={sweep} hydra/launcher=joblib" in out
    # A job that begins after all takes its place, and is a run like any other.
    ran = train("resume=sweep", "seed=0,1,2", directory=None)
    assert ran.code == 0, ran.err
    assert states(sweep) == ["done"] * 3
