"""What a trained model is turned into: its diagnosis, the plots, the page, the summary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from vaecli.config import Config
from vaecli.data.base import Data
from vaecli.diagnosis import diagnose, latent_space, verdict
from vaecli.diagnosis.rate import Encoded
from vaecli.models.vae import VAE
from vaecli.reporting.page import write_page
from vaecli.reporting.plots import Pictures, write_plots
from vaecli.reporting.tensorboard import TensorBoard
from vaecli.rundir import SUMMARY, RunDirectory

EMBEDDED = 2000  # points in TensorBoard's projector

SUMMARISED = (
    "status",
    "active_dimensions",
    "total_dimensions",
    "active_units",
    "rate",
    "distortion",
    "elbo",
    "mu_variance",
    "mean_logvar",
)


def report(
    vae: VAE,
    data: Data,
    config: Config,
    directory: RunDirectory,
    board: TensorBoard,
    *,
    overrides: list[str],
) -> dict[str, Any]:
    """Diagnose `vae` and write everything that a finished run leaves; returns the diagnosis."""
    settings = config.diagnosis
    diagnosis, encoded = diagnose(
        vae, data, settings, seed=config.seed, beta=config.schedule.beta
    )
    diagnosis["verdict"] = verdict.verdict(diagnosis)
    diagnosis["next_commands"] = verdict.next_commands(
        diagnosis, overrides, beta=config.schedule.beta, in_use=_choices(config.plain)
    )
    directory.write_json("diagnosis.json", diagnosis)
    directory.update_summary(
        shuffle_rise=diagnosis["latent_use"]["shuffled"].value,
        **{key: diagnosis[key] for key in SUMMARISED},
    )
    history = directory.rows()
    plots: list[Path] = []
    if settings.plots:
        pictures = _pictures(vae, data, encoded, config)
        plots = write_plots(directory.path / "plots", history, diagnosis, pictures)
        _show(board, history[-1]["step"], data, encoded, pictures)
    board.final(diagnosis)
    write_page(
        directory.path / "report.html",
        title=" ".join(overrides) or "vae-train",
        config_yaml=(directory.path / "config.resolved.yaml").read_text(encoding="utf-8"),
        environment=directory.read_json("environment.json"),
        summary=directory.read_json(SUMMARY),
        history=history,
        diagnosis=diagnosis,
        plots=plots,
    )
    return diagnosis


def _choices(plain: dict[str, Any]) -> set[str]:
    strategies = {f"strategy={name}" for name, on in plain["strategy"]["use"].items() if on}
    decoder, schedule = plain["decoder"]["size"], plain["schedule"]["name"]
    return {f"decoder={decoder}", f"schedule={schedule}", *strategies}


def _show(board: TensorBoard, step: int, data: Data, encoded: Encoded, pictures: Pictures) -> None:
    board.pictures(step, pictures.originals, pictures.reconstructions, pictures.samples)
    mu = encoded.mu[:EMBEDDED]
    images = data.batch(getattr(data, encoded.split), torch.arange(len(mu))).cpu()
    labels = None if encoded.y is None else encoded.y[:EMBEDDED]
    board.embedding(step, mu, labels, images)


def _pictures(vae: VAE, data: Data, encoded: Encoded, config: Config) -> Pictures:
    seed, points = config.seed, config.diagnosis.tsne_points
    originals, reconstructions = latent_space.reconstructions(vae, data, encoded, seed=seed)
    swept, dims = latent_space.traversals(vae, encoded, seed=seed)
    placed = latent_space.tsne(encoded, points=points, seed=seed) if points else None
    return Pictures(
        originals=originals,
        reconstructions=reconstructions,
        samples=latent_space.prior_samples(vae, seed=seed),
        traversals=swept,
        traversed=dims,
        mu=encoded.mu,
        logvar=encoded.logvar,
        labels=encoded.y,
        tsne=placed,
        tsne_labels=None if placed is None or encoded.y is None else encoded.y[: len(placed)],
    )
