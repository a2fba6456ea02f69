"""The plots of the code's use hold the numbers that they were made of; nats."""

import numpy as np
import pytest
import torch
from made_up import diagnosis, old_diagnosis
from matplotlib.colors import to_hex

from vaecli.diagnosis.collapse_curve import collapse_curve as measured_curve
from vaecli.evaluation.passes import Encoded
from vaecli.reporting.plots.look import ACTIVE, COLLAPSED, MARK
from vaecli.reporting.plots.posterior_plots import aggregate_posterior
from vaecli.reporting.plots.use_plots import collapse_curve, latent_use


def encoded(examples, latent_dim, alive, seed=0):
    """Posteriors of which `alive` use the input, the third for about a third of the inputs only."""
    draw = torch.Generator().manual_seed(seed)
    signal = torch.tensor([0.9 if j < alive else 1e-9 for j in range(latent_dim)])  # Var_x[mu_j]
    mu = signal.sqrt() * torch.randn(examples, latent_dim, generator=draw)
    mu[:, 2:3] *= (torch.rand(examples, 1, generator=draw) < 0.3) if alive > 2 else 1
    logvar = torch.log1p(-signal).expand(examples, latent_dim)
    kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar)
    return Encoded(mu, logvar, kl, None, "test")


def codes_of(code, seed=1):
    """One z ~ q(z|x) of each example, (N, Z)."""
    noise = torch.randn(code.mu.shape, generator=torch.Generator().manual_seed(seed))
    return code.mu + (0.5 * code.logvar).exp() * noise


def colours(bars):
    return [to_hex(bar.get_facecolor()).upper() for bar in bars]


def panels(drawn):
    return drawn.axes[0].child_axes


@pytest.mark.parametrize(
    ("examples", "latent_dim", "alive", "shown"),
    [(10, 1, 1, 1), (10, 1, 0, 1), (10_000, 128, 20, 12), (10, 128, 0, 4), (1000, 10, 10, 10)],
)
def test_every_size_is_drawn_with_as_many_panels_and_bars_as_it_has_dimensions(
    examples, latent_dim, alive, shown
):
    code = encoded(examples, latent_dim, alive)
    found = diagnosis(latent_dim=latent_dim, alive=alive)
    codes, curve, use = (
        aggregate_posterior(codes_of(code), found, mu=code.mu, logvar=code.logvar),
        collapse_curve(found, code.kl_per_dim),
        latent_use(found),
    )
    for drawn in (codes, curve, use):
        drawn.canvas.draw()  # a warning is an error
    assert len(panels(codes)) == shown
    (thin,) = curve.axes[0].collections[:1]
    assert len(thin.get_segments()) == latent_dim
    assert [len(axes.patches) for axes in panels(use)] == [latent_dim, latent_dim, 3]


def test_a_thin_line_reaches_one_minus_delta_where_its_dimension_collapses():
    code = encoded(1000, 6, alive=4)
    found = diagnosis(latent_dim=6, alive=4)
    found["collapse_curve"] = measured_curve(code, threshold=found["threshold"])
    (thin,) = collapse_curve(found, code.kl_per_dim).axes[0].collections[:1]
    for line, infimum in zip(
        thin.get_segments(), found["collapse_curve"]["epsilon_per_dim"], strict=True
    ):
        along, below = np.asarray(line).T
        first = int((below >= 0.99).argmax())
        # The line is drawn at 240 epsilons: it gets there at the first of them above the infimum.
        assert infimum < along[first]
        assert first == 0 or along[first - 1] <= infimum


def test_the_thick_line_and_its_dot_are_the_measured_curve():
    found = diagnosis(latent_dim=8, alive=3)
    found["threshold"] = 0.5
    found["collapse_curve"]["collapsed_at_threshold"] = 0.75
    axes = collapse_curve(found).axes[0]
    (thick,) = (line for line in axes.lines if line.get_color() == MARK)
    assert thick.get_xdata().tolist() == found["collapse_curve"]["epsilon"]
    assert thick.get_ydata().tolist() == found["collapse_curve"]["collapsed_fraction"]
    (dot,) = axes.collections
    assert dot.get_offsets().tolist() == [[0.5, 0.75]]
    assert axes.get_title(loc="left").startswith("75% of the dimensions")


