"""The grid against closed forms, and the estimators against the grid."""

import pytest
import torch
from sentences import write

from vaecli import load_run
from vaecli.diagnosis.grid import grid, information_on_grid, true_posterior_means
from vaecli.evaluation.aggregate import mutual_information
from vaecli.evaluation.passes import Encoded, encode


def encoded(mu, logvar):
    return Encoded(mu, logvar, torch.zeros_like(mu), None, "test")


@pytest.mark.parametrize("latents", [1, 2])
def test_the_information_of_distant_examples_is_that_of_which_one_it_is(latents):
    mu = torch.tensor([[-4.0], [4.0], [-4.0], [4.0]]).expand(-1, latents)
    found = information_on_grid(encoded(mu, torch.full_like(mu, -1.0)))
    assert found == pytest.approx(torch.tensor(2.0).log().item(), abs=1e-6)


@pytest.mark.parametrize("latents", [1, 2])
def test_there_is_none_where_all_posteriors_are_alike(latents):
    mu = torch.full((50, latents), 0.3)
    assert information_on_grid(encoded(mu, torch.zeros_like(mu))) == pytest.approx(0, abs=1e-9)


def test_a_posterior_narrower_than_a_cell_is_refused():
    mu = torch.randn(10, 2)
    with pytest.raises(ValueError, match="narrower"):
        information_on_grid(encoded(mu, torch.full_like(mu, -14.0)))
    with pytest.raises(ValueError, match="too many"):
        grid(3)


@pytest.mark.parametrize("latents", [1, 2])
@pytest.mark.parametrize("spread", [0.3, 1.0])
def test_the_estimator_agrees_with_the_grid_within_its_error(latents, spread):
    torch.manual_seed(0)
    mu = spread * torch.randn(400, latents)
    codes = encoded(mu, -1 - torch.rand(400, latents))
    estimate = mutual_information(codes, seed=0)
    exact = information_on_grid(codes)
    assert estimate.value == pytest.approx(exact, abs=4 * estimate.standard_error)


def test_the_true_posterior_of_a_linear_model_is_the_closed_form(train):
    """p(z|x) of x = Wz + b + noise is Gaussian with mean M^-1 W'(x - b), M = W'W + sigma^2."""
    ran = train(
        "data=gaussian",
        "model=linear",
        "likelihood=gaussian",
        "model.latent_dim=2",
        "trainer.max_steps=200",
        "trainer.lr=2e-2",
        "diagnosis=quick",
    )
    vae, data, _ = load_run(ran.directory)
    x = data.batch(data.test, torch.arange(20))
    with torch.no_grad():
        W = (vae.decode(torch.eye(2), x[:2]) - vae.output_bias).flatten(1).T.double()  # (D, Z)
        centred = (x - vae.output_bias).flatten(1).double()
        expected = centred @ W @ torch.linalg.inv(W.T @ W + torch.eye(2))
    assert vae.likelihood.sigma == 1
    torch.testing.assert_close(true_posterior_means(vae, x), expected, atol=2e-3, rtol=0)


def test_the_estimator_agrees_with_the_grid_on_a_trained_model_of_text(train, tmp_path):
    path = write(tmp_path / "t.txt")
    ran = train(
        "data=text",
        f"data.path={path}",
        "model=lstm",
        "model.latent_dim=2",
        "schedule.beta=0.2",
        "data.min_count=2",
        "trainer.epochs=15",
        "trainer.lr=5e-3",
        "trainer.batch_size=32",
        "diagnosis=quick",
        "diagnosis.split=train",
    )
    vae, data, config = load_run(ran.directory)
    with torch.no_grad():
        codes = encode(vae, data, "train")
    found = ran.json("diagnosis.json")["information"]["mutual_information"]
    exact = information_on_grid(codes)
    assert exact > 0.5
    assert found["value"] == pytest.approx(exact, abs=4 * found["standard_error"] + 0.01)
