"""Theory's curve over beta, from the predictions that runs carry in their diagnosis."""

from __future__ import annotations

from typing import NamedTuple

from vaecli.diagnosis.reading import leaf, value
from vaecli.reporting.comparison.groups import BETA, Comparison, Setting, label_settings
from vaecli.reporting.comparison.runs import RunRecord
from vaecli.reporting.comparison.swept import canonical

LEARNED = "gaussian_learned"
MANY = 4  # predictions that one plot can show


class TheoryCurve(NamedTuple):
    """The number of dimensions that theory expects in use, of settings with one prediction."""

    label: str  # the values that the settings share, beside beta
    critical_beta: float
    latent_dim: int
    direction_betas: tuple[float, ...]  # descending
    # (beta, expected count) of the runs themselves, where theory knows no curve between them
    at_betas: tuple[tuple[float, float], ...] | None

    def steps(self, low: float, high: float) -> list[tuple[float, int]]:
        """Corners of the curve min(latent_dim, #{direction betas > beta}) from `low` to `high`.

        The count holds from its beta to the next. Begins above `low` if the directions below are
        not known.
        """
        betas = self.direction_betas[: self.latent_dim]
        if betas and len(betas) < self.latent_dim:
            low = max(low, betas[-1])
        if not betas or low >= high:
            return []
        corners = sorted({low, *(b for b in betas if low < b < high), high})
        return [(beta, sum(b > beta for b in betas)) for beta in corners]


def predictions(comparison: Comparison) -> list[TheoryCurve]:
    """The different predictions of the settings along beta, at most four."""
    alike: dict[tuple, list[Setting]] = {}
    for _, settings in comparison.lines(BETA):
        run = next((r for s in settings for r in s.done if _direction_betas(r)), None)
        if run is not None:
            rounded = tuple(f"{beta:.3g}" for beta in _direction_betas(run))
            key = (rounded, _latent_dim(run), _is_learned(run))
            alike.setdefault(key, []).extend(settings)
    groups = list(alike.values())[:MANY]
    labels = label_settings([_common_values(settings) for settings in groups], without=(BETA,))
    return [_curve(*pair) for pair in zip(labels, groups, strict=True)]


def _common_values(settings: list[Setting]) -> Setting:
    """A setting with the values that all settings have in common."""
    first = settings[0].values
    differ = {k for k in first if len({canonical(s.values[k]) for s in settings}) > 1}
    return Setting({k: None if k in differ else v for k, v in first.items()}, (), {})


def _curve(label: str, settings: list[Setting]) -> TheoryCurve:
    runs = [run for setting in settings for run in setting.done if _direction_betas(run)]
    betas = _direction_betas(runs[0])
    at_betas = _expected_counts(runs) if _is_learned(runs[0]) else None
    return TheoryCurve(label, betas[0], _latent_dim(runs[0]), betas, at_betas)


def missing_note(comparison: Comparison) -> str:
    """A sentence for the caption on why some curves are missing; empty if none is."""
    lacking = sum(1 for run in comparison.done if not _direction_betas(run))
    if not lacking:
        return ""
    which = "One of the runs has no" if lacking == 1 else f"{lacking} of the runs have no"
    if lacking == len(comparison.done):
        which = "None of the runs has a"
    return (
        f" {which} prediction: theory is silent on autoregressive decoders, on strategies that "
        "change the objective, and where the data's spectrum would take too long."
    )


def _direction_betas(run: RunRecord) -> tuple[float, ...]:
    """The critical beta of each direction, descending; () without a prediction."""
    betas = leaf(run.diagnosis, "prediction", "direction_betas")
    if not isinstance(betas, list) or not all(isinstance(b, int | float) for b in betas):
        return ()
    return tuple(sorted(map(float, betas), reverse=True))


def _latent_dim(run: RunRecord) -> int:
    return int(run.figure("total_dimensions") or len(_direction_betas(run)))


def _is_learned(run: RunRecord) -> bool:
    return (run.config or {}).get("likelihood.name") == LEARNED


def _expected_counts(runs: list[RunRecord]) -> tuple[tuple[float, float], ...]:
    """Beta and expected count of the runs that have both, by rising beta."""
    groups = [leaf(run.diagnosis, "prediction") or {} for run in runs]
    pairs = {(value(group, "beta"), value(group, "expected_active")) for group in groups}
    return tuple(sorted((b, count) for b, count in pairs if b is not None and count is not None))
