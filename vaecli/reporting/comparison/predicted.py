"""Theory's curve over beta, from the predictions that runs carry in their diagnosis."""

from __future__ import annotations

from typing import NamedTuple

from vaecli.diagnosis.reading import leaf, value
from vaecli.reporting.comparison.groups import BETA, Comparison, Setting, names
from vaecli.reporting.comparison.runs import RunRecord
from vaecli.reporting.comparison.swept import canonical

LEARNED = "gaussian_learned"
MANY = 4  # predictions that one plot can show


class Predicted(NamedTuple):
    """How many dimensions theory expects in use, of settings that share one prediction."""

    label: str  # what the settings share beside beta
    critical_beta: float
    latent_dim: int
    direction_betas: tuple[float, ...]  # descending
    # (beta, expected count) of the runs themselves, where no curve between them is known
    at_betas: tuple[tuple[float, float], ...] | None

    def steps(self, low: float, high: float) -> list[tuple[float, int]]:
        """Corners of the curve min(latent_dim, #{direction betas > beta}) from `low` to `high`.

        The count holds from its beta to the next. Begins above `low` if the directions below are
        not known.
        """
        known = self.direction_betas[: self.latent_dim]
        if not known or high <= low:
            return []
        start = low if len(known) == self.latent_dim else max(low, known[-1])
        if start >= high:
            return []
        corners = sorted({start, *(b for b in known if start < b < high), high})
        return [(beta, sum(b > beta for b in known)) for beta in corners]


def predictions(comparison: Comparison) -> list[Predicted]:
    """The different predictions of the settings along beta, at most four."""
    found: dict[tuple, list[Setting]] = {}
    for _, settings in comparison.lines(BETA):
        run = next((r for s in settings for r in s.done if _directions(r)), None)
        if run is not None:
            rounded = tuple(f"{beta:.3g}" for beta in _directions(run))
            same = (rounded, _latent_dim(run), _is_learned(run))
            found.setdefault(same, []).extend(settings)
    several = list(found.values())[:MANY]
    called = names([_shared(settings) for settings in several], without=(BETA,))
    return [_prediction(*pair) for pair in zip(called, several, strict=True)]


def _shared(settings: list[Setting]) -> Setting:
    """What all settings have in common."""
    first = settings[0].values
    differ = {k for k in first if len({canonical(s.values[k]) for s in settings}) > 1}
    return Setting({k: None if k in differ else v for k, v in first.items()}, (), {})


def _prediction(label: str, settings: list[Setting]) -> Predicted:
    runs = [run for setting in settings for run in setting.done if _directions(run)]
    directions = _directions(runs[0])
    return Predicted(
        label,
        directions[0],
        _latent_dim(runs[0]),
        directions,
        _expected(runs) if _is_learned(runs[0]) else None,
    )


def silent(comparison: Comparison) -> str:
    """Why some curves are missing, for a caption; empty if none is."""
    lacking = [run for run in comparison.done if not _directions(run)]
    if not lacking:
        return ""
    if len(lacking) == len(comparison.done):
        which = "None of the runs has a"
    elif len(lacking) == 1:
        which = "One of the runs has no"
    else:
        which = f"{len(lacking)} of the runs have no"
    return (
        f" {which} prediction: theory is silent on autoregressive decoders, on strategies that "
        "change the objective, and where the data's spectrum would take too long."
    )


def learned_points(comparison: Comparison) -> bool:
    """Whether some prediction is points at the runs' betas."""
    return any(found.at_betas is not None for found in predictions(comparison))


def _directions(run: RunRecord) -> tuple[float, ...]:
    found = leaf(run.diagnosis, "prediction", "direction_betas")
    if not isinstance(found, list) or not all(isinstance(b, int | float) for b in found):
        return ()
    return tuple(sorted(map(float, found), reverse=True))


def _latent_dim(run: RunRecord) -> int:
    return int(run.figure("total_dimensions") or len(_directions(run)))


def _is_learned(run: RunRecord) -> bool:
    return (run.config or {}).get("likelihood.name") == LEARNED


def _expected(runs: list[RunRecord]) -> tuple[tuple[float, float], ...]:
    found = set()
    for run in runs:
        beta = value(run.diagnosis, "prediction", "beta")
        count = value(run.diagnosis, "prediction", "expected_active")
        if beta is not None and count is not None:
            found.add((beta, count))
    return tuple(sorted(found))
