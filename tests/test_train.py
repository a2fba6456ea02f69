"""vae-train as its user meets it: the run directory, sweeps, resume, exit codes."""

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vaecli import load_run
from vaecli.config.compose import CONFIGS
from vaecli.core.randomness import generator

ROOT = Path(__file__).resolve().parent.parent
FILES = {
    "overrides.yaml",
    "config.yaml",
    "config.resolved.yaml",
    "environment.json",
    "train.log",
    "metrics.jsonl",
    "tensorboard",
    "checkpoints",
    "diagnosis.json",
    "report.html",
    "plots",
    "summary.json",
}
ROW = {
    "step",
    "epoch",
    "encoder_updates",
    "decoder_updates",
    "seconds",
    "beta",
    "loss",
    "elbo",
    "distortion",
    "rate",
    "kl_per_dim",
    "active_dimensions",
    "active_units",
    "mu_variance",
    "mean_logvar",
    "images_per_second",
}
FLAT = {
    "status",
    "active_dimensions",
    "total_dimensions",
    "utilization",
    "total_kl",
    "mu_variance",
    "mean_logvar",
    "kl_per_dim",
    "active_units",
    "elbo",
    "distortion",
    "rate",
    "split",
    "examples",
    "warnings",
}


# With every plot and every part of the diagnosis.
WHOLE = ("trainer.epochs=3", "diagnosis.tsne_points=100", "diagnosis.refine_steps=2")


def test_a_run_fills_its_directory_as_the_contract_says(trained):
    ran = trained(*WHOLE)
    assert ran.code == 0
    assert {path.name for path in ran.directory.iterdir()} == FILES
    assert len(ran.rows) == 4  # before training and after each epoch
    assert set(ran.rows[-1]) >= ROW
    assert set(ran.json("diagnosis.json")) >= FLAT
    summary = ran.json("summary.json")
    assert summary["run_state"] == "done"
    assert summary["overrides"] == list(WHOLE)
    assert {p.name for p in (ran.directory / "checkpoints").iterdir()} == {
        "last.pt",
        "previous.pt",
        "best.pt",
    }
    assert summary["status"] in ran.out
    assert "tensorboard --logdir" in ran.out
    log = (ran.directory / "train.log").read_text()
    assert summary["status"] in log
    assert "\n" not in ran.err  # no progress bar where nobody looks


