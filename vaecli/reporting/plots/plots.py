"""All the pictures of a run, written as PNGs. Matplotlib is imported only when one is drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vaecli.core.atomic import whole
from vaecli.diagnosis.reading import leaf

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor


class Pictures(NamedTuple):
    """What the figures beside the numbers are made of; a field that is None draws nothing.

    Data that are no pictures, (n, D) say, draw nothing either; of sequences these stay None.
    n pictures, N coded examples, Z latent dimensions, M points of the map; tensors on any device.
    """

    originals: Tensor | None = None  # (n, C, H, W) in [0, 1]
    reconstructions: Tensor | None = None  # (n, C, H, W)
    samples: Tensor | None = None  # (n, C, H, W), decoded draws from the prior
    traversals: Tensor | None = None  # (dims, steps, C, H, W)
    traversed: list[int] | None = None  # dimension of each row of `traversals`, by falling KL_j
    mu: Tensor | None = None  # (N, Z)
    logvar: Tensor | None = None  # (N, Z)
    codes: Tensor | None = None  # (N, Z), one z ~ q(z|x) of each example
    kl: Tensor | None = None  # (N, Z) KL_j of each example, nats
    labels: Tensor | None = None  # (N,)
    tsne: Tensor | None = None  # (M, 2)
    tsne_labels: Tensor | None = None  # (M,)


def write_plots(
    directory: Path, history: list[dict], diagnosis: dict, pictures: Pictures
) -> list[Path]:
    """Write every figure that the inputs allow into `directory`; return the paths in page order.

    history: rows of metrics.jsonl (any number, NaN and None allowed). diagnosis: diagnosis.json;
    a group that it lacks draws nothing.
    Each file appears complete or not at all. About 3 s on one core.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, draw in _drawings(history, diagnosis, pictures):
        path = directory / f"{name}.png"
        with whole(path) as file:
            draw().canvas.print_png(file)
        written.append(path)
    return written


def _drawings(
    history: list[dict], diagnosis: dict, pictures: Pictures
) -> list[tuple[str, Callable[[], Figure]]]:
    """File name and drawing of each figure, in page order."""
    from vaecli.reporting.plots import (
        image_plots,
        latent_plots,
        posterior_plots,
        training_plots,
        use_plots,
    )

    threshold = float(diagnosis.get("threshold") or 0.01)  # nats
    kl = diagnosis.get("kl_per_dim") or []
    p = pictures
    drawings: list[tuple[str, Callable[[], Figure]]] = [
        ("kl_heatmap", lambda: training_plots.kl_heatmap(history, threshold=threshold)),
        (
            "active_over_training",
            lambda: training_plots.active_over_training(history, threshold=threshold),
        ),
        ("rate_distortion", lambda: training_plots.rate_distortion(history)),
        ("kl_per_dim", lambda: latent_plots.kl_per_dim(diagnosis)),
    ]
    if leaf(diagnosis, "latent_use", "rise_per_dim"):
        drawings.append(("latent_use", lambda: use_plots.latent_use(diagnosis)))
    if leaf(diagnosis, "sequences", "rise_by_position"):
        drawings.append(("use_by_position", lambda: use_plots.use_by_position(diagnosis)))
    if leaf(diagnosis, "information", "rate_split"):
        drawings.append(("rate_split", lambda: use_plots.rate_split(diagnosis)))
    if p.mu is not None and p.logvar is not None:
        drawings.append(
            ("latent_variance", lambda: latent_plots.latent_variance(p.mu, p.logvar)),
        )
    if p.codes is not None and p.codes.numel():
        drawings.append(
            (
                "aggregate_posterior",
                lambda: posterior_plots.aggregate_posterior(
                    p.codes, diagnosis, mu=p.mu, logvar=p.logvar
                ),
            )
        )
    if leaf(diagnosis, "collapse_curve", "epsilon"):
        drawings.append(("collapse_curve", lambda: use_plots.collapse_curve(diagnosis, p.kl)))
    if p.tsne is not None and len(p.tsne):
        drawings.append(
            (
                "tsne",
                lambda: latent_plots.tsne(
                    p.tsne, p.tsne_labels, mu_variance=diagnosis.get("mu_variance")
                ),
            )
        )
    if _some(p.originals) and _some(p.reconstructions):
        drawings.append(
            (
                "reconstructions",
                lambda: image_plots.reconstructions(p.originals, p.reconstructions),
            )
        )
    if _some(p.samples):
        drawings.append(("samples", lambda: image_plots.samples(p.samples)))
    if _some(p.traversals, 5) and p.traversed is not None:
        drawings.append(
            (
                "traversals",
                lambda: image_plots.traversals(p.traversals, p.traversed, kl, threshold=threshold),
            )
        )
    return drawings


def _some(pictures: Tensor | None, dimensions: int = 4) -> bool:
    """Whether there is a picture to show: vectors and sequences of tokens are none."""
    return pictures is not None and pictures.ndim == dimensions and pictures.numel() > 0
