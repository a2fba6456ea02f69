"""TensorBoard event files of one run: curves, KL per dimension, pictures, hyper-parameters.

One run directory: never `add_scalars` or `add_hparams`, which make sub-runs. Z latent dimensions.
"""

from __future__ import annotations

import io
import math
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeGuard

import numpy as np

from vaecli.config.identity import flat
from vaecli.diagnosis.figures import DEFAULT_THRESHOLD, shown_in
from vaecli.diagnosis.reading import leaf
from vaecli.reporting.plots.heat import heat_image
from vaecli.reporting.plots.mosaic import mosaic

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.tensorboard import SummaryWriter

MOST_SCALAR_DIMENSIONS = 64  # one curve per dimension up to here; 1.5 ms per 32 curves
HEATMAP_EVERY = 10  # evaluations; the server keeps 10 images per tag, so each holds all history
MOST_POINTS = 2000  # of the embedding: it writes text files
MOST_SPRITE_PIXELS = 8192  # either side of the sheet of thumbnails; the projector's own limit
_TRAIN = ("loss", "elbo", "distortion", "rate")
_VALIDATION = ("loss", "beta")  # beside the figures of the catalogue that are curves


class TensorBoard:
    """Writer of one run; a context manager. Every evaluation is flushed, so that none is lost.

    directory: where the event file goes. hparams: nested settings, flattened to dotted names.
    purge_step: on resume, the step from which on TensorBoard drops what an earlier file holds.
    history: the rows from before a resume; those from there on are written again.
    threshold: KL in nats above which a dimension is active. Importing TensorBoard takes about one
    second, which is spent here and not on import of this module.
    """

    def __init__(
        self,
        directory: Path,
        *,
        latent_dim: int,
        hparams: dict,
        purge_step: int | None = None,
        history: Iterable[dict] = (),
        threshold: float = DEFAULT_THRESHOLD,
    ) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._directory = Path(directory)
        self._latent_dim = latent_dim
        self._threshold = threshold
        rows, first = list(history), math.inf if purge_step is None else purge_step
        self._history = [row for row in rows if row["step"] < first]
        self._drawn = len(self._history)  # rows that the last heat map showed
        self._step = max((row["step"] for row in self._history), default=0)
        path = str(self._directory)
        self._writer: SummaryWriter | None = SummaryWriter(path, purge_step=purge_step)
        self._write_hparams(hparams)
        self._writer.add_custom_scalars(_layout(latent_dim))
        for row in rows[len(self._history) :]:  # purged, though they will not be made anew
            self.evaluation(row)
        self._writer.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def evaluation(self, row: dict) -> None:
        """Write one row of metrics.jsonl at its step, and now and then the heat map; then flush."""
        writer, step = self._open(), int(row["step"])
        self._step = max(self._step, step)
        self._history.append(row)
        for key in _TRAIN:
            self._scalar(f"train/{key}", row.get(f"train_{key}"), step)
        for key in ("beta", "images_per_second"):
            self._scalar(f"train/{key}", row.get(key), step)
        for key in (*_VALIDATION, *(figure.name for figure in shown_in("curve"))):
            self._scalar(f"val/{key}", row.get(key), step)
        self._scalar("active/dimensions", row.get("active_dimensions"), step)
        self._scalar("active/units", row.get("active_units"), step)
        kl = [math.nan if value is None else value for value in row.get("kl_per_dim") or []]
        if len(kl) <= MOST_SCALAR_DIMENSIONS:
            for dimension, value in enumerate(kl):
                self._scalar(f"kl_per_dim/{dimension:03d}", value, step)
        finite = [value for value in kl if math.isfinite(value)]
        if finite:  # an empty histogram is refused
            # How KL spreads over the dimensions: a spike at 0 nats is collapse. One raw bucket per
            # dimension costs half, but TensorBoard redraws all histograms with 30 bins and smears
            # the dimensions into each other.
            # Its largest bin ends at 1e20.
            writer.add_histogram("kl_per_dim", np.clip(finite, -1e19, 1e19), step)
        if len(self._history) - self._drawn >= HEATMAP_EVERY:
            self.heatmap(self._history)
        writer.flush()

    def heatmap(self, history: list[dict]) -> None:
        """Write the picture of KL per dimension over all of `history`, at its last step."""
        pixels = heat_image(history, self._threshold)
        if pixels is not None:
            self._image("kl_heatmap", pixels, int(history[-1].get("step", self._step)))
        self._drawn = len(history)

    def pictures(
        self,
        step: int,
        originals: Tensor | None = None,
        reconstructions: Tensor | None = None,
        samples: Tensor | None = None,
    ) -> None:
        """Write pictures (n, C, H, W) in [0, 1]: originals over reconstructions, and samples.

        Data that are no pictures are left out.
        """
        import torch

        if _are_pictures(originals) and _are_pictures(reconstructions):
            count = min(len(originals), len(reconstructions), 16)
            pairs = torch.cat([originals[:count].cpu(), reconstructions[:count].cpu()])
            self._image("pictures/reconstructions", mosaic(pairs, columns=count), step)
        if _are_pictures(samples):
            self._image("pictures/samples", mosaic(samples[:64], columns=8), step)
        self._open().flush()

    def texts(self, step: int, written: dict[str, Any]) -> None:
        """Write what a model of text writes: `texts` of the diagnosis."""
        pairs = [part for x, y in written.get("reconstructions", []) for part in (x, f"-> {y}", "")]
        self._open().add_text("texts/reconstructions", _verbatim(pairs), step)
        for key in ("samples", "interpolation"):
            self._open().add_text(f"texts/{key}", _verbatim(written.get(key, [])), step)
        self._open().flush()

    def embedding(
        self, step: int, mu: Tensor, labels: list | None = None, images: Tensor | None = None
    ) -> None:
        """Write codes mu (N, Z) for the projector, once, at the end: at most 2000 of them.

        labels (N, classes or texts) and images (N, C, H, W) in [0, 1] are optional; images are left
        out if they are no pictures, or if all of them together would be too large for the
        projector.
        """
        mu = mu[:MOST_POINTS].detach().float().cpu()
        thumbnails = None
        if (
            _are_pictures(images)
            and images.shape[1] in (1, 3)
            and math.ceil(len(mu) ** 0.5) * max(images.shape[2:]) <= MOST_SPRITE_PIXELS
        ):
            thumbnails = images[: len(mu)].detach().float().cpu()
        # Left by the same step of a run that was resumed; the writer would print a warning.
        shutil.rmtree(self._directory / f"{step:05d}", ignore_errors=True)
        self._open().add_embedding(
            mu,
            metadata=None if labels is None else [_one_line(label) for label in labels[: len(mu)]],
            label_img=thumbnails,
            global_step=step,
            tag="codes",
        )
        self._open().flush()

    def final(self, diagnosis: dict) -> None:
        """Write the diagnosis's figures as final/*: the metrics of the hyper-parameter table."""
        for figure in shown_in("final"):
            item = leaf(diagnosis, *figure.place)
            measured = item["value"] if isinstance(item, dict) else item
            self._scalar(f"final/{figure.name}", measured, self._step)
        self._open().flush()

    def close(self) -> None:
        """Write the last heat map and close the file; a second call does nothing."""
        if self._writer is None:
            return
        if len(self._history) > self._drawn:
            self.heatmap(self._history)
        self._writer.close()
        self._writer = None

    def _open(self) -> SummaryWriter:
        """The writer; after close() SummaryWriter would silently start another file."""
        if self._writer is None:
            raise RuntimeError("this TensorBoard writer is closed")
        return self._writer

    def _scalar(self, tag: str, value: float | None, step: int) -> None:
        """Write a number; None (not measured) is left out, NaN is kept."""
        if value is not None:
            self._open().add_scalar(tag, float(value), step)

    def _image(self, tag: str, pixels: np.ndarray, step: int) -> None:
        """Write pixels (H, W, 3) uint8. Not by add_image, whose float detour costs 5x the time."""
        from PIL import Image

        # protobuf adds the messages to the module when it is imported.
        from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]

        file = io.BytesIO()
        Image.fromarray(pixels).save(file, format="PNG", compress_level=3)
        height, width, _ = pixels.shape
        image = Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=file.getvalue()
        )
        self._add_summary(Summary(value=[Summary.Value(tag=tag, image=image)]), step)

    def _write_hparams(self, hparams: dict) -> None:
        """The three summaries of the hyper-parameter table, in this run's own file."""
        from torch.utils.tensorboard.summary import hparams as summaries

        metrics = {f"final/{figure.name}": 0.0 for figure in shown_in("final")}  # names alone
        for summary in summaries(as_hparams(hparams), metrics):
            self._add_summary(summary)

    def _add_summary(self, summary: Any, step: int | None = None) -> None:
        """Write a protobuf message that SummaryWriter has no method for."""
        file = self._open().file_writer
        assert file is not None, "an open writer has a file"
        file.add_summary(summary, step)


