"""What theory expects of a run before it is made, and whether it came so."""

from __future__ import annotations

from typing import NamedTuple

from vaecli.data.base import Data
from vaecli.models.base import Family
from vaecli.models.likelihoods.base import Likelihood
from vaecli.objectives.strategies.base import Strategy
from vaecli.theory.thresholds import spectrum

# Strategies that fill other slots than this change the objective, and with it the threshold.
HARMLESS = frozenset({"updates"})
CLOSE = 0.25  # a measured count agrees if it is within a quarter, or one, of the expected


class Prediction(NamedTuple):
    """How many directions can leave collapse, by the data's spectrum (theory.thresholds)."""

    critical_beta: float  # at and above it collapse is locally stable
    beta: float  # the run's target
    unstable_directions: int
    at_least: bool  # the spectrum was not computed far enough to count them all
    latent_dim: int

    @property
    def expected_active(self) -> int:
        """No more dimensions than there are can leave."""
        return min(self.unstable_directions, self.latent_dim)

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
    strategies: tuple[Strategy, ...],
    *,
    beta: float,
) -> Prediction | None:
    """The prediction for a run; None where this theory is silent.

    It speaks of decoders whose pixels are independent given z (an autoregressive one has a better
    trivial solution), of the plain objective D + beta R, and of likelihoods with a known score.
    """
    plain = all(strategy.slots <= HARMLESS for strategy in strategies)
    if family.autoregressive or not plain:
        return None
    found = spectrum(data, likelihood)
    if found is None:
        return None
    count, exact = found.unstable(beta)
    return Prediction(found.critical_beta, beta, count, not exact, family.latent_dim)


def held_against(prediction: Prediction, measured: int) -> dict:
    """The group `prediction` of a diagnosis: the count that was measured beside the expected one.

    measured: active dimensions. The theory is local: it counts the directions in which the
    collapsed point is unstable. Only for the linear Gaussian model is that the number in use.
    """
    expected = prediction.expected_active
    both = (expected > 0) == (measured > 0)
    agrees = both and abs(measured - expected) <= max(1, CLOSE * expected)
    sentence = (
        f"Theory: {prediction.words}, so {expected} of {prediction.latent_dim} dimensions can be "
        f"in use; measured: {measured}"
    )
    if agrees:
        sentence += ", which agrees."
    elif measured < expected:
        sentence += ". That a direction can leave collapse does not say that it pays to keep it."
    else:
        sentence += (
            ". The count is a local one: away from the collapsed point more can be in use, and a "
            "dimension that is still dying counts as active."
        )
    return {
        "critical_beta": prediction.critical_beta,
        "beta": prediction.beta,
        "unstable_directions": prediction.unstable_directions,
        "expected_active": expected,
        "measured_active": measured,
        "agrees": agrees,
        "sentence": sentence,
    }
