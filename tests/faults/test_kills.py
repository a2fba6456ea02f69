"""Killed with SIGKILL at any moment and resumed, a run ends bit for bit as if nothing had been."""

import random

import processes
import pytest
from endings import ending

SHORT = (
    "diagnosis=quick",
    "data.limit=500",
    "trainer.epochs=6",
    "diagnosis.samples=100",
    "diagnosis.importance_samples=2",
)
SCENARIOS = {
    "plain": ("schedule=linear",),
    "dynamic pixels": ("data.binarise=dynamic", "strategy=free_bits", "trainer.clip=2"),
    "aggressive": ("strategy=aggressive", "strategy.aggressive_max_updates=10"),
    "encoder steps": (
        "strategy=encoder_steps",
        "trainer.lr_schedule=cosine",
        "schedule=cyclical",
        "trainer.checkpoint_every=1.7",
        "trainer.evaluate_every=0.4",
    ),
    "stack": (
        "-m",
        "schedule.beta=0.5,4",
        "seed=0,1",
        "strategy=encoder_steps",
        "trainer.epochs=3",
    ),
    # Convolutions are rounded by the size of the stack.
    "stack of cnn": ("-m", "model=cnn", "seed=0,1,2", "trainer.epochs=2"),
    "sweep": (
        "-m",
        "strategy=none,committed_rate",
        "seed=0,1",
        "sweep.stack=off",
        "trainer.epochs=3",
    ),
}


def vae_train_killed(last, directory, *arguments):
    """vae-train, killed at its event number `last`; (exit code, standard error)."""
    done = processes.run("killed.train", last, directory, *arguments, cwd=directory.parent)
    return done.returncode, done.stderr


def started(name, directory):
    flags = [argument for argument in SCENARIOS[name] if argument == "-m"]
    overrides = [argument for argument in SCENARIOS[name] if argument != "-m"]
    kind = "sweep" if flags else "run"
    return [*flags, *SHORT, *overrides, f"hydra.{kind}.dir={directory}"]


def runs(directory):
    return sorted(path.parent for path in directory.rglob("summary.json"))


@pytest.fixture(scope="session")
def undisturbed(once):
    """By scenario: how a run that nobody disturbs ends, and how many events it has."""

    def find(name):
        def fill(place):
            code, told = vae_train_killed(0, place / "run", *started(name, place / "run"))
            assert code == 0, told
            (place / "events").write_text(told.splitlines()[-1])

        place = once(f"undisturbed {name}", fill)
        directory = place / "run"
        endings = {str(run.relative_to(directory)): ending(run) for run in runs(directory)}
        return endings, int((place / "events").read_text())

    return find


def kill_and_compare(name, number, directory, undisturbed):
    expected, events = undisturbed(name)
    rng = random.Random(f"{name} {number}")
    code, told = vae_train_killed(rng.randint(1, events), directory, *started(name, directory))
    assert code == -9, told
    while rng.random() < 0.3:  # and again, while it goes on
        code, told = vae_train_killed(rng.randint(1, events), directory, *_again(name, directory))
        assert code in (-9, 0), told
    code, told = vae_train_killed(0, directory, *_again(name, directory))
    assert code == 0, told
    found = {str(run.relative_to(directory)): ending(run) for run in runs(directory)}
    assert found.keys() == expected.keys()
    for run, parts in expected.items():
        for part, content in parts.items():
            assert found[run][part] == content, f"{run}: {part}"


def _again(name, directory):
    """What a user types next: to go on, or once more if nothing had begun."""
    begun = [directory / "sweep.yaml", directory / "overrides.yaml"]
    if any(path.exists() for path in begun):
        return [f"resume={directory}"]
    return started(name, directory)


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "sweep"])
def test_a_killed_run_ends_as_if_nothing_had_been(name, tmp_path, undisturbed):
    kill_and_compare(name, 0, tmp_path / "run", undisturbed)


@pytest.mark.faults
@pytest.mark.parametrize("number", range(1, 15))
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in SCENARIOS]
)
def test_every_kill_of_many_ends_as_if_nothing_had_been(name, number, tmp_path, undisturbed):
    kill_and_compare(name, number, tmp_path / "run", undisturbed)


class Killed(BaseException):
    """Nothing catches it."""


@pytest.mark.parametrize("saved", [1, 5])
def test_a_stack_killed_between_its_members_checkpoints_goes_on_as_one(
    train, trained, monkeypatch, tmp_path, saved
):
    """Run by run they are written; a convolution is rounded by the size of the stack."""
    asked = ("-m", *SHORT, "model=cnn", "seed=0,1,2", "trainer.epochs=2")
    whole = trained(*asked)
    assert whole.code == 0
    from vaecli.training.fit import Fit

    save, written = Fit.save, []

    def save_and_die(self, name):
        save(self, name)
        written.extend([name] * (name == "last"))
        if len(written) == saved:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Fit, "save", save_and_die)
        with pytest.raises(Killed):
            train(*asked, "hydra.sweep.dir=sweep", directory=None)
    again = train("resume=sweep")
    assert again.code == 0
    assert "runs 1 to 3 of 3, trained together" in again.out
    for run in runs(whole.directory):
        assert ending(tmp_path / "sweep" / run.name) == ending(run)
