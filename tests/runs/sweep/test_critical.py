"""The search for the beta at which the code dies: on made-up boundaries, and by training."""

import json
import math

import pytest
import torch

from vaecli.config.compose import compose
from vaecli.config.job import Job
from vaecli.diagnosis.status import Status
from vaecli.runs.sweep.critical import Search, search, searches


def jobs_in(directory, *overrides):
    return Job(list(overrides), "schedule: {beta: 1.0}", directory / "0", sweep=directory)


def world(boundary, told, *, lost=()):
    """A `run` in which the code lives below `boundary`; runs at the betas in `lost` fail."""

    def run(jobs):
        for job in jobs:
            beta = float(job.overrides[-1].partition("=")[2])
            told.append(beta)
            job.directory.mkdir(parents=True)
            status = Status.FULL if beta >= boundary else "HEALTHY"
            summary = {"run_state": "failed"} if beta in lost else {"status": status}
            (job.directory / "summary.json").write_text(json.dumps(summary))
            prediction = {"prediction": {"critical_beta": 7.5}}
            (job.directory / "diagnosis.json").write_text(json.dumps(prediction))
        return {job.directory: job.directory for job in jobs}

    return run


@pytest.mark.parametrize("boundary", [0.11, 0.9, 3.92, 32.4, 99.0])
@pytest.mark.parametrize("tolerance", [0.05, 0.5])
def test_the_boundary_is_enclosed_to_the_tolerance(boundary, tolerance, tmp_path):
    told = []
    one = Search([jobs_in(tmp_path)], 0.1, 100.0, tolerance)
    (answer,) = search([one], world(boundary, told)).values()
    assert answer["reason"] is None
    assert answer["low"] < boundary <= answer["high"]
    assert answer["high"] / answer["low"] <= 1 + tolerance
    assert answer["predicted"] == 7.5
    assert len(told) == len(set(told))  # no beta is trained twice
    rounds = math.ceil(math.log(math.log(1000) / math.log(1 + tolerance)) / math.log(4))
    assert len(told) <= 5 + 3 * rounds


def test_a_search_whose_ends_do_not_enclose_the_boundary_says_so(tmp_path):
    for number, (boundary, words) in enumerate([(0.01, "sweep.bisect_low"), (1e3, "bisect_high")]):
        one = Search([jobs_in(tmp_path / str(number))], 0.1, 100.0, 0.05)
        (answer,) = search([one], world(boundary, [])).values()
        assert words in answer["reason"]


def test_a_beta_at_which_every_run_failed_ends_the_search_with_its_name(tmp_path):
    one = Search([jobs_in(tmp_path)], 1.0, 16.0, 0.05)
    (answer,) = search([one], world(5.0, [], lost={4.0})).values()
    assert answer["reason"] == "no run at beta 4 finished"


def test_an_interrupted_search_is_no_answer(tmp_path):
    one = Search([jobs_in(tmp_path)], 1.0, 16.0, 0.05)
    (answer,) = search([one], lambda jobs: None).values()
    assert "interrupted" in answer["reason"]


def test_settings_are_searched_apart_and_seeds_together(tmp_path):
    asked = ("experiment=critical_beta", "decoder=small,large", "seed=0,1")
    jobs = list(compose(["-m", *asked, f"hydra.sweep.dir={tmp_path}"]).jobs.values())
    found = searches([*jobs[::2], *jobs[1::2]])
    assert [[job.config.seed for job in one.jobs] for one in found] == [[0, 1], [0, 1]]
    assert list(search(found, lambda jobs: None)) == ["decoder=small", "decoder=large"]


def test_a_code_that_lives_at_the_highest_beta_has_no_boundary_below_it(tmp_path):
    one = Search([jobs_in(tmp_path)], 1.0, 16.0, 0.05)
    one.learn({1.0: True, 2.0: False, 4.0: True, 8.0: False, 16.0: True})
    assert "lives at beta 16 still" in one.failed
    again = Search([jobs_in(tmp_path)], 1.0, 16.0, 0.05)
    again.learn({1.0: True, 2.0: False, 4.0: True, 8.0: False, 16.0: False})
    assert (again.failed, again.low, again.high) == (None, 4.0, 8.0)


@pytest.mark.parametrize("tolerance", [0.6, pytest.param(0.15, marks=pytest.mark.slow)])
def test_training_finds_the_critical_beta_of_the_linear_vae(train, tmp_path, tolerance):
    """In closed form: the largest eigenvalue of the data over sigma^2, here 9."""
    sweep = tmp_path / "sweep"
    ran = train(
        "-m",
        "data=gaussian",
        "model=linear",
        "likelihood=gaussian",
        "trainer.batch_size=512",
        "trainer.lr=2e-2",
        "trainer.max_steps=600",
        "trainer.lr_schedule=cosine",
        "seed=0",
        "trainer.evaluate_every=100",
        "trainer.checkpoint_every=100",
        "diagnosis=quick",
        f"sweep.bisect={tolerance}",
        "sweep.bisect_low=1",
        "sweep.bisect_high=50",
        f"hydra.sweep.dir={sweep}",
        directory=None,
    )
    assert ran.code == 0
    (answer,) = json.loads((sweep / "critical_beta.json").read_text()).values()
    assert answer["low"] <= answer["predicted"] * 1.02  # a KL below 0.01 nats counts as dead
    assert answer["high"] >= answer["predicted"] * 0.96
    assert f"theory: {answer['predicted']:.3g}" in ran.out
    before = len(list(sweep.glob("*/summary.json")))
    again = train(f"resume={sweep}", directory=None)
    assert again.code == 0
    assert len(list(sweep.glob("*/summary.json"))) == before
    assert "=== run" not in again.out


def test_a_search_refuses_a_beta_of_its_own(train, tmp_path):
    ran = train(
        "-m",
        "sweep.bisect=0.1",
        "schedule.beta=1,2",
        f"hydra.sweep.dir={tmp_path}/s",
        directory=None,
    )
    assert ran.code == 2
    assert "schedule.beta" in ran.err
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    "strategy",
    [
        ["strategy=none"],
        ["strategy=aggressive"],
        ["strategy=encoder_steps", "strategy.encoder_steps=7"],
    ],
    ids=lambda overrides: overrides[0].partition("=")[2],
)
def test_training_stops_at_its_time_and_is_diagnosed(train, strategy):
    ran = train("trainer.epochs=100000", "trainer.max_seconds=0.4", "diagnosis=quick", *strategy)
    assert ran.code == 0
    summary = ran.json("summary.json")
    assert 0.4 <= summary["seconds"] < 10
    assert ran.rows[-1]["decoder_updates"] == summary["decoder_updates"] < 100000
    # What is diagnosed is what was saved, and time does not cut a step of several updates.
    saved = torch.load(ran.directory / "checkpoints" / "last.pt", weights_only=True)
    assert saved["progress"]["step"] == summary["decoder_updates"]
    assert saved["progress"]["encoder_updates"] == ran.rows[-1]["encoder_updates"]
