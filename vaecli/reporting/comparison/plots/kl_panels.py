"""KL per dimension over training, one small picture for each setting."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vaecli.diagnosis.reading import value
from vaecli.reporting.comparison.groups import Comparison, Setting, names
from vaecli.reporting.comparison.plots import parts
from vaecli.reporting.plots import heat, look, pieces

MOST = 12  # pictures
COLUMNS = 480  # of a picture: more evaluations than this are thinned


def with_history(comparison: Comparison) -> list[tuple[Setting, np.ndarray, np.ndarray]]:
    """Settings with epochs (T,) and KL (T, Z) of their run of the lowest seed; at most `MOST`.

    Spread over the settings if there are more.
    """
    finished = [s for s in comparison.settings if s.first is not None]
    settings = [finished[place] for place in heat.spread_evenly(len(finished), MOST)]
    histories = [(setting, *heat.kl_matrix(setting.first.history)) for setting in settings]
    return [(setting, epochs, kl) for setting, epochs, kl in histories if kl.size]


def kl_multiples(histories: list[tuple[Setting, np.ndarray, np.ndarray]]) -> Figure:
    """One heat map a setting on one scale of colours; `histories` are those of `with_history`."""
    settings = [setting for setting, _, _ in histories]
    thresholds = [value(s.first.diagnosis, "threshold") for s in settings]
    threshold = next((t for t in thresholds if t is not None and t > heat.LOWEST_NATS), 0.01)
    highest = max(heat.highest_nats(kl, threshold) for _, _, kl in histories)
    style = pieces.kl_look(highest, threshold)
    drawn, grid = parts.panels(
        len(histories),
        columns=2 if len(histories) in (2, 4) else 3,
        each=2.2 if len(histories) > 1 else 3.6,
        title="KL per latent dimension during training",
    )
    for axes, (setting, epochs, kl), name in zip(grid, histories, names(settings), strict=True):
        evaluations, (_, dimensions) = heat.spread_evenly(len(kl), COLUMNS), kl.shape
        cells = pieces.kl_cells(kl[evaluations][:, heat.by_last_kl(kl)].T, highest)
        rows = np.arange(dimensions + 1)
        mesh = axes.pcolormesh(heat.borders(epochs[evaluations]), rows, cells, **style)
        axes.set_ylim(dimensions, 0)
        axes.set_yticks([0.5, dimensions - 0.5], ["1", str(dimensions)])
        axes.xaxis.set_major_locator(MaxNLocator(4))
        run, name = setting.first, name or setting.first.name
        several = run.seed is not None and len(setting.runs) > 1
        parts.headed(axes, f"{name}, seed {run.seed}" if several else name, 30)
        axes.set_xlabel("epoch", fontsize=8, color=look.INK)
    pieces.kl_bar(drawn, mesh, grid, threshold)
    return drawn
