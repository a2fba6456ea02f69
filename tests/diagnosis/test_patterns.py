"""Every warning raised by a model made to deserve it, and silent on one that does not."""

import math

import pytest
import torch
from oracle import linear

from vaecli.diagnosis.diagnose import diagnose
from vaecli.diagnosis.settings import DiagnosisConfig
from vaecli.diagnosis.verdict import findings
from vaecli.evaluation.passes import NotFinite

QUICK = DiagnosisConfig(importance_samples=5, aggregate=2000, probes=False)


def healthy(**changes):
    return linear((9.0, 4.0, 2.0, 0.5, 0.25), 3, **changes)


def pruned():
    """Nine latents for data that has a use for three."""
    return linear((9.0, 4.0, 2.0) + (0.5,) * 9, 9)


def found(made, *, beta=1.0, settings=QUICK):
    vae, data, _ = made
    return diagnose(vae, data, settings, seed=0, beta=beta)[0]


def without_grad(change):
    def made(model):
        vae, data, truth = model()
        with torch.no_grad():
            change(vae)
        return vae, data, truth

    return made


@without_grad
def constant_mean(vae):
    """8 nats of KL in a mean that is the same for every x; the decoder's bias takes it back."""
    k = vae.latent_dim
    encoder, decoder = vae.encoder[1], vae.decoder.weight
    encoder.weight.zero_()
    encoder.bias[:k] = math.sqrt(2 * 8 / k)
    encoder.bias[k:] = 0
    vae.output_bias -= (decoder.weight @ encoder.bias[:k]).view_as(vae.output_bias)


@without_grad
def deaf_decoder(vae):
    vae.decoder.weight.weight.zero_()


@without_grad
def collapsed_encoder(vae):
    for parameter in vae.encoder.parameters():
        parameter.zero_()


@without_grad
def narrow(vae):
    """Posteriors a hundred times too narrow: every code says which example it came from."""
    vae.encoder[1].bias[vae.latent_dim :] -= 2 * math.log(100)


@without_grad
def fixed_width(vae):
    """A posterior narrower than the prior around zero, the same for every x."""
    vae.encoder[1].weight.zero_()
    vae.encoder[1].bias[vae.latent_dim :] = -2.0


def weak():
    """All dimensions active, 0.6 nats in total, and none that beta = 1 would keep."""
    return linear((0.8, 0.75, 0.7, 0.3), 3, beta=0.5)


CASES = [
    ("KL bought by a constant mean", lambda: constant_mean(healthy), healthy, 1.0),
    ("rate without information", lambda: constant_mean(healthy), healthy, 1.0),
    ("rate without information", lambda: fixed_width(healthy), healthy, 1.0),
    ("decoder ignores z", lambda: deaf_decoder(healthy), healthy, 1.0),
    ("posteriors that never move", lambda: fixed_width(healthy), healthy, 1.0),
    ("healthy by count only", weak, healthy, 1.0),
    ("inference lag", lambda: collapsed_encoder(healthy), healthy, 1.0),
    # A collapsed encoder whose model has collapsed as well does not lag.
    (
        "inference lag",
        lambda: collapsed_encoder(healthy),
        lambda: deaf_decoder(lambda: collapsed_encoder(healthy)),
        1.0,
    ),
    ("saturated estimate", lambda: narrow(healthy), healthy, 1.0),
    ("healthy pruning", pruned, healthy, 1.0),
]


@pytest.mark.parametrize(("pattern", "sick", "sound", "beta"), CASES)
def test_a_pattern_is_found_where_it_is_and_nowhere_else(pattern, sick, sound, beta):
    raised = found(sick(), beta=beta)
    assert pattern in raised["patterns"]
    assert any(w.startswith(f"{pattern}: ") for w in raised["warnings"] + raised["notes"])
    assert pattern not in found(sound(), beta=beta)["patterns"]


