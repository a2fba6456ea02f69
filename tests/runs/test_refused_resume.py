"""A continuation that cannot be made leaves the run as it was; signals reach every phase."""

import json
import signal

import pytest
import torch

from vaecli import load_run
from vaecli.core.errors import UsageError
from vaecli.training import checkpoint

QUICK = ("trainer.epochs=1", "diagnosis=quick", "data.limit=400")


@pytest.fixture
def run(train, trained, tmp_path):
    """A finished run in the working directory, its own to be damaged."""
    return trained(*QUICK).copied(tmp_path / "run")


def break_checkpoint_format(run):
    torch.save({"format": 2}, run / "checkpoints" / "last.pt")


def break_checkpoint_content(run):
    (run / "checkpoints" / "last.pt").write_bytes(b"junk")


def break_checkpoint_shapes(run):
    content = checkpoint.load(run / "checkpoints" / "last.pt")
    content["model"]["output_bias"] = torch.zeros(3)
    checkpoint.save(run / "checkpoints" / "last.pt", content)


def break_config_missing(run):
    (run / "config.resolved.yaml").unlink()


def break_config_yaml(run):
    (run / "config.resolved.yaml").write_text("a: [")


def break_config_kind(run):
    (run / "config.resolved.yaml").write_text("- 1\n- 2\n")


BREAKS = [v for k, v in sorted(globals().items()) if k.startswith("break_")]


@pytest.mark.parametrize("damage", BREAKS)
def test_a_refused_continuation_leaves_summary_and_metrics_as_they_were(train, run, damage):
    ran = run
    before = ran.json("summary.json"), ran.rows
    damage(ran.directory)
    refused = train("resume=run", "trainer.epochs=2")
    assert refused.code == 2, refused.out
    assert len(refused.err.strip().splitlines()) <= 3
    assert "Traceback" not in refused.err + refused.out
    assert (ran.json("summary.json"), ran.rows) == before


@pytest.mark.parametrize(
    "text", ["model: null\n", "extend: [[a]]\n", "seed: 0\n", "likelihood: {name: [x]}\n", "a: ["]
)
def test_load_run_refuses_a_foreign_config_by_name(run, text):
    (run.directory / "config.resolved.yaml").write_text(text)
    with pytest.raises(UsageError):
        load_run(run.directory)


def test_a_run_of_another_kind_of_device_goes_on_with_new_noise_and_says_so(train, run):
    last = run.directory / "checkpoints" / "last.pt"
    content = checkpoint.load(last)
    for purpose in ("noise", "binarisation"):
        content[purpose] = torch.zeros(16, dtype=torch.uint8)  # a CUDA generator's state
    checkpoint.save(last, content)
    resumed = train("resume=run", "trainer.epochs=2")
    assert resumed.code == 0
    assert "another kind of device" in resumed.out
    assert [row["epoch"] for row in resumed.rows] == [0, 1, 2]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(
    ("stack", "states"), [("off", ("done", "pending")), ("auto", ("done", "interrupted"))]
)
def test_a_signal_during_the_diagnosis_ends_the_sweep(
    train, tmp_path, monkeypatch, number, code, stack, states
):
    import vaecli.runs.run

    original = vaecli.runs.run.report

    def report_and_be_interrupted(*args, **kwargs):
        signal.raise_signal(number)
        return original(*args, **kwargs)

    monkeypatch.setattr(vaecli.runs.run, "report", report_and_be_interrupted)
    ran = train(
        "-m",
        "schedule.beta=1,2",
        *QUICK,
        f"sweep.stack={stack}",
        f"hydra.sweep.dir={tmp_path}/sweep",
        directory=None,
    )
    assert ran.code == code
    for number, state in enumerate(states):
        directory = tmp_path / f"sweep/{number}_schedule.beta={number + 1}"
        assert json.loads((directory / "summary.json").read_text())["run_state"] == state
    assert states[1] in ran.out.split("schedule.beta")[-1]  # the table says so


def test_an_override_that_is_an_interpolation_is_no_trouble_at_the_end(train):
    assert train(*QUICK, "schedule.beta=${seed}", "seed=2").code == 0


def test_a_refused_run_leaves_the_users_empty_directories(train, tmp_path, monkeypatch):
    (tmp_path / "mine" / "keep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "mine" / "keep")
    for where in ((), (f"hydra.run.dir={tmp_path}/mine/keep/run",)):
        assert train("trainer.lr=-1", *where, directory=None).code == 2
        assert (tmp_path / "mine" / "keep").is_dir()
        assert not any((tmp_path / "mine" / "keep").iterdir())
