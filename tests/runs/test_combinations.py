"""Every strategy with every schedule, every model, every experiment: composes, trains, resumes."""

import pytest
import yaml
from pairs import pairs

from vaecli import load_run
from vaecli.config.compose import CONFIGS

FEW = (
    "diagnosis.samples=50",
    "diagnosis.tsne_points=0",
    "diagnosis.refine_steps=2",
    "diagnosis.importance_samples=5",
    "diagnosis.baseline_steps=5",
    "diagnosis.autoregressive_examples=20",
)


def options(group):
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


@pytest.mark.parametrize(("strategy", "schedule"), pairs(options("strategy"), options("schedule")))
def test_every_strategy_with_every_schedule_trains_resumes_and_is_diagnosed(
    strategy, schedule, train, smoke
):
    model = ["model=pixelcnn"] if strategy == "decoder_dropout" else []
    first = train(f"strategy={strategy}", f"schedule={schedule}", *model, *smoke)
    assert first.code == 0
    assert first.rows[-1]["decoder_updates"] == 2
    resumed = train("resume=run", "trainer.max_steps=4")
    assert resumed.code == 0
    assert [row["decoder_updates"] for row in resumed.rows] == [0, 2, 4]
    diagnosis = resumed.json("diagnosis.json")
    assert diagnosis["total_dimensions"] == 10
    assert diagnosis["rate"] >= 0
    assert resumed.json("summary.json")["run_state"] == "done"


SEQUENCES = {"lstm", "dilated_cnn", "transformer"}  # in test_text


def has_size(model, decoder):
    """A linear decoder has one size; its refusal is in test_bad_input."""
    return model != "linear" or decoder == "medium"


@pytest.mark.parametrize(
    ("model", "decoder"),
    pairs(sorted({*options("model")} - SEQUENCES), options("decoder"), has_size),
)
def test_every_model_with_every_decoder_trains_and_draws_its_pictures(model, decoder, train):
    ran = train(f"model={model}", f"decoder={decoder}", "trainer.max_steps=2", *FEW)
    assert ran.code == 0
    assert {"reconstructions.png", "samples.png", "traversals.png"} <= {
        p.name for p in (ran.directory / "plots").iterdir()
    }
    vae, data, config = load_run(ran.directory)
    mu, logvar = vae.encode(data.test.x[:5].float() / 255)
    assert mu.shape == logvar.shape == (5, config.model.latent_dim)


@pytest.mark.parametrize("strategy", [s for s in options("strategy") if s != "none"])
def test_strategy_keys_are_unique_over_all_strategies(strategy):
    keys = set(_keys(strategy))
    for other in options("strategy"):
        if other != strategy:
            assert not keys & set(_keys(other))


def _keys(strategy):
    return [
        k
        for k in yaml.safe_load((CONFIGS / "strategy" / f"{strategy}.yaml").read_text())
        if k != "use"
    ]


def test_strategies_with_disjoint_slots_combine(train, smoke):
    ran = train("strategy=[free_bits,encoder_steps]", *smoke)
    assert ran.code == 0
    assert ran.rows[-1]["encoder_updates"] == 10
    assert "strategy free_bits+encoder_steps" in ran.out


def ends(experiment):
    """The first and the last value of everything that the experiment sweeps, but for the seed."""
    params = yaml.safe_load((CONFIGS / "experiment" / f"{experiment}.yaml").read_text())["hydra"][
        "sweeper"
    ]["params"]
    swept = {key: str(values).split(",") for key, values in params.items() if key != "seed"}
    return [f"{key}={values[0]},{values[-1]}" for key, values in swept.items()]


# critical_beta, whose length follows from what it finds, is in test_critical
EXPERIMENTS = sorted({*options("experiment")} - {"critical_beta"})


@pytest.mark.parametrize(
    ("experiment", "whole"),
    [(name, False) for name in EXPERIMENTS]
    + [pytest.param(name, True, marks=pytest.mark.slow) for name in EXPERIMENTS],
)
def test_every_experiment_runs_on_embedded_data(experiment, whole, train, tmp_path):
    """In whole, or at the ends of what it sweeps."""
    text = {"compare_text", "compare_text_annealing", "receptive_field"}
    small = [
        "data=sequences",
        "data.examples=300",
        "data.words=50",
        "diagnosis=quick",
        "model.encoder_width=16",
        "decoder.width=16",
    ]
    embedded = small if experiment in text else ["data=digits"]
    ran = train(
        f"experiment={experiment}",
        *embedded,
        "trainer.max_steps=1",
        *FEW,
        "seed=0",
        *(() if whole else ends(experiment)),
        f"hydra.sweep.dir={tmp_path}/sweep",
        directory=None,
    )
    assert ran.code == 0
    assert (tmp_path / "sweep" / "comparison.csv").exists()


@pytest.mark.parametrize(("trainer", "diagnosis"), pairs(options("trainer"), options("diagnosis")))
def test_every_trainer_and_diagnosis_option_composes_and_runs(trainer, diagnosis, train):
    few = ("trainer.max_steps=1", "diagnosis.samples=50")
    ran = train(f"trainer={trainer}", f"diagnosis={diagnosis}", *few)
    assert ran.code == 0
    assert (ran.directory / "plots").exists() == (diagnosis != "quick")


def test_no_yaml_names_a_class_or_a_module_path():
    for path in CONFIGS.rglob("*.yaml"):
        assert "_target_" not in path.read_text(), path
        assert "vaecli." not in path.read_text(), path