def test_panels_name_the_dimension_and_both_distances_from_the_prior_and_are_grey_if_collapsed():
    found = diagnosis(latent_dim=4, alive=2)
    found["kl_per_dim"] = [0.0001, 1.25, 0.0002, 2.5]
    found["information"]["marginal_kl_per_dim"] = [0.1, 0.2, 0.3, 0.4]
    codes = codes_of(encoded(50, 4, alive=4))

    def titles(d):
        return [axes.get_title(loc="left") for axes in panels(aggregate_posterior(codes, d))]

    active = ["z_3: KL 2.5, all 0.4", "z_1: KL 1.2, all 0.2"]
    assert titles(found) == [*active, "z_2: KL 0.00, all 0.3", "z_0: KL 0.00, all 0.1"]
    drawn = panels(aggregate_posterior(codes, found))
    expected = [{ACTIVE}, {ACTIVE}, {COLLAPSED}, {COLLAPSED}]
    assert [set(colours(axes.patches)) for axes in drawn] == expected
    del found["information"]
    assert titles(found)[0] == "z_3: KL 2.5"


def test_the_posteriors_of_single_examples_have_their_means_and_widths():
    code, found = encoded(100, 2, alive=1), diagnosis(latent_dim=2, alive=1)
    active, collapsed = panels(
        aggregate_posterior(codes_of(code), found, mu=code.mu, logvar=code.logvar)
    )
    *singles, prior = active.lines
    means = code.mu[[0, 25, 50, 74, 99], 0].tolist()  # spread evenly over the split
    for line, mean in zip(singles, means, strict=True):
        shape = np.exp(-0.5 * (line.get_xdata() - mean) ** 2 / 0.1)  # sigma^2 is 0.1
        # mu and logvar are float32, 1e-7 of their size
        assert line.get_ydata() == pytest.approx(shape * prior.get_ydata().max(), abs=1e-6)
    density = np.exp(-0.5 * prior.get_xdata() ** 2) / np.sqrt(2 * np.pi)
    assert prior.get_ydata() == pytest.approx(density, abs=1e-12)
    for line in collapsed.lines[:-1]:
        # |mu| is below 1e-4 and |log sigma^2| is 1e-9: the slope of the density is below 0.25
        along = line.get_xdata()
        prior_there = np.exp(-0.5 * along**2) / np.sqrt(2 * np.pi)
        assert line.get_ydata() == pytest.approx(prior_there, abs=1e-4)
    without = panels(aggregate_posterior(codes_of(code), found))
    assert [len(axes.lines) for axes in without] == [1, 1]  # the prior alone


def test_bars_are_grey_where_the_kl_is_not_above_the_threshold():
    found = diagnosis(latent_dim=3)
    found["kl_per_dim"] = [0.0001, 0.3, found["threshold"]]
    found["latent_use"]["rise_per_dim"] = [5.0, 0.0, 0.0]  # use does not decide the colour
    for axes in panels(latent_use(found))[:2]:
        assert colours(axes.patches) == [ACTIVE, COLLAPSED, COLLAPSED]


def test_whole_code_bars_carry_one_standard_error_to_either_side():
    found = diagnosis()
    found["latent_use"]["zeroed"]["standard_error"] = None
    whole = panels(latent_use(found))[2]
    (bars,) = whole.collections
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    expected = [[14.27 - 0.31, 14.27 + 0.31], [13.39 - 0.29, 13.39 + 0.29], [6.171, 6.171]]
    assert np.array(ends) == pytest.approx(np.array(expected))
    for key in ("prior", "zeroed"):
        found["latent_use"].pop(key)
    assert len(panels(latent_use(found))[2].patches) == 1
    found["latent_use"].pop("shuffled")
    assert len(panels(latent_use(found))) == 2  # nothing measured, no third panel


def test_noise_of_a_collapsed_model_is_not_magnified():
    found = diagnosis(latent_dim=3, alive=0)
    found["kl_per_dim"] = [1e-13, 2e-9, 0.0]
    found["latent_use"]["rise_per_dim"] = [-3e-12, 1e-12, 0.0]
    for key in ("shuffled", "prior", "zeroed"):
        found["latent_use"][key] |= {"value": -1e-9, "standard_error": 1e-9}
    drawn = latent_use(found)
    drawn.canvas.draw()
    upper, lower, whole = panels(drawn)
    assert [bar.get_height() for bar in lower.patches] == [1e-12, -3e-12, 0.0]
    # Every scale reaches a nat: a bar that can be seen is not noise blown up.
    assert min(axes.get_ylim()[1] for axes in (upper, lower, whole)) >= 1.0
    assert drawn.axes[0].get_title(loc="left") == (
        "Another example's code: +0.00 nats of distortion; rate 3.04"
    )


def test_what_was_not_measured_is_said_and_not_drawn():
    old = old_diagnosis()
    for drawn, words in (
        (latent_use(old), "no finite rise was measured"),
        (collapse_curve(old), "no curve was measured"),
        (aggregate_posterior(torch.full((9, 8), torch.nan), old), "no finite code was recorded"),
    ):
        (axes,) = drawn.axes
        assert words in [text.get_text() for text in axes.texts]
        assert not axes.patches
        assert not axes.lines
        assert not axes.child_axes
