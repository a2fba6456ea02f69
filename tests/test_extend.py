"""An own strategy in one file and one yaml, outside the package, as the README shows."""

import sys

import pytest

from vaecli import load_run
from vaecli.core.errors import UsageError

STRATEGY = '''
from dataclasses import dataclass
from typing import ClassVar

from vaecli import Strategy


@dataclass(frozen=True)
class RateTarget(Strategy):
    """|rate - target| in place of the rate."""

    slots: ClassVar[frozenset[str]] = frozenset({"loss"})
    rate_target: float = 3.0

    def loss(self, terms, beta, state):
        distortion, rate = -terms.log_px.mean(), terms.kl_per_dim.sum(-1).mean()
        return distortion + beta * (rate - self.rate_target).abs(), state
'''
YAML = "use: {rate_target_test: true}\nrate_target: 3.0\n"


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "rate_target_test.py").write_text(STRATEGY)
    (tmp_path / "own" / "strategy").mkdir(parents=True)
    (tmp_path / "own" / "strategy" / "rate_target_test.yaml").write_text(YAML)
    yield ("--config-dir", str(tmp_path / "own"), "strategy=rate_target_test")
    sys.modules.pop("rate_target_test", None)


def test_an_own_strategy_trains_and_its_run_can_be_resumed_and_loaded(own, train, tmp_path):
    quick = ("diagnosis=quick", "trainer.epochs=12", "strategy.rate_target=2", "schedule.beta=20")
    ran = train(*own, "extend=[rate_target_test]", *quick)
    assert ran.code == 0, ran.err
    assert ran.json("diagnosis.json")["rate"] == pytest.approx(2, abs=0.5)  # beta 20 holds it there

    # Nobody's file has a module imported: it is named again, or the run is refused.
    refused = train("--config-dir", str(tmp_path / "own"), "resume=run", "trainer.epochs=13")
    assert refused.code == 2
    assert "extend" in refused.err
    again = train(
        "--config-dir",
        str(tmp_path / "own"),
        "resume=run",
        "extend=[rate_target_test]",
        "trainer.epochs=13",
    )
    assert again.code == 0, again.err
    with pytest.raises(UsageError, match="extend"):
        load_run(tmp_path / "run")
    vae, _, config = load_run(tmp_path / "run", extend=("rate_target_test",))
    assert config.strategies[0].rate_target == 2
    assert vae.latent_dim == 10


def test_a_module_that_is_not_listed_is_not_found(own, train):
    refused = train(*own)
    assert refused.code == 2
    assert "extend=[...]" in refused.err