def hush_writers() -> None:
    """Print nothing of what fails in a writer's thread: the next call of the writer raises it.

    It is the process's hook that is set, so this is for a command's own process.
    """
    threading.excepthook = _report_failure


def _report_failure(failure: threading.ExceptHookArgs) -> None:
    """Print a thread's exception, unless it is a writer's."""
    if not (isinstance(failure.exc_value, OSError) and hasattr(failure.thread, "exception")):
        threading.__excepthook__(failure)


def _one_line(label: object) -> str:
    """A label as the projector can read it, whose table's columns are divided by tabs."""
    return " ".join(str(label).split()) or "(nothing)"


def _verbatim(lines: list[str]) -> str:
    """Markdown that shows the lines as they are: a block of code."""
    return "\n".join(f"    {_one_line(line) if line else line}" for line in lines)


def _are_pictures(tensor: Tensor | None) -> TypeGuard[Tensor]:
    """True for pictures (n, C, H, W), at least one."""
    return tensor is not None and tensor.ndim == 4 and tensor.numel() > 0


def as_hparams(settings: dict) -> dict[str, int | float | str]:
    """Nested settings as {"model.latent_dim": 16}; all but finite numbers become text."""
    return {
        key: setting
        if isinstance(setting, int | float)
        and not isinstance(setting, bool)
        and math.isfinite(setting)
        else str(setting)
        for key, setting in flat(settings).items()
    }


def _layout(latent_dim: int) -> dict:
    """Charts of the Custom Scalars tab: what shows collapse, each in one picture."""
    charts = {"dimensions in use": ["Multiline", [r"^active/(dimensions|units)$"]]}
    if latent_dim <= MOST_SCALAR_DIMENSIONS:
        charts = {"KL per dimension (nats)": ["Multiline", [r"^kl_per_dim/\d+$"]]} | charts
    charts["rate and distortion (nats)"] = ["Multiline", [r"^val/(rate|distortion)$"]]
    return {"posterior collapse": charts}
