"""Asked to stop, a run ends its step and leaves a checkpoint and a page; cut off, what it had."""

import os
import signal

import processes
import pytest
from endings import ending

from vaecli.training import checkpoint

DRAWN = (
    "trainer.epochs=4",
    "data.limit=400",
    "diagnosis.samples=100",
    "diagnosis.tsne_points=0",
    "diagnosis.refine_steps=2",
    "diagnosis.importance_samples=5",
)
SHORT = (*DRAWN, "diagnosis.plots=false")


def signalled(monkeypatch, *numbers, step=5):
    """Signals that arrive in the middle of an update."""
    from vaecli.training.fit import Fit

    original = Fit.update

    def update(self):
        if self.step == step:
            for number in numbers:
                signal.raise_signal(number)
        return original(self)

    monkeypatch.setattr(Fit, "update", update)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_asked_to_stop_leaves_a_page_and_goes_on(
    train, trained, monkeypatch, number, code
):
    whole = trained(*DRAWN)
    with monkeypatch.context() as patched:
        signalled(patched, number)
        ran = train(*DRAWN)
    assert ran.code == code
    saved = checkpoint.load(ran.directory / "checkpoints" / "last.pt")
    assert saved["progress"]["step"] == 6  # the update that it was in is made
    page = (ran.directory / "report.html").read_text()
    assert "NOT DIAGNOSED" in page
    assert f"(interrupted, {number.name})" in page
    assert f"vae-train resume={ran.directory}" in page
    assert {path.stem for path in (ran.directory / "plots").iterdir()} == {
        "kl_heatmap",
        "active_over_training",
        "rate_distortion",
        "kl_per_dim",
    }
    assert not (ran.directory / "diagnosis.json").exists()
    assert train("resume=run").code == 0
    assert "NOT DIAGNOSED" not in (ran.directory / "report.html").read_text()
    assert ending(ran.directory) == ending(whole.directory)


def test_a_page_that_cannot_be_written_does_not_change_how_the_run_ends(train, monkeypatch):
    import vaecli.runs.attempt

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    signalled(monkeypatch, signal.SIGTERM)
    monkeypatch.setattr(vaecli.runs.attempt, "report_so_far", full)
    ran = train(*SHORT)
    assert ran.code == 143
    assert "No report: OSError: [Errno 28] No space left on device" in ran.out
    assert ran.json("summary.json")["run_state"] == "interrupted"


def test_a_diverged_run_leaves_a_page_that_says_where(train):
    ran = train(*SHORT, "trainer.lr=1e12")
    assert ran.code == 3
    assert "at decoder update" in (ran.directory / "report.html").read_text()


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_sigint_stops_in_the_middle_of_an_update(train, monkeypatch, first):
    signalled(monkeypatch, first, signal.SIGINT)
    ran = train(*SHORT)
    assert ran.code == 130
    saved = checkpoint.load(ran.directory / "checkpoints" / "last.pt")
    assert saved["progress"]["step"] == 3  # the checkpoint before: at the end of the first epoch
    assert ran.json("summary.json")["run_state"] == "interrupted"
    assert not (ran.directory / "report.html").exists()
    monkeypatch.undo()


def test_cut_off_after_sigterm_it_loses_the_updates_since_its_checkpoint(train, trained, tmp_path):
    """An update that outlasts the grace between SIGTERM and SIGKILL: no time for a checkpoint."""
    whole = trained(*SHORT)
    run = tmp_path / "run"
    asked = (*SHORT, f"hydra.run.dir={run}")
    done = processes.run("killed.terminate", 0.5, 55, run, *asked, cwd=tmp_path)
    assert done.returncode == -signal.SIGKILL, done.stderr
    saved = checkpoint.load(tmp_path / "run" / "checkpoints" / "last.pt")
    assert 0 < saved["progress"]["step"] < 12
    resumed = train("resume=run")
    assert resumed.code == 0
    assert f"from step {saved['progress']['step']}" in resumed.out
    assert ending(resumed.directory) == ending(whole.directory)


@pytest.mark.parametrize("strategy", ["encoder_steps", "aggressive"])
def test_a_signal_before_the_first_decoder_update_costs_nothing(
    train, trained, monkeypatch, strategy
):
    """The encoder has moved and the step is still 0: the first evaluation is not made again."""
    asked = (*SHORT, "diagnosis=quick", f"strategy={strategy}")
    whole = trained(*asked)
    with monkeypatch.context() as patched:
        signalled(patched, signal.SIGTERM, step=0)
        ran = train(*asked)
    assert ran.code == 143
    assert checkpoint.load(ran.directory / "checkpoints" / "last.pt")["progress"]["step"] == 0
    assert train("resume=run").code == 0
    assert ending(ran.directory) == ending(whole.directory)


def test_a_second_sigint_in_the_middle_of_a_checkpoint_is_no_failure(train, trained, monkeypatch):
    """The first leads straight to it, and who is impatient presses again."""
    whole = trained(*SHORT)
    original = os.fsync

    def fsync(file):
        if saving:
            saving.clear()
            signal.raise_signal(signal.SIGINT)
        return original(file)

    saving = []
    with monkeypatch.context() as patched:
        signalled(patched, signal.SIGINT)
        from vaecli.training.fit import Fit

        save_last = Fit.save_last
        patched.setattr(
            Fit, "save_last", lambda self: (saving.extend([1] * (self.step == 6)), save_last(self))
        )
        patched.setattr(os, "fsync", fsync)
        ran = train(*SHORT)
    assert ran.code == 130
    assert "Traceback" not in ran.out
    assert ran.json("summary.json")["run_state"] == "interrupted"
    assert train("resume=run").code == 0
    assert ending(ran.directory) == ending(whole.directory)