def test_tensorboard_gets_every_promised_tag_and_no_sub_run(trained):
    ran = trained(*WHOLE)
    assert not [p for p in (ran.directory / "tensorboard").rglob("*") if p.name.startswith("kl_")]
    events = EventAccumulator(str(ran.directory / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    scalars = set(events.Tags()["scalars"])
    names = ("loss", "elbo", "distortion", "rate", "beta", "images_per_second")
    assert scalars >= {f"train/{name}" for name in names}
    assert scalars >= {f"val/{n}" for n in (*names[:5], "mu_variance", "mean_logvar")}
    assert scalars >= {"active/dimensions", "active/units", "kl_per_dim/000", "kl_per_dim/009"}
    values = [(e.step, e.value) for e in events.Scalars("val/rate")]
    assert values == [(r["step"], pytest.approx(r["rate"], rel=1e-6)) for r in ran.rows]


def test_the_flat_keys_equal_an_independent_recomputation(train):
    """Twenty lines of plain arithmetic from the checkpoint."""
    ran = train("trainer.epochs=4", "diagnosis=quick", "seed=3")
    found = ran.json("diagnosis.json")
    vae, data, _ = load_run(ran.directory)
    x = data.test.x.float() / 255
    with torch.no_grad():
        mu, logvar = vae.encoder(x).chunk(2, dim=1)
        mu, logvar = mu.double(), logvar.double()
        kl = ((mu**2 + logvar.exp() - 1 - logvar) / 2).mean(0)
        eps = torch.randn(mu.shape, generator=generator(3, "evaluation"))
        z = (mu + logvar.exp().sqrt() * eps).float()
        logits = (vae.decoder(z, x) + vae.output_bias).double()
        log_px = (x * logits - torch.log1p(logits.exp())).sum((1, 2, 3)).mean()
    expected = {
        "kl_per_dim": kl.tolist(),
        "rate": kl.sum().item(),
        "total_kl": kl.sum().item(),
        "distortion": -log_px.item(),
        "elbo": (log_px - kl.sum()).item(),
        "mu_variance": ((mu - mu.mean(0)) ** 2).mean(0).mean().item(),
        "mean_logvar": logvar.mean().item(),
        "active_dimensions": int((kl > 0.01).sum()),
        "total_dimensions": 10,
        "utilization": int((kl > 0.01).sum()) / 10,
        "active_units": int((((mu - mu.mean(0)) ** 2).mean(0) > 0.01).sum()),
        "examples": 359,
    }
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, abs=1e-5, rel=1e-5), key


def test_the_same_seed_gives_the_same_run_and_another_seed_another(train):
    runs = [
        train("trainer.epochs=1", "diagnosis=quick", f"seed={seed}", directory=name)
        for seed, name in ((0, "a"), (0, "b"), (1, "c"))
    ]
    a, b, c = ([(r["loss"], r["train_loss"]) for r in ran.rows] for ran in runs)
    assert a == b
    assert a != c


def test_evaluating_more_often_does_not_change_training(train):
    often = train("trainer.epochs=1", "diagnosis=quick", "trainer.evaluate_every=0.2")
    once = train("trainer.epochs=1", "diagnosis=quick", directory="once")
    assert len(often.rows) > len(once.rows)
    assert often.rows[-1]["loss"] == once.rows[-1]["loss"]


def test_best_is_the_evaluation_of_lowest_distortion_plus_target_beta_times_rate(train):
    ran = train("trainer.epochs=6", "diagnosis=quick", "schedule=linear", "schedule.beta=2")
    rows = ran.rows[1:]
    for row in rows:
        assert row["loss"] == pytest.approx(row["distortion"] + 2 * row["rate"])
    best = torch.load(ran.directory / "checkpoints" / "best.pt", weights_only=True)
    assert best["progress"]["step"] == min(rows, key=lambda r: r["loss"])["step"]


def test_a_collapsing_run_warns_while_it_trains_and_says_so_in_its_summary(train):
    ran = train("schedule.beta=100", "trainer.epochs=8", "diagnosis=quick")
    summary = ran.json("summary.json")
    assert summary["status"] == "FULL COLLAPSE"
    assert summary["collapsed_at_step"] is not None
    assert "posterior collapse: no active dimension in 3 evaluations" in ran.out
    assert ran.out.index("posterior collapse") < ran.out.index("FULL COLLAPSE")


@pytest.mark.parametrize(
    "extra",
    [
        (),
        ("strategy=aggressive", "strategy.aggressive_max_updates=4", "schedule=cyclical"),
        ("strategy=encoder_steps", "trainer.lr_schedule=cosine", "trainer.optimizer=adamw"),
    ],
)
def test_a_run_resumed_halfway_ends_like_one_that_was_never_stopped(train, monkeypatch, extra):
    common = ("trainer.epochs=4", "diagnosis=quick", "trainer.clip=5.0", "data.limit=600", *extra)
    whole = train(*common, directory="whole")
    with monkeypatch.context() as patched:
        _stop_in_the_middle(patched)
        stopped = train(*common, directory="stopped")
    assert stopped.code == 143
    assert stopped.json("summary.json")["run_state"] == "interrupted"
    resumed = train(f"resume={stopped.directory}", directory="stopped")
    assert resumed.code == 0
    keys = ("step", "loss", "rate", "encoder_updates", "kl_per_dim")
    chosen = [[[row[key] for key in keys] for row in run.rows] for run in (resumed, whole)]
    assert chosen[0] == chosen[1]
    a, b = (
        torch.load(run.directory / "checkpoints" / "last.pt", weights_only=True)["model"]
        for run in (whole, resumed)
    )
    assert all(torch.equal(a[k], b[k]) for k in a)


def _stop_in_the_middle(patched):
    """A run is interrupted after its second epoch."""
    from vaecli.training import fit, signals

    original = fit.Fit.save

    def save_then_signal(self, name):
        original(self, name)
        if name == "last" and self.progress.step == 2 * self.batches.per_epoch:
            raise signals.Interrupted(signals.signal.SIGTERM)

    patched.setattr(fit.Fit, "save", save_then_signal)


def test_a_finished_run_can_be_trained_longer(train):
    train("trainer.epochs=1", "diagnosis=quick")
    longer = train("resume=run", "trainer.epochs=2")
    assert longer.code == 0
    assert [row["epoch"] for row in longer.rows] == [0, 1, 2]


def test_a_sweep_names_its_directories_and_ends_in_a_table(train, tmp_path):
    ran = train(
        "-m",
        "schedule.beta=1,100",
        "trainer.epochs=2",
        "diagnosis=quick",
        "data.limit=600",
        f"hydra.sweep.dir={tmp_path}/sweep",
        directory=None,
    )
    assert ran.code == 0
    names = sorted(p.name for p in (tmp_path / "sweep").iterdir() if p.is_dir())
    assert names == ["0_schedule.beta=1", "1_schedule.beta=100"]
    table = _table(tmp_path / "sweep")
    assert [row["schedule.beta"] for row in table] == ["1", "100"]
    for row, name in zip(table, names, strict=True):
        summary = json.loads((tmp_path / "sweep" / name / "summary.json").read_text())
        assert row["status"] == summary["status"]
        assert float(row["rate"]) == summary["rate"]
        assert row["status"] in ran.out.split("===")[-1]


def _table(directory):
    with open(directory / "comparison.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_that_fails_does_not_stop_the_sweep(train, tmp_path, monkeypatch):
    from vaecli.training.fit import Fit

    original = Fit.run

    def fails_for_two(self, stop, observer):
        if self.target == 2:
            raise RuntimeError("the sky fell")
        return original(self, stop, observer)

    monkeypatch.setattr(Fit, "run", fails_for_two)
    ran = train(
        "-m",
        "schedule.beta=2,1",
        "trainer.max_steps=2",
        "diagnosis=quick",
        "sweep.stack=off",
        f"hydra.sweep.dir={tmp_path}/sweep",
        directory=None,
    )
    assert ran.code == 1
    assert "RuntimeError: the sky fell" in ran.out.split("Comparison")[0].split("===")[-1]
    assert "Traceback" in (tmp_path / "sweep/0_schedule.beta=2/train.log").read_text()
    assert [row["run_state"] for row in _table(tmp_path / "sweep")] == ["failed", "done"]


def test_a_diverging_run_ends_with_3_and_names_step_and_term(train):
    ran = train("trainer.lr=1e12", "trainer.epochs=2", "diagnosis=quick")
    assert ran.code == 3
    summary = ran.json("summary.json")
    assert summary["run_state"] == "diverged"
    assert "at decoder update" in summary["reason"]
    kept = (ran.directory / "checkpoints" / "last.pt").exists()
    assert ("checkpoint before it is kept" in ran.out) == kept
    assert not list(ran.directory.rglob("*.tmp"))


def test_an_experiment_sweeps_without_m(train, tmp_path):
    ran = train(
        "experiment=count_active_dims",
        "data=digits",
        "trainer.max_steps=2",
        "diagnosis=quick",
        f"hydra.sweep.dir={tmp_path}/sweep",
        directory=None,
    )
    assert ran.code == 0
    assert sorted(p.name for p in (tmp_path / "sweep").iterdir() if p.is_dir()) == [
        f"{i}_model.latent_dim={d}" for i, d in enumerate((10, 32, 64, 128))
    ]


def test_help_lists_three_examples_and_answers_without_torch():
    code = (
        "import sys, doors\n"
        "assert doors.train(['--help']) == 0\n"
        "assert 'torch' not in sys.modules\n"
        "print('checked')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.count("vae-train ") >= 3
    assert done.stdout.endswith("checked\n")


def test_help_lists_the_options_that_hydra_finds_and_the_config_asked_for(train, tmp_path):
    (tmp_path / "own" / "strategy").mkdir(parents=True)
    (tmp_path / "own" / "strategy" / "my_own.yaml").write_text("use: {none: true}")
    told = train("--help", "model=cnn", "--config-dir", str(tmp_path / "own"), directory=None)
    assert told.code == 0
    for group in (path for path in CONFIGS.iterdir() if path.is_dir()):
        options = {path.stem for path in group.glob("*.yaml")}
        if group.name == "strategy":
            options.add("my_own")
        assert f"\n{group.name}: {', '.join(sorted(options))}\n" in told.out
    assert "\nmodel:\n  name: cnn\n" in told.out
    assert told.err == ""


@pytest.mark.parametrize(
    "other", ["--info", "-r", "-m", "--version", "--hydra-help", "--cfg=hydra"]
)
def test_help_wins_over_whatever_else_is_asked_for(train, other):
    told = train(other, "--help", directory=None)
    assert (told.code, told.err) == (0, "")
    assert told.out == train("-h", directory=None).out


def test_help_for_what_does_not_compose_is_refused_without_a_page(train):
    told = train("--help", "model=nosuch", directory=None)
    assert (told.code, told.out) == (2, "")
    assert "nosuch" in told.err


@pytest.mark.parametrize(("signal_name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_ends_a_real_process_with_its_checkpoint_and_events(tmp_path, signal_name, code):
    import signal

    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "vaecli.train",
            "trainer.epochs=100000",
            "diagnosis=quick",
            f"hydra.run.dir={tmp_path}/run",
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    metrics = tmp_path / "run" / "metrics.jsonl"
    try:
        deadline = time.monotonic() + 60
        while not (metrics.exists() and metrics.read_text().count("\n") > 3):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(getattr(signal, signal_name))
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code, out
    assert f"resume={tmp_path}/run" in out
    saved = torch.load(tmp_path / "run/checkpoints/last.pt", weights_only=True)
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert saved["progress"]["step"] >= rows[-1]["step"]
    events = EventAccumulator(str(tmp_path / "run/tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    assert [e.step for e in events.Scalars("val/rate")] == [r["step"] for r in rows]


def test_nothing_is_proposed_that_the_model_does_not_have(train, smoke):
    ran = train("model=linear", *smoke)
    assert not any(
        "decoder=" in command for command, _ in ran.json("diagnosis.json")["next_commands"]
    )
