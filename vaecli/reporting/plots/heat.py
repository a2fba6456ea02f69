"""KL per latent dimension over training, as numbers and as colours: the content of the heat maps.

T evaluations, Z latent dimensions; all KL in nats per example. NumPy only: TensorBoard's image and
matplotlib's figure share the colour table, so that a dimension looks the same in both.
"""

from __future__ import annotations

import numpy as np

LOWEST_NATS = 1e-4  # a KL below this is drawn as this; it is 1 % of the usual activity threshold
# The viridis colours, reversed: dark is much. Legible to every kind of colour vision.
_ALIVE = np.array([(253, 231, 37), (122, 209, 81), (34, 168, 132), (42, 120, 142), (68, 1, 84)])
_DEAD = np.array([(240, 240, 240), (200, 200, 200)])
NOT_FINITE = (213, 94, 0)  # vermilion: NaN or missing, as in a run that diverged


def column(history: list[dict], key: str) -> np.ndarray:
    """One figure over training, (T,) float64; a missing key, None or text is NaN."""
    values = [row.get(key) for row in history]
    return np.array([v if isinstance(v, (int, float)) else np.nan for v in values], dtype=float)


def kl_matrix(history: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Epochs (T,) and KL per dimension (T, Z) in nats of the rows that have both; NaN for None.

    A row without an epoch gets its place in the history, which may come from a damaged file.
    """
    pairs = [
        (float(row.get("epoch", number)), row["kl_per_dim"])
        for number, row in enumerate(history)
        if _has_kl(row)
    ]
    if not pairs:
        return np.zeros(0), np.zeros((0, 0))
    width = len(pairs[-1][1])
    pairs = [(epoch, kl) for epoch, kl in pairs if len(kl) == width]
    kl = np.array([[np.nan if v is None else v for v in row] for _, row in pairs], dtype=float)
    return np.array([epoch for epoch, _ in pairs]), kl  # (T,), (T, Z)


def _has_kl(row: dict) -> bool:
    kl, epoch = row.get("kl_per_dim"), row.get("epoch", 0)
    return (
        isinstance(epoch, int | float)
        and isinstance(kl, list)
        and len(kl) > 0
        and all(v is None or isinstance(v, int | float) for v in kl)
    )


def by_last_kl(kl: np.ndarray) -> np.ndarray:
    """Dimensions (Z,) in order of falling KL at the last evaluation that is finite; kl (T, Z)."""
    finite = np.isfinite(kl).all(axis=1)
    last = kl[finite][-1] if finite.any() else np.nan_to_num(kl[-1], nan=0.0)
    return np.argsort(-last, kind="stable")


def borders(epochs: np.ndarray) -> np.ndarray:
    """Borders (T+1,) of the stretch of training that each evaluation (T,) stands for."""
    if len(epochs) == 1:
        return np.array([epochs[0] - 0.5, epochs[0] + 0.5])
    return np.concatenate([epochs[:1], (epochs[1:] + epochs[:-1]) / 2, epochs[-1:]])


def colour_table(highest: float, threshold: float) -> np.ndarray:
    """Colours for log(KL) from `LOWEST_NATS` to `highest` nats: (256, 3) uint8.

    Greys below `threshold` (collapsed), viridis above: the step between them is the boundary that a
    dimension crosses when it dies.
    """
    share = np.log(threshold / LOWEST_NATS) / np.log(highest / LOWEST_NATS)
    dead = int(np.clip(round(256 * share), 1, 254))
    return np.concatenate([_ramp(_DEAD, dead), _ramp(_ALIVE, 256 - dead)]).astype(np.uint8)


def highest_nats(kl: np.ndarray, threshold: float) -> float:
    """Upper end of the colour scale in nats, at least 100 thresholds so that scales compare."""
    finite = kl[np.isfinite(kl)]
    return float(max(finite.max(initial=0.0), 100 * threshold))


def heat_image(history: list[dict], threshold: float) -> np.ndarray | None:
    """The heat map as pixels (H, W, 3) uint8: a row a dimension, the highest last KL on top.

    At most 600 evaluations, however long the run; None when there is nothing to draw.
    """
    _, kl = kl_matrix(history)
    if not kl.size:
        return None
    kl = kl[:, by_last_kl(kl)]
    kl = kl[spread_evenly(len(kl), 600)]
    highest = highest_nats(kl, threshold)
    # 0 at the lower end of the logarithmic scale, 1 at its upper end.
    place = np.log(np.clip(kl, LOWEST_NATS, highest) / LOWEST_NATS) / np.log(highest / LOWEST_NATS)
    index = np.nan_to_num(place * 255.999, nan=0.0).astype(np.uint8)  # (T, Z)
    pixels = colour_table(highest, threshold)[index]  # (T, Z, 3)
    pixels[~np.isfinite(kl)] = NOT_FINITE
    pixels = pixels.transpose(1, 0, 2)  # (Z, T, 3)
    rows, columns, _ = pixels.shape
    # Each cell becomes a block of pixels, so that the picture is at least about 256 x 400.
    return pixels.repeat(-(-256 // rows), axis=0).repeat(-(-400 // columns), axis=1)


def spread_evenly(count: int, most: int) -> np.ndarray:
    """Indices into `count` things, at most so many, evenly from the first to the last."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)


def _ramp(anchors: np.ndarray, count: int) -> np.ndarray:
    """`count` colours evenly along the anchors: (count, 3) float."""
    along = np.linspace(0, len(anchors) - 1, count)
    return np.stack([np.interp(along, range(len(anchors)), a) for a in anchors.T], axis=1)
