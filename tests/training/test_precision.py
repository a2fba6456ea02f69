"""Reduced precision changes the networks' arithmetic and nothing else."""

import numpy as np
import pytest
import torch

from vaecli import load_run
from vaecli.core.errors import UsageError
from vaecli.evaluation.passes import encode
from vaecli.training.precision import Precision, choose_device, choose_precision
from vaecli.training.settings import Amp

QUICK = ("diagnosis=quick", "trainer.epochs=15")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_one_checkpoint_has_the_same_kl_in_reduced_precision(trained, dtype):
    ran = trained(*QUICK)
    vae, data, _ = load_run(ran.directory)
    exact = encode(vae, data, "test").kl_per_dim.mean(0)
    with Precision(torch.device("cpu"), dtype).autocast():
        reduced = encode(vae, data, "test").kl_per_dim.mean(0)
    assert not torch.equal(exact, reduced)  # the autocast did something
    active = exact > 0.01
    assert active.any()
    # 0.5 % is the project's promise; bf16 carries 8 bits and errors average over 359 examples.
    torch.testing.assert_close(reduced[active], exact[active], rtol=5e-3, atol=0)


@pytest.mark.parametrize("epochs", [5, pytest.param(15, marks=pytest.mark.slow)])
def test_training_in_bf16_reaches_the_same_elbo_as_in_float32(train, epochs):
    asked = ("diagnosis=quick", f"trainer.epochs={epochs}")
    elbos = {
        amp: np.mean(
            [
                train(*asked, f"trainer.amp={amp}", f"seed={seed}", directory=f"{amp}{seed}").json(
                    "diagnosis.json"
                )["elbo"]
                for seed in range(3)
            ]
        )
        for amp in ("off", "bf16")
    }
    assert elbos["bf16"] == pytest.approx(elbos["off"], abs=0.5)


def test_densities_stay_in_float32_under_autocast(train):
    ran = train("trainer.max_steps=2", "diagnosis=quick")
    vae, data, _ = load_run(ran.directory)
    x = data.batch(data.test, torch.arange(8))
    with Precision(torch.device("cpu"), torch.bfloat16).autocast():
        terms = vae(x, {"z": torch.randn(1, 8, vae.latent_dim)})
    assert {part.dtype for part in terms} == {torch.float32}


@pytest.mark.parametrize("able", [True, False])
def test_a_processor_without_bf16_is_named(able, train, monkeypatch):
    monkeypatch.setattr("vaecli.runs.run.has_bf16", lambda device: able)
    ran = train("trainer.max_steps=1", "diagnosis=quick", "trainer.amp=bf16")
    assert ran.code == 0
    assert ("emulates bf16" in ran.out) is not able


def test_auto_is_float32_on_a_cpu():
    assert choose_precision(Amp.auto, torch.device("cpu")).dtype is None


def test_an_unknown_device_is_refused():
    with pytest.raises(UsageError, match="device=abacus"):
        choose_device("abacus")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("amp", ["off", "bf16", "fp16"])
def test_every_precision_trains_on_a_gpu(train, amp):
    ran = train(*QUICK, "device=cuda", f"trainer.amp={amp}")
    assert ran.code == 0
    assert ran.json("diagnosis.json")["active_dimensions"] > 0
