"""KL per dimension over training, one small picture for each setting."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vaecli.diagnosis.reading import value
from vaecli.reporting.comparison.groups import Comparison, Setting, names
from vaecli.reporting.comparison.plots.axes import headed, kl_bar, panels
from vaecli.reporting.plots.figure import INK
from vaecli.reporting.plots.heat import (
    LOWEST_NATS,
    NOT_FINITE,
    by_last_kl,
    colour_table,
    highest_nats,
    kl_matrix,
)

MOST = 12  # pictures
COLUMNS = 480  # of a picture: more evaluations than this are thinned


def with_history(comparison: Comparison) -> list[tuple[Setting, np.ndarray, np.ndarray]]:
    """Settings with epochs (T,) and KL (T, Z) of their run of the lowest seed; at most `MOST`.

    Spread over the settings if there are more.
    """
    able = [s for s in comparison.settings if s.first is not None]
    chosen = np.linspace(0, len(able) - 1, min(len(able), MOST)).round().astype(int)
    found = []
    for setting in (able[place] for place in chosen):
        epochs, kl = kl_matrix(_sound(setting.first.history))
        if kl.size:
            found.append((setting, epochs, kl))
    return found


def kl_multiples(found: list[tuple[Setting, np.ndarray, np.ndarray]]) -> Figure:
    """One heat map a setting on one scale of colours; `found` as `with_history` returns it."""
    thresholds = [value(s.first.diagnosis, "threshold") for s, *_ in found]
    threshold = next((t for t in thresholds if t is not None and t > LOWEST_NATS), 0.01)
    highest = max(highest_nats(kl, threshold) for *_, kl in found)
    colours = ListedColormap(colour_table(highest, threshold) / 255.0)
    colours = colours.with_extremes(bad=np.array(NOT_FINITE) / 255.0)
    columns = 2 if len(found) in (2, 4) else 3
    drawn, grid = panels(len(found), columns=columns, each=2.2 if len(found) > 1 else 3.6,
                         title="KL per latent dimension during training", share=False)  # fmt: skip
    settings = [setting for setting, *_ in found]
    called = dict(zip(map(id, settings), names(settings), strict=True))
    mesh = None
    for axes, (setting, epochs, kl) in zip(grid, found, strict=True):
        kept = np.linspace(0, len(kl) - 1, min(len(kl), COLUMNS)).round().astype(int)
        cells = np.ma.masked_invalid(np.clip(kl[kept][:, by_last_kl(kl)].T, LOWEST_NATS, highest))
        mesh = axes.pcolormesh(
            _borders(epochs[kept]), np.arange(kl.shape[1] + 1), cells, cmap=colours,
            norm=LogNorm(LOWEST_NATS, highest),
        )  # fmt: skip
        axes.set_ylim(kl.shape[1], 0)
        axes.set_yticks([0.5, kl.shape[1] - 0.5], ["1", str(kl.shape[1])])
        axes.xaxis.set_major_locator(MaxNLocator(4))
        several = setting.first.seed is not None and len(setting.runs) > 1
        name = called.get(id(setting)) or setting.first.name
        headed(axes, f"{name}, seed {setting.first.seed}" if several else name, 30)
        axes.set_xlabel("epoch", fontsize=8, color=INK)
    kl_bar(drawn, mesh, grid, threshold)
    return drawn


def _borders(epochs: np.ndarray) -> np.ndarray:
    """Borders (T+1,) of the stretch of training that each evaluation (T,) stands for."""
    if len(epochs) == 1:
        return np.array([epochs[0] - 0.5, epochs[0] + 0.5])
    return np.concatenate([epochs[:1], (epochs[1:] + epochs[:-1]) / 2, epochs[-1:]])


def _sound(history: list[dict]) -> list[dict]:
    """The rows whose KL is a list of numbers."""
    return [
        row
        for row in history
        if isinstance(row.get("kl_per_dim"), list)
        and all(v is None or isinstance(v, int | float) for v in row["kl_per_dim"])
        and isinstance(row.get("epoch", 0), int | float)
    ]
