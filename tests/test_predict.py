"""vae-predict: what theory says before anything is trained."""

import json
import re
from pathlib import Path

import doors
import pytest

MNIST = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def predict(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        code = doors.predict(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def count(out, beta):
    """The directions that the table names at `beta`."""
    return int(re.search(rf"^ *{beta} +(\d+) ", out, re.MULTILINE)[1])


def test_the_spectrum_of_a_known_covariance_is_counted(predict, tmp_path):
    code, out, _ = predict(
        "data=gaussian", "model=linear", "likelihood=gaussian", "schedule.beta=1.5"
    )
    assert code == 0
    assert "Critical beta  9.0" in out
    # 0.5, 2 and 4 are eigenvalues themselves, on which rounding decides.
    assert [count(out, beta) for beta in ("1.5", "10")] == [3, 0]
    (made,) = tmp_path.glob("outputs/predict/*/*/prediction.json")
    written = json.loads(made.read_text())
    assert written["eigenvalues"] == pytest.approx([9, 4, 2, 1, 0.5, 0.25], rel=1e-5)
    assert (made.parent / "spectrum.png").read_bytes().startswith(b"\x89PNG")
    # Reverse water-filling at theta = 1.5: 1/2 log(9 * 4 * 2 / 1.5^3) nats.
    assert "3 active dimensions, rate 1.530" in " ".join(out.split())


def test_any_command_line_of_vae_train_can_be_predicted(predict):
    code, out, _ = predict("model=cnn", "strategy=free_bits", "trainer.epochs=3", "seed=4")
    assert code == 0
    assert "digits 1x8x8" in out
    code, out, _ = predict("model=pixelcnn")
    assert "autoregressive" in out


def test_a_sweep_is_predicted_job_by_job(predict, tmp_path):
    code, out, _ = predict("-m", "schedule.beta=1,5")
    assert code == 0
    assert out.count("Critical beta") == 2
    assert len(list(tmp_path.glob("outputs/predict/*/*/*/prediction.json"))) == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["data=nothing"], "choose one of: cifar10, digits"),
        (["likelihood=discretized_logistic", "data.binarise=none"], "no threshold that is known"),
        (["model.latent_dim=0"], "model.latent_dim=0"),
        (["data=sequences", "model=lstm"], "model=lstm: is of sequences"),
        (["data=sequences"], "data=sequences: is of sequences"),
    ],
)
def test_what_cannot_be_predicted_is_refused_and_leaves_nothing(arguments, told, predict, tmp_path):
    code, _, err = predict(*arguments)
    assert code == 2
    assert err.startswith("vae-predict: ")
    assert told in err
    assert len(err.strip().splitlines()) <= 3
    assert list(tmp_path.iterdir()) == []


def test_help_is_its_own(predict, capsys):
    assert doors.predict(["--help"]) == 0
    assert capsys.readouterr().out.startswith("vae-predict: at which beta does this data collapse")


def test_a_refusal_after_help_in_the_same_process_is_told_all_the_same(predict, capsys):
    assert doors.predict(["--help"]) == 0
    capsys.readouterr()
    code, _, err = predict("model=nosuch")
    assert code == 2
    assert "nosuch" in err


@pytest.mark.parametrize("arguments", [("schedule.beta=1,5", "-m"), ("-m", "schedule.beta=1,5")])
def test_flags_may_stand_before_or_behind_the_overrides(arguments, predict):
    code, out, err = predict(*arguments)
    assert code == 0, err
    assert out.count("Critical beta") == 2


def test_a_sweep_with_one_bad_job_is_refused_whole(predict, tmp_path):
    code, out, err = predict("-m", "schedule.beta=1,-1")
    assert code == 2
    assert out == ""
    assert "schedule.beta=-1.0" in err
    assert list(tmp_path.iterdir()) == []


def test_a_run_cannot_be_resumed_by_predicting_it(predict, tmp_path):
    code, _, err = predict("resume=outputs/some/run")
    assert code == 2
    assert "resume" in err
    assert list(tmp_path.iterdir()) == []


def test_it_says_when_the_objective_is_not_the_plain_one(predict):
    _, plain, _ = predict("strategy=encoder_steps")
    _, floored, _ = predict("strategy=free_bits")
    assert "FreeBits" in floored
    assert "plain objective" not in plain


@pytest.mark.parametrize("beta", [0, 0.001, 1000])
def test_a_beta_outside_the_spectrum_is_drawn_too(beta, predict, tmp_path):
    code, out, _ = predict(f"schedule.beta={beta}", "hydra.run.dir=here")  # warnings are errors
    assert code == 0
    assert (count(out, f"{beta:g}") == 0) == (beta == 1000)
    assert (tmp_path / "here" / "spectrum.png").read_bytes().startswith(b"\x89PNG")


def test_the_file_holds_what_the_table_says(predict, tmp_path):
    _, out, _ = predict("schedule.beta=3", "model.latent_dim=2", "hydra.run.dir=here")
    written = json.loads((tmp_path / "here" / "prediction.json").read_text())
    assert written["beta"] == 3
    assert written["unstable_directions"] == count(out, 3) > 2
    assert written["expected_active"] == 2  # no more than there are latents
    assert [count(out, f"{row['beta']:g}") for row in written["table"]] == [
        row["unstable_directions"] for row in written["table"]
    ]
    assert f"Critical beta  {written['critical_beta']:.1f}" in out


@pytest.mark.skipif(not (MNIST / "MNIST").is_dir(), reason="the real MNIST is not here")
def test_mnist_collapses_at_32_and_keeps_seven_directions_at_ten(predict):
    code, out, _ = predict("data=mnist", f"data.root={MNIST}")
    assert code == 0
    assert "60,000 training examples" in out
    assert "Critical beta  32.4" in out
    assert [count(out, beta) for beta in (1, 4, 10, 20, 50)] == [164, 25, 7, 3, 0]
