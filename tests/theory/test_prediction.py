"""What theory expects of a run, and how its figures are held against it."""

import pytest
import torch

from vaecli.data.sets.base import Data, Kind, Split
from vaecli.models.likelihoods.discretized_logistic import DiscretizedLogistic
from vaecli.models.likelihoods.gaussian import Gaussian
from vaecli.models.likelihoods.gaussian_learned import GaussianLearned
from vaecli.models.mlp import MLP
from vaecli.models.pixelcnn import PixelCNN
from vaecli.objectives.strategies.encoder_steps import EncoderSteps
from vaecli.objectives.strategies.free_bits import FreeBits
from vaecli.theory import prediction
from vaecli.theory.prediction import Prediction, held_against, predict

PLAIN = frozenset()  # slots filled by none


def data(spectrum=(9.0, 4.0, 2.0, 0.5), n=400):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, len(spectrum), generator=g, dtype=torch.float64)
    x -= x.mean(0)
    L = torch.linalg.cholesky(x.T @ x / n)
    x = torch.linalg.solve_triangular(L, x.T, upper=False).T * torch.tensor(spectrum).sqrt()
    split = Split(x.float()[:, None, None])
    return Data("made", (1, 1, len(spectrum)), Kind.REAL, split, split, split)


@pytest.mark.parametrize(("beta", "count"), [(0.4, 4), (1.0, 3), (3.0, 2), (8.0, 1), (10.0, 0)])
def test_directions_above_beta_can_leave_collapse(beta, count):
    found = predict(data(), MLP(latent_dim=9), Gaussian(), PLAIN, beta=beta)
    assert found.unstable_directions == found.expected_active == count
    assert found.critical_beta == pytest.approx(9.0, rel=1e-5)
    assert f"{count} directions" in found.words


def test_no_more_dimensions_than_there_are_can_be_in_use():
    assert predict(data(), MLP(latent_dim=2), Gaussian(), PLAIN, beta=1.0).expected_active == 2


@pytest.mark.parametrize(("latent_dim", "known"), [(2, 2), (9, 4)])
def test_the_leading_directions_are_named_with_the_beta_that_stills_them(latent_dim, known):
    family = MLP(latent_dim=latent_dim)
    found = predict(data(), family, Gaussian(), PLAIN, beta=1.0)
    # Their betas are the eigenvalues of the data's covariance, which was made exactly this.
    assert found.direction_betas == pytest.approx([9.0, 4.0, 2.0, 0.5][:known], rel=1e-5)
    assert found.direction_betas[0] == found.critical_beta
    group = held_against(found, active=1, directions=1)
    assert group["direction_betas"] == list(found.direction_betas)


@pytest.mark.parametrize("beta", [0.4, 0.5001, 1.0, 3.0, 8.0, 10.0])
def test_a_curve_over_beta_can_be_drawn_from_one_run_s_directions(beta):
    drawn = predict(data(), MLP(latent_dim=3), Gaussian(), PLAIN, beta=1.0)
    there = predict(data(), MLP(latent_dim=3), Gaussian(), PLAIN, beta=beta)
    assert sum(b > beta for b in drawn.direction_betas) == there.expected_active


def test_a_learned_sigma_falls_with_every_direction_that_is_explained():
    # sigma^2 starts at 15.5 / 4 = 3.875: at beta 1.5 only 9 > 5.8. With one in use it is
    # 6.5 / (4 - 1.5) = 2.6, and 4 > 3.9; with two 2.5 / (4 - 3) = 2.5: 2 < 3.75 stays out.
    found = predict(data(), MLP(latent_dim=4), GaussianLearned(), PLAIN, beta=1.5)
    assert found.unstable_directions == 1
    assert found.expected_active == 2


@pytest.mark.parametrize(
    ("family", "likelihood", "slots"),
    [
        (PixelCNN(latent_dim=2), Gaussian(), PLAIN),
        (MLP(latent_dim=2), Gaussian(), FreeBits.slots),
        (MLP(latent_dim=2), DiscretizedLogistic(), PLAIN),
    ],
)
def test_it_is_silent_where_it_does_not_apply(family, likelihood, slots):
    assert predict(data(), family, likelihood, slots, beta=1.0) is None


def test_more_encoder_steps_change_no_optimum():
    found = predict(data(), MLP(latent_dim=2), Gaussian(), EncoderSteps.slots, beta=1.0)
    assert found.expected_active == 2


def test_a_run_does_not_wait_for_an_expensive_spectrum(monkeypatch):
    monkeypatch.setattr(prediction, "AFFORDABLE", 1.0)
    assert predict(data(), MLP(latent_dim=2), Gaussian(), PLAIN, beta=1.0) is None


@pytest.mark.parametrize(
    ("expected", "measured", "agrees"),
    [
        *[(7, 6, True), (7, 9, False), (20, 16, True), (4, 5, True), (4, 6, False)],
        *[(0, 0, True), (0, 1, False), (1, 0, False)],
        *[(1, 1, True), (1, 2, False), (2, 1, False), (3, 4, False)],
    ],
)
def test_a_count_agrees_within_a_quarter_so_a_few_directions_must_be_counted_exactly(
    expected, measured, agrees
):
    made = Prediction(32.4, 10.0, expected, False, 20, expected)
    found = held_against(made, active=measured, directions=measured)
    assert found["agrees"] is agrees
    assert ("which agrees" in found["sentence"]) is agrees
    assert ("within a quarter" in found["sentence"]) is (agrees and measured != expected)
    assert f"{expected} of 20 dimensions can be in use; measured: {measured}" in found["sentence"]


def test_a_count_that_is_a_lower_bound_is_not_held_against_more():
    made = Prediction(500.0, 1.0, 64, True, 100, 64)
    found = held_against(made, active=100, directions=100)
    assert found["agrees"] is None
    assert "at least 64 of 100 dimensions can be in use; measured: 100." in found["sentence"]
    assert held_against(made, active=20, directions=20)["agrees"] is False


def test_theory_counts_directions_however_many_dimensions_they_are_spread_over():
    made = Prediction(3.9, 2.0, 4, False, 10, 4)
    found = held_against(made, active=9, directions=5)
    assert found["agrees"] is True
    assert "measured: 5 directions, in 9 active dimensions, which agrees" in found["sentence"]
