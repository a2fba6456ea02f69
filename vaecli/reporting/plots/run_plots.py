"""All the pictures of a run, written as PNGs. Matplotlib is imported only when one is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vaecli.core.atomic import whole
from vaecli.diagnosis.reading import leaf, threshold
from vaecli.training.progress import collapse_step

if TYPE_CHECKING:
    from torch import Tensor


class Pictures(NamedTuple):
    """Tensors for the figures that need more than numbers; a field that is None draws nothing.

    Reconstructions, samples and traversals are drawn of images only: of vectors (n, D) they are
    passed and not drawn, of sequences they are None.
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
    directory: Path,
    history: list[dict],
    diagnosis: dict,
    pictures: Pictures,
    summary: dict[str, Any] | None = None,
) -> list[Path]:
    """Write every figure that the inputs allow into `directory`; return the paths in page order.

    Each file appears complete or not at all. About 3 s on one core.

    Args:
        directory: Created if it is missing.
        history: Rows of metrics.jsonl, any number; NaN and None are allowed.
        diagnosis: The content of diagnosis.json; a group that it lacks draws nothing.
        pictures: The tensors to draw.
        summary: The content of summary.json, for the step at which the run collapsed.
    """
    from vaecli.reporting.plots import look

    directory.mkdir(parents=True, exist_ok=True)
    collapsed_at_step = _collapsed_at_step(history, summary or {})
    written = []
    for possible, draw, *inputs in _table(history, diagnosis, pictures, collapsed_at_step):
        if possible:
            written.append(directory / f"{draw.__name__}.png")
            with whole(written[-1]) as file:
                look.write_png(draw(*inputs), file)
    return written


def _table(
    history: list[dict], diagnosis: dict, p: Pictures, collapsed_at_step: int | None
) -> list[tuple[Any, ...]]:
    """A row a figure, in page order: whether it can be drawn, its function, the function's inputs.

    The name of the function is that of the file.
    """
    from vaecli.reporting.plots import image_plots as image
    from vaecli.reporting.plots import latent_plots as latent
    from vaecli.reporting.plots import posterior_plots as posterior
    from vaecli.reporting.plots import training_plots as training
    from vaecli.reporting.plots import use_plots as use

    def has(*path: str) -> bool:
        return bool(leaf(diagnosis, *path))

    nats, kl = threshold(diagnosis), diagnosis.get("kl_per_dim") or []
    pairs = _is_drawable(p.originals, 4) and _is_drawable(p.reconstructions, 4)
    steps = _is_drawable(p.traversals, 5) and p.traversed is not None
    return [
        (True, training.kl_heatmap, history, nats),
        (True, training.active_over_training, history, nats, collapsed_at_step),
        (True, training.rate_distortion, history),
        (True, latent.kl_per_dim, diagnosis),
        (has("latent_use", "rise_per_dim"), use.latent_use, diagnosis),
        (has("sequences", "rise_by_position"), use.use_by_position, diagnosis),
        (has("information", "rate_split"), use.rate_split, diagnosis),
        (_is_drawable(p.mu), latent.latent_variance, p.mu, p.logvar),
        (_is_drawable(p.codes), posterior.aggregate_posterior, p.codes, diagnosis, p.mu, p.logvar),
        (has("collapse_curve", "epsilon"), use.collapse_curve, diagnosis, p.kl),
        (_is_drawable(p.tsne), latent.tsne, p.tsne, p.tsne_labels, diagnosis.get("mu_variance")),
        (pairs, image.reconstructions, p.originals, p.reconstructions),
        (_is_drawable(p.samples, 4), image.samples, p.samples),
        (steps, image.traversals, p.traversals, p.traversed, kl, nats),
    ]


def _is_drawable(tensor: Tensor | None, dimensions: int = 2) -> bool:
    """True for a tensor that can be drawn: with so many dimensions, and not empty."""
    return tensor is not None and tensor.ndim == dimensions and tensor.numel() > 0


def _collapsed_at_step(history: list[dict], summary: dict[str, Any]) -> int | None:
    """The step that a finished run recorded; of any other run, the step that its rows show."""
    if summary.get("run_state") == "done" and "collapsed_at_step" in summary:
        return summary["collapsed_at_step"]
    return collapse_step(history)