def test_a_healthy_model_is_not_flagged():
    diagnosis = found(healthy())
    assert diagnosis["status"] == "HEALTHY"
    assert diagnosis["patterns"] == diagnosis["warnings"] == diagnosis["notes"] == []


def test_a_faked_rate_of_eight_nats_is_collapsed_in_information():
    diagnosis = found(constant_mean(healthy))
    assert diagnosis["rate"] == pytest.approx(8, rel=1e-6)
    assert diagnosis["status"] == "HEALTHY"  # by KL alone
    information = diagnosis["information"]
    assert information["mutual_information"]["value"] == pytest.approx(0, abs=1e-9)
    assert information["aggregate_kl"]["value"] == pytest.approx(8, abs=0.5)
    assert diagnosis["active_units"] == 0
    assert diagnosis["latent_use"]["shuffled"]["value"] == pytest.approx(0, abs=0.2)
    warned = " ".join(diagnosis["warnings"])
    assert "8.00 of 8.00 nats of KL are the distance of the average mean from zero" in warned
    assert "KL is 8.00 nats, yet the code holds at most 0.00 nats about x" in warned


def test_pruning_under_a_beta_above_one_is_not_called_healthy():
    assert "healthy pruning" not in found(pruned(), beta=4.0)["patterns"]


def test_dimensions_that_the_decoder_needs_are_not_called_dead():
    diagnosis = found(pruned())
    gain = diagnosis["baseline"]["gain"]["value"]
    for change, dead in ((-0.09, True), (-0.11, False), (-0.5, False)):
        diagnosis["pruning"]["change"]["value"] = change
        assert 1 < gain < 10  # so that 0.1 nats is the limit
        assert ("healthy pruning" in [f.pattern for f in findings(diagnosis, beta=1.0)]) is dead
    diagnosis["baseline"]["gain"]["value"] = 100.0
    assert "healthy pruning" in [f.pattern for f in findings(diagnosis, beta=1.0)]


def test_at_a_small_beta_a_small_rise_is_full_use():
    # The exact optimum at beta 0.01: rise_j = beta (l / theta - 1) lies far below MI_j.
    made = linear((0.1, 0.05, 0.02, 0.01), 2, beta=0.01)
    diagnosis = found(made, beta=0.01)
    assert diagnosis["latent_use"]["shuffled"]["value"] < 0.2
    assert diagnosis["information"]["mutual_information"]["value"] > 1.5
    assert "decoder ignores z" not in diagnosis["patterns"]
    assert "decoder ignores z" in found(deaf_decoder(lambda: made), beta=0.01)["patterns"]


def test_dimensions_that_never_move_are_counted_one_by_one():
    # Two pay KL and never move, two move and pay less than the threshold: the counts are equal.
    made = {
        "status": "HEALTHY",
        "rate": 4.0,
        "active_dimensions": 2,
        "active_units": 2,
        "total_dimensions": 4,
        "threshold": 0.01,
        "examples": 100,
        "mean_offset_kl": 0.0,
        "kl_per_dim": [2.0, 2.0, 0.009, 0.009],
        "mu_variance_per_dim": [0.0, 0.0, 0.013, 0.013],
    }
    assert [f.pattern for f in findings(made)] == ["posteriors that never move"]
    assert findings({**made, "mu_variance_per_dim": [0.9] * 4}) == []
    assert findings({**made, "examples": 1}) == []


def test_weights_that_are_no_numbers_are_refused():
    vae, data, _ = healthy()
    with torch.no_grad():
        vae.decoder.weight.weight.fill_(math.nan)
    with pytest.raises(NotFinite, match="log p"):
        diagnose(vae, data, QUICK, seed=0)


def test_a_note_is_no_warning():
    diagnosis = found(narrow(healthy))
    assert not any("saturated" in w for w in diagnosis["warnings"])
    assert diagnosis["notes"][0].startswith("saturated estimate: The code holds at least ")
