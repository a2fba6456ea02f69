"""One route from a command line to its jobs, and Hydra's own answer beside it."""

import pytest

from vaecli.config.compose import compose
from vaecli.core.errors import UsageError


@pytest.fixture
def own(tmp_path):
    """A directory of the user's: a main config, and one option."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("name: mlp\nlatent_dim: 3\n")
    (tmp_path / "mine.yaml").write_text("defaults: [config, _self_]\nseed: 42\n")
    return tmp_path


@pytest.mark.parametrize(
    "typed",
    [
        (),
        ("model=cnn", "strategy=free_bits", "strategy.free_nats=0.5"),
        ("strategy=[encoder_steps,free_bits]", "schedule=linear", "seed=3"),
        ("~likelihood", "+likelihood@likelihood=gaussian"),
        (
            "hydra.run.dir=somewhere",
            "data=mnist",
            "data.root='a b'",
            "trainer.clip=${schedule.beta}",
        ),
        ("--config-dir", "OWN", "model=mine"),
        ("--config-dir=OWN", "--config-name=mine", "trainer=fast"),
    ],
    ids=" ".join,
)
def test_a_job_is_composed_as_hydra_prints_it(typed, own, train):
    arguments = [word.replace("OWN", str(own)) for word in typed]
    printed = train(*arguments, "--cfg", "job", directory=None)
    assert printed.code == 0, printed.err
    composition = compose(arguments)
    assert composition is not None
    assert composition.jobs[0].text == printed.out.rstrip("\n") + "\n"


def test_a_sweep_has_a_job_for_each_choice_and_equal_ones_once(tmp_path):
    sweep = tmp_path / "sweep"
    asked = ["-m", "seed=0,1", "schedule.beta=range(1,3)", "trainer=fast,fast"]
    composition = compose([*asked, f"hydra.sweep.dir={sweep}"])
    assert composition is not None
    names = [job.directory.name for job in composition.jobs.values()]
    assert len(names) == 4
    assert names[0] == "0_seed=0,schedule.beta=1,trainer=fast"
    assert {job.sweep for job in composition.jobs.values()} == {sweep}
    assert not sweep.exists()  # composing writes nothing


@pytest.mark.parametrize("typed", ["++resume=some/run", "--experimental-rerun=job.pickle"])
def test_what_would_not_do_what_it_says_is_refused(typed):
    with pytest.raises(UsageError, match="resume=DIR"):
        compose([typed])
