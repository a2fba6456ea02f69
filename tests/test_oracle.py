"""Trained linear VAEs, through the command itself, against the optimum in closed form.

data=gaussian has the same exact covariance in every split, so theory's figures hold on the test
split as they stand, and what remains is how well training has converged.
"""

from typing import NamedTuple

import pytest
import torch

from vaecli import load_run
from vaecli.theory.linear_vae import compare, linear_gaussian, optimum

# 4,800 updates with a rate that falls to zero: every setting ends within 1e-4 nats per dimension
# and 0.004 nats per KL_j of the optimum, where the constant rate of the defaults hovers at ten
# times that. Half the rate needs twice the updates.
RECIPE = (
    "data=gaussian", "model=linear", "diagnosis=quick", "device=cpu",
    "trainer.batch_size=512", "trainer.lr=2e-2", "trainer.lr_schedule=cosine",
    "trainer.epochs=600", "trainer.evaluate_every=600", "trainer.checkpoint_every=600",
)  # fmt: skip
WIDE = (9.0, 4.0, 2.0, 1.0, 0.5, 0.25)
STEEP = (20.0, 5.0, 1.5, 0.3, 0.2, 0.1, 0.1, 0.05)
FLAT = (3.0, 2.5, 2.0, 0.4)


class Setting(NamedTuple):
    spectrum: tuple[float, ...]
    k: int
    beta: float
    sigma2: float | None  # None: learned


SETTINGS = [
    Setting(WIDE, 4, 1.0, 0.8),
    Setting(WIDE, 4, 1.0, 1.0),  # the fourth dimension lies exactly at its threshold
    Setting(WIDE, 4, 1.0, None),
    Setting(WIDE, 4, 0.5, 1.0),
    Setting(WIDE, 4, 2.0, None),
    Setting(WIDE, 4, 5.0, 1.0),
    Setting(WIDE, 4, 5.0, None),  # collapsed
    Setting(WIDE, 4, 12.0, 1.0),  # collapsed
    Setting(WIDE, 6, 1.5, 0.2),
    Setting(WIDE, 8, 3.0, 0.5),  # more latents than dimensions
    Setting(STEEP, 3, 1.0, None),
    Setting(STEEP, 5, 4.0, None),
    Setting(STEEP, 5, 1.0, 0.25),
    Setting(FLAT, 2, 1.0, 0.5),
    Setting(FLAT, 3, 1.0, None),
    Setting(FLAT, 3, 3.0, 0.75),
]


def trained(train, setting):
    """The finished run of `setting`, and the optimum that it should have found."""
    likelihood = (
        ["likelihood=gaussian_learned"]
        if setting.sigma2 is None
        else ["likelihood=gaussian", f"likelihood.sigma={setting.sigma2**0.5!r}"]
    )
    ran = train(
        *RECIPE, *likelihood, f"data.spectrum={list(setting.spectrum)}".replace(" ", ""),
        f"model.latent_dim={setting.k}", f"schedule.beta={setting.beta}",
    )  # fmt: skip
    assert ran.code == 0
    spectrum = torch.tensor(setting.spectrum, dtype=torch.float64)
    return ran, optimum(spectrum, setting.k, beta=setting.beta, sigma2=setting.sigma2)


def named_by(setting):
    spectrum = {WIDE: "wide", STEEP: "steep", FLAT: "flat"}[setting.spectrum]
    return f"{spectrum}-k{setting.k}-beta{setting.beta}-sigma2_{setting.sigma2 or 'learned'}"


@torch.no_grad()
def exact_objective(directory, beta):
    """E[-log p(x|z)] + beta KL of the trained weights on the test split, z integrated out.

    The diagnosis' distortion has one z per example, some hundredths of a nat of noise; the
    expectation of a linear decoder's squared error is |x - b - W mu|^2 + sum_j |W_j|^2 var_j.
    """
    vae, data, _ = load_run(directory)
    W, b, sigma2, _ = linear_gaussian(vae)
    x = data.test.x.flatten(1).double()
    mu, logvar = (part.double() for part in vae.encode(data.test.x))
    squared_error = (x - b - mu @ W.T).square().sum(1) + logvar.exp() @ W.square().sum(0)
    constant = 0.5 * x.shape[1] * torch.tensor(2 * torch.pi * sigma2).log()
    rate = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1)
    return (constant + squared_error / (2 * sigma2) + beta * rate).mean().item()


@pytest.mark.parametrize("setting", SETTINGS, ids=named_by)
def test_training_finds_the_optimum_of_the_closed_form(setting, train):
    ran, best = trained(train, setting)
    diagnosis = ran.json("diagnosis.json")

    gap = exact_objective(ran.directory, setting.beta) - best.objective
    # Nothing is better than the optimum, up to the float32 in which the model computes.
    assert -1e-4 < gap < 1e-3 * len(setting.spectrum)

    kl = sorted(diagnosis["kl_per_dim"], reverse=True)
    assert kl == pytest.approx(best.kl_per_dim.tolist(), abs=0.01)
    assert diagnosis["rate"] == pytest.approx(best.rate, abs=0.01 * setting.k)
    # One that lies at its threshold may fall on either side.
    edge = sum(v == best.theta for v in setting.spectrum[: setting.k])
    assert best.active <= diagnosis["active_dimensions"] <= best.active + edge

    vae, data, _ = load_run(ran.directory)
    rows = compare(vae, data, split="test", beta=setting.beta, diagnosis=diagnosis)
    named = {row["figure"]: row for row in rows}
    # A saturated estimate of the mutual information is no row.
    assert ("mutual_information" in named) is not diagnosis["information"]["saturated"]
    for figure in {"distortion", "elbo", "mutual_information"} & set(named):
        row = named[figure]  # sampled: four standard errors, as some 45 figures are compared;
        off = abs(row["measured"] - row["theory"])  # and the 0.01 nats that training may be off
        assert off < 4 * row["standard_error"] + 0.01
    if setting.beta == 1:  # elsewhere log p(x) is not stationary at the optimum
        row = named["log_px_exact"]
        assert row["theory"] - 1e-3 * len(setting.spectrum) < row["measured"] < row["theory"] + 1e-4
    if setting.sigma2 is None:
        assert named["sigma2"]["measured"] == pytest.approx(best.sigma2, rel=5e-3)
