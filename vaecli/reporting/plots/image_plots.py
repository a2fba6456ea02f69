"""Sheets of n pictures (C, H, W) in [0, 1]: reconstructions, samples, traversals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaecli.reporting.plots import look
from vaecli.reporting.plots.mosaic import mosaic

if TYPE_CHECKING:
    from torch import Tensor

MOST_ROWS = 16  # of the traversals; more would be too small to see


def reconstructions(originals: Tensor, reconstructed: Tensor) -> Figure:
    """Originals above, their reconstructions below; both (n, C, H, W), at most 12 are shown."""
    count = min(len(originals), len(reconstructed), 12)
    pairs = torch.cat([originals[:count].cpu().float(), reconstructed[:count].cpu().float()])
    fig, axes = _sheet(pairs, columns=count, left=0.85)
    axes.set_yticks(_centres(2, axes), ["original", "through\nthe code"], fontsize=10)
    look.set_title(
        axes,
        "Reconstructions",
        "Healthy: below resembles above. Collapsed: every picture below is the same average, "
        "whatever stands above it, because the code says nothing about x.",
        characters=92,
    )
    return fig


def samples(pictures: Tensor) -> Figure:
    """Decoded draws from the prior, (n, C, H, W); at most 64 are shown."""
    shown = pictures[:64]
    fig, axes = _sheet(shown, columns=min(len(shown), 16))
    look.set_title(
        axes,
        "Samples: decoded draws from the prior",
        "Healthy: the pictures differ. Collapsed with a weak decoder: all alike. A strong "
        "(autoregressive) decoder can draw varied samples with a dead code: look at the traversals "
        "too.",
    )
    return fig


def traversals(
    pictures: Tensor, traversed: list[int], kl: list[float | None], threshold: float
) -> Figure:
    """One dimension moved per row: pictures (dims, steps, C, H, W); kl (Z,) nats, for the labels.

    A row whose KL is not above `threshold` gets a grey label. At most 16 rows are shown.
    """
    rows = min(len(pictures), MOST_ROWS)
    steps = pictures.shape[1]
    tiles = pictures[:rows].flatten(0, 1)  # (rows*steps, C, H, W)
    fig, axes = _sheet(tiles, columns=steps, left=1.45, below=0.35)
    shown = [(j, kl[j] if j < len(kl) else None) for j in list(traversed)[:rows]]
    names = [f"z_{j}" if nats is None else f"z_{j}   KL {nats:.2g}" for j, nats in shown]
    axes.set_yticks(_centres(rows, axes)[: len(names)], names, fontsize=9.5)
    for (_, nats), text in zip(shown, axes.get_yticklabels(), strict=True):
        alive = nats is not None and nats > threshold
        text.set_color(look.INK if alive else look.SOFT)
        text.set_fontweight("bold" if alive else "normal")
    axes.set_xlabel("z_j from low to high, all other dimensions held", fontsize=10, color=look.INK)
    look.set_title(
        axes,
        "Traversals: what each dimension does",
        "Healthy: the picture changes along the row. Collapsed (grey label: KL in nats below the "
        "threshold): nothing happens, the decoder ignores that dimension.",
        characters=86,
    )
    return fig


def _sheet(
    pictures: Tensor, *, columns: int, left: float = 0.1, below: float = 0.1
) -> tuple[Figure, Axes]:
    """A figure that holds one mosaic of (n, C, H, W); left, below: room beside it in inches."""
    sheet = mosaic(pictures, columns=columns)
    rows = -(-len(pictures) // columns)
    above, right = 0.78, 0.1
    wide = look.WIDTH_INCHES - left - right
    # Few pictures are not blown up to the full width, and many rows stay on one screen.
    tall = min(wide * sheet.shape[0] / sheet.shape[1], 1.3 * rows, 11.0)
    wide = tall * sheet.shape[1] / sheet.shape[0]
    height = above + tall + below
    fig, axes = look.blank(height)
    fig.set_layout_engine("none")  # the mosaic has a fixed size
    left, wide = left / look.WIDTH_INCHES, wide / look.WIDTH_INCHES
    axes.set_position((left, below / height, wide, tall / height))
    axes.imshow(sheet, interpolation="auto", aspect="auto")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set(xticks=[], yticks=[])
    return fig, axes


def _centres(rows: int, axes: Axes) -> list[float]:
    """Heights of the middles of `rows` rows of pictures, in pixels of the mosaic."""
    bottom, top = axes.get_ylim()
    return [(row + 0.5) * (bottom - top) / rows + top for row in range(rows)]
