"""vae-diagnose: a finished run again, and models that were made elsewhere."""

import json
import math

import pytest
import yaml
from doors import diagnose

from vaecli.config.compose import CONFIGS
from vaecli.diagnosis.settings import DiagnosisConfig

FEW = ["diagnosis.samples=60", "trainer.max_steps=20", "data.limit=300"]
FAST = ["diagnosis.importance_samples=5", "diagnosis.refine_steps=2", "diagnosis.tsne_points=50"]


@pytest.fixture
def run(train, trained, tmp_path):
    """A finished run in the working directory."""
    ran = trained("diagnosis=quick", *FEW).copied(tmp_path / "run")
    assert ran.code == 0
    return ran


@pytest.fixture
def again(capsys):
    def call(*arguments):
        code = diagnose(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def files(run):
    return {p.name: p.read_bytes() for p in run.directory.iterdir() if p.is_file()}


def test_a_run_is_diagnosed_again_beside_its_first_diagnosis(run, again):
    before = files(run)
    code, out, _ = again(run.directory, *FAST)
    assert code == 0
    after = files(run)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"diagnosis-2.json", "report-2.html"}
    first, second = run.json("diagnosis.json"), run.json("diagnosis-2.json")
    assert second["kl_per_dim"] == first["kl_per_dim"]  # the same weights and examples
    # although the run's own diagnosis was quick
    assert (first["likelihood"]["importance_samples"], "inference" in first) == (20, False)
    assert (second["likelihood"]["importance_samples"], "inference" in second) == (5, True)
    assert second["weights"] == "last.pt"
    assert (run.directory / "plots-2" / "kl_per_dim.png").is_file()
    assert "report-2.html" in out
    assert again(run.directory, *FAST, "diagnosis.plots=false")[0] == 0
    assert run.json("diagnosis-3.json")["kl_per_dim"] == first["kl_per_dim"]


def test_flags_choose_split_threshold_examples_and_weights(run, again):
    flags = ["--split", "val", "--threshold", 0.5, "--samples", 30, "--importance-samples", 7]
    best = run.directory / "checkpoints" / "best.pt"
    assert again(best, *flags, *FAST[1:], "diagnosis.plots=false")[0] == 0
    found = run.json("diagnosis-2.json")
    assert (found["split"], found["threshold"], found["examples"]) == ("val", 0.5, 30)
    assert found["likelihood"]["importance_samples"] == 7
    assert found["weights"] == "best.pt"
    assert again(run.directory, "--checkpoint", "best", *FAST, "diagnosis.plots=false")[0] == 0
    assert run.json("diagnosis-3.json")["weights"] == "best.pt"


def test_the_defaults_of_the_class_are_those_of_the_yaml():
    written = yaml.safe_load((CONFIGS / "diagnosis" / "default.yaml").read_text())
    defaults = DiagnosisConfig()
    for key, value in written.items():
        own = getattr(defaults, key)
        assert getattr(own, "value", own) == value, key


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "PATH=None: must be one run directory or checkpoint"),
        (["RUN", "RUN"], "must be one run directory or checkpoint"),
        (["nowhere"], "run=nowhere: holds no readable config.resolved.yaml"),
        (["RUN/checkpoints/none.pt"], "there is no such file"),
        (["RUN", "--split", "all"], "argument --split: invalid choice: 'all'"),
        (["RUN", "--what"], "unrecognized arguments: --what"),
        (["RUN", "model.latent_dim=3"], "model.latent_dim=3: cannot be changed in a finished run"),
        (["RUN", "diagnosis.nothing=1"], "diagnosis.nothing=1: is no key of diagnosis"),
        (["RUN", "--threshold", "-1"], "diagnosis.threshold=-1"),
        (["RUN", "--data", "mnist"], "--data=mnist: belongs to --model"),
        (["--model", "m:f"], "--data=None: is needed with --model"),
        (["--model", "json", "--data", "digits"], "--model=json: must be MODULE:FUNCTION"),
        (["--model", "json:nothing", "--data", "digits"], "json has no such function"),
        (["--model", "json:JSONDecoder", "--data", "digits"], "returned JSONDecoder, which has no"),
        (["--model", "nomodule:f", "--data", "digits"], "--model=nomodule: cannot be imported"),
        (["--model", "json:loads", "--data", "nodata"], "--data=nodata"),
    ],
)
def test_wrong_use_is_told_in_three_lines_and_leaves_nothing(arguments, told, run, again, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    code, _, err = again(*(a.replace("RUN", str(run.directory)) for a in arguments))
    assert code == 2
    assert told in err
    assert err.startswith("vae-diagnose: ")
    assert len(err.strip().splitlines()) <= 3
    assert sorted(tmp_path.rglob("*")) == before


def test_help_answers_with_examples(again):
    code, out, _ = again("--help")
    assert code == 0
    assert "vae-diagnose --model mymodel:load --data mnist" in out


ELSEWHERE = """
import torch
from torch import nn


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter, self.leave = nn.Linear(64, 6), nn.Linear(3, 64)

    def encode(self, x):
        return self.enter(x).chunk(2, dim=1)


class Decoding(Model):
    def log_px(self, x, z):
        return torch.distributions.Bernoulli(logits=self.leave(z)).log_prob(x).sum(1)


class Wrong(Model):
    def log_px(self, x, z):
        return self.leave(z)


def only_encoder():
    torch.manual_seed(0)
    return Model()


def whole():
    torch.manual_seed(0)
    return Decoding()


def wrong():
    return Wrong()
"""


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    (tmp_path / "elsewhere.py").write_text(ELSEWHERE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def foreign(name, *more):
    return ["--model", f"elsewhere:{name}", "--data", "digits", "--samples", "60", *FAST, *more]


def test_a_foreign_encoder_is_diagnosed_without_its_decoder(elsewhere, again):
    code, out, _ = again(*foreign("only_encoder", "--out", "here"))
    assert code == 0
    found = json.loads((elsewhere / "here" / "diagnosis.json").read_text())
    assert found["examples"] == 60
    assert found["total_dimensions"] == 3
    assert "elbo" not in found
    assert {"information", "collapse_curve", "latent_space"} <= set(found)
    assert any("flattened" in warning for warning in found["warnings"])
    assert (elsewhere / "here" / "report.html").is_file()
    assert (elsewhere / "here" / "plots" / "kl_per_dim.png").is_file()
    assert "3 dimensions active" in out


def test_a_foreign_model_with_log_px_gets_every_figure_but_the_baseline(elsewhere, again):
    code, out, _ = again(*foreign("whole"))
    assert code == 0
    (made,) = (elsewhere / "outputs" / "diagnose").glob("*/*/diagnosis.json")
    found = json.loads(made.read_text())
    assert {"likelihood", "latent_use", "inference", "pruning"} <= set(found)
    assert "baseline" not in found
    assert found["elbo"] == pytest.approx(-found["distortion"] - found["rate"])
    assert math.isfinite(found["likelihood"]["importance_weighted"]["value"])
    assert "ELBO" in out


def test_a_foreign_model_that_answers_wrongly_is_told_so(elsewhere, again):
    code, _, err = again(*foreign("wrong"))
    assert code == 2
    assert "log_px(x, z) must return one number per example" in err
    assert not (elsewhere / "outputs").exists()
