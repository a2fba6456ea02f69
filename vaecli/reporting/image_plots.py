"""Figures made of n pictures (C, H, W) in [0, 1]: reconstructions, samples, traversals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from matplotlib.figure import Figure

from vaecli.reporting.figure import INK, SOFT, WIDTH_INCHES, figure, titled
from vaecli.reporting.mosaic import mosaic

if TYPE_CHECKING:
    from torch import Tensor

MOST_ROWS = 16  # of a traversal; more would be too small to see


def reconstructions(originals: Tensor, reconstructed: Tensor) -> Figure:
    """Originals above, their reconstructions below; both (n, C, H, W), at most 12 are shown."""
    count = min(len(originals), len(reconstructed), 12)
    pairs = torch.cat([originals[:count].cpu().float(), reconstructed[:count].cpu().float()])
    drawn, axes = _sheet(pairs, columns=count)
    axes.set_yticks(_centres(2, axes), ["original", "through\nthe code"], fontsize=10)
    titled(
        axes,
        "Reconstructions",
        "Healthy: below resembles above. Collapsed: every picture below is the same average,\n"
        "whatever stands above it, because the code says nothing about x.",
    )
    return drawn


def samples(pictures: Tensor) -> Figure:
    """Decoded draws from the prior, (n, C, H, W); at most 64 are shown."""
    shown = pictures[:64]
    drawn, axes = _sheet(shown, columns=min(len(shown), 16))
    titled(
        axes,
        "Samples: decoded draws from the prior",
        "Healthy: the pictures differ. Collapsed with a weak decoder: all alike. A strong decoder "
        "(autoregressive)\ncan draw varied samples with a dead code: look at the traversals too.",
    )
    return drawn


def traversals(pictures: Tensor, traversed: list[int], kl: list[float], *, threshold: float):
    """One dimension moved per row: pictures (dims, steps, C, H, W), kl (Z,) nats -> Figure."""
    rows = min(len(pictures), MOST_ROWS)
    steps = pictures.shape[1]
    drawn, axes = _sheet(pictures[:rows].flatten(0, 1), columns=steps)  # (rows*steps, C, H, W)
    names = [
        f"z_{j}   KL {kl[j]:.2g}" if j < len(kl) and kl[j] is not None else f"z_{j}"
        for j in list(traversed)[:rows]
    ]
    axes.set_yticks(_centres(rows, axes), names, fontsize=9.5)
    for j, text in zip(traversed, axes.get_yticklabels(), strict=False):
        alive = j < len(kl) and kl[j] is not None and kl[j] > threshold
        text.set_color(INK if alive else SOFT)
        text.set_weight("bold" if alive else "normal")
    axes.set_xlabel("z_j from low to high, all other dimensions held", fontsize=10, color=INK)
    titled(
        axes,
        "Traversals: what each dimension does",
        "Healthy: the picture changes along the row. Collapsed (grey label, KL in nats\n"
        "below the threshold): nothing happens, the decoder ignores that dimension.",
    )
    return drawn


def _sheet(pictures: Tensor, *, columns: int):
    """A figure that holds one mosaic of (n, C, H, W), as wide as the page."""
    sheet = mosaic(pictures, columns=columns)
    height, width = sheet.shape[:2]
    inches = min(WIDTH_INCHES, max(4.5, width / 75))
    drawn, axes = figure(min(0.95 + inches * 0.92 * height / width, 14), width=WIDTH_INCHES)
    axes.imshow(sheet, interpolation="nearest", aspect="equal")
    axes.set_anchor("W")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xticks([])
    axes.set_yticks([])
    return drawn, axes


def _centres(rows: int, axes) -> list[float]:
    """Heights of the middles of `rows` rows of pictures, in pixels of the mosaic."""
    bottom, top = axes.get_ylim()
    return [(row + 0.5) * (bottom - top) / rows + top for row in range(rows)]
