"""The prediction of theory for a run, and the measured figures beside it."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from vaecli.data.sets.base import Data
from vaecli.models.base import Family
from vaecli.models.likelihoods.base import Likelihood
from vaecli.theory.linear_vae import optimum
from vaecli.theory.thresholds import cost, spectrum

# Strategies that fill other slots than this change the objective, and with it the threshold.
HARMLESS = frozenset({"updates"})
AFFORDABLE = 2e11  # multiplications: MNIST's 3e10 take two seconds on two cores
# A measured count agrees if it is within a quarter of the expected one. Of one, two or three
# expected directions that allows none more or less: "about 1" would include both 0 and 2.
CLOSE = 0.25


class Prediction(NamedTuple):
    """The number of directions that can leave collapse (theory.thresholds)."""

    critical_beta: float  # at and above it collapse is locally stable
    beta: float  # the run's target
    unstable_directions: int
    at_least: bool  # the spectrum was not computed far enough to count them all
    latent_dim: int
    expected_active: int
    # Betas at and above which the leading directions are stable, descending: at most latent_dim of
    # them, as far as they were computed. For a learned sigma they hold at the collapsed point only.
    direction_betas: tuple[float, ...] = ()

    @property
    def words(self) -> str:
        """One line for the start of a run."""
        more = "at least " if self.at_least else ""
        return (
            f"critical beta {self.critical_beta:.3g}; at beta {self.beta:g}, {more}"
            f"{self.unstable_directions} directions of the data can leave collapse"
        )


def predict(
    data: Data,
    family: Family,
    likelihood: Likelihood,
    slots: frozenset[str],
    *,
    beta: float,
) -> Prediction | None:
    """Predict how many directions of the data a run uses.

    The theory holds for decoders whose pixels are independent given z (an autoregressive one has a
    better trivial solution), for the plain objective D + beta R, and for likelihoods with a
    whitened score.

    Args:
        data: the data set.
        family: the model.
        likelihood: p(x|z).
        slots: slots that the run's strategies fill.
        beta: the run's target.

    Returns:
        The prediction. None if the theory does not hold, or if the spectrum takes longer than a run
        should wait; `vae-predict` waits.
    """
    if family.autoregressive or not slots <= HARMLESS or cost(data) > AFFORDABLE:
        return None
    spectrum_of_data = spectrum(data, likelihood)
    if spectrum_of_data is None:
        return None
    count, exact = spectrum_of_data.unstable(beta)
    expected = min(count, family.latent_dim)
    if likelihood.learns_sigma and spectrum_of_data.complete and beta > 0 and expected > 0:
        # Every direction that is explained lowers sigma, and with it the threshold of the next.
        with suppress(ValueError):  # sigma has no optimum; the count stays the local one
            eigenvalues = spectrum_of_data.eigenvalues
            best = optimum(eigenvalues, family.latent_dim, beta=beta, sigma2=None)
            expected = best.active
    leading = tuple(spectrum_of_data.eigenvalues[: family.latent_dim].tolist())
    return Prediction(
        spectrum_of_data.critical_beta, beta, count, not exact, family.latent_dim, expected, leading
    )


def held_against(prediction: Prediction, *, active: int, directions: int) -> dict:
    """The group `prediction` of a diagnosis: the measured count beside the expected one.

    The theory counts directions; training aligns them with dimensions late. It is local, too: it
    counts the directions in which the collapsed point is unstable. Only in the linear Gaussian
    model are these the directions in use.

    Args:
        prediction: for the run.
        active: active dimensions.
        directions: directions of z-space in which the posterior mean moves.

    Returns:
        The group, with a sentence.
    """
    expected = prediction.expected_active
    agrees: bool | None = abs(directions - expected) <= CLOSE * expected
    more = ""
    if prediction.at_least and expected < prediction.latent_dim:
        more = "at least "
        if directions > expected:
            agrees = None  # it cannot be said
    measured = f"measured: {directions}"
    if directions != active:
        measured += f" directions, in {active} active dimensions"
    sentence = (
        f"Theory: {prediction.words}, so {more}{expected} of {prediction.latent_dim} dimensions "
        f"can be in use; {measured}"
    )
    if agrees is None:
        sentence += "."
    elif agrees:
        near = "" if directions == expected else " (within a quarter)"
        sentence += f", which agrees{near}."
    elif directions < expected:
        sentence += ". That a direction can leave collapse does not say that it pays to keep it."
    else:
        sentence += (
            ". The count is a local one: away from the collapsed point more can be in use, and one "
            "that is still dying is counted."
        )
    return {
        "critical_beta": prediction.critical_beta,
        "beta": prediction.beta,
        "unstable_directions": prediction.unstable_directions,
        "expected_active": expected,
        "direction_betas": list(prediction.direction_betas),
        "measured_active": active,
        "measured_directions": directions,
        "agrees": agrees,
        "sentence": sentence,
    }
