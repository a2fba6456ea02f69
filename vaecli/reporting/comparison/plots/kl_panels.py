"""KL per dimension over training, one small picture for each setting."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vaecli.reporting.comparison.groups import Comparison, Setting, label_settings
from vaecli.reporting.comparison.plots import parts
from vaecli.reporting.comparison.runs import RunRecord
from vaecli.reporting.plots import heat, look, pieces

MOST = 12  # pictures
COLUMNS = 480  # of a picture: more evaluations than this are thinned


class History(NamedTuple):
    """KL over training of the run that stands for its setting."""

    setting: Setting
    run: RunRecord
    epochs: np.ndarray  # (T,)
    kl: np.ndarray  # (T, Z), nats


def kl_histories(comparison: Comparison) -> list[History]:
    """The history of each setting's run with the lowest seed, if it has one; at most `MOST`.

    Spread over the settings if there are more.
    """
    finished = [(s, run) for s in comparison.settings if (run := s.first) is not None]
    pairs = [finished[place] for place in heat.spread_evenly(len(finished), MOST)]
    histories = [History(setting, run, *heat.kl_matrix(run.history)) for setting, run in pairs]
    return [history for history in histories if history.kl.size]


def kl_multiples(histories: list[History]) -> Figure:
    """One heat map a setting, all on one scale of colours."""
    threshold = parts.threshold_of((h.run for h in histories), above=heat.LOWEST_NATS)
    highest = max(heat.highest_nats(history.kl, threshold) for history in histories)
    style = pieces.kl_look(highest, threshold)
    fig, grid = parts.panels(
        len(histories),
        columns=2 if len(histories) in (2, 4) else 3,
        each=2.2 if len(histories) > 1 else 3.6,
        title="KL per latent dimension during training",
    )
    labels = label_settings([history.setting for history in histories])
    for axes, (setting, run, epochs, kl), label in zip(grid, histories, labels, strict=True):
        evaluations, (_, dimensions) = heat.spread_evenly(len(kl), COLUMNS), kl.shape
        cells = pieces.kl_cells(kl[evaluations][:, heat.by_last_kl(kl)].T, highest)
        rows = np.arange(dimensions + 1)
        mesh = axes.pcolormesh(heat.borders(epochs[evaluations]), rows, cells, **style)
        axes.set_ylim(dimensions, 0)
        axes.set_yticks([0.5, dimensions - 0.5], ["1", str(dimensions)])
        axes.xaxis.set_major_locator(MaxNLocator(4))
        title = label or run.name
        several = run.seed is not None and len(setting.runs) > 1
        parts.set_panel_title(axes, f"{title}, seed {run.seed}" if several else title, 30)
        axes.set_xlabel("epoch", fontsize=8, color=look.INK)
    pieces.kl_bar(fig, mesh, grid, threshold)
    return fig
