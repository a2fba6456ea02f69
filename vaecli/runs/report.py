"""The report of a trained model: its diagnosis, the plots, the page, the summary.

At the end of training, and again for `vae-diagnose`.
"""

from __future__ import annotations

import shlex
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from vaecli.config.schema import Config
from vaecli.config.yaml_files import to_yaml
from vaecli.core import machine
from vaecli.core.rundir import SUMMARY, RunDirectory, RunState
from vaecli.data.sets.base import Data
from vaecli.diagnosis import latent_space, verdict
from vaecli.diagnosis.diagnose import diagnose
from vaecli.diagnosis.figures import summarised
from vaecli.diagnosis.foreign_model import ForeignModel
from vaecli.diagnosis.reading import leaf
from vaecli.diagnosis.texts import said
from vaecli.evaluation.passes import Encoded, sample_codes
from vaecli.models.vae import VAE
from vaecli.reporting.page.page import write_page
from vaecli.reporting.plots.run_plots import Pictures, write_plots
from vaecli.reporting.tensorboard import TensorBoard
from vaecli.runs.build import prediction_for
from vaecli.theory.comparison import compare
from vaecli.theory.prediction import held_against

EMBEDDED = 2000  # points in TensorBoard's projector

SIZES = ("small", "medium", "large")  # of decoders, in configs/decoder


def report(
    vae: VAE,
    data: Data,
    config: Config,
    directory: RunDirectory,
    board: TensorBoard,
    *,
    overrides: list[str],
) -> dict[str, Any]:
    """Diagnose `vae` at the end of its run: everything that a finished run leaves behind."""
    diagnosis, encoded, pictures = _diagnosed(vae, data, config, directory, overrides)
    directory.update_summary(status=diagnosis["status"], **_summary(diagnosis))
    if pictures is not None:
        step, written = directory.rows()[-1]["step"], diagnosis.get("texts", {})
        _show(board, step, data, encoded, pictures, written)
    board.final(diagnosis)
    directory.write_json("diagnosis.json", diagnosis)
    _page(directory, diagnosis, pictures, _title(overrides), state=RunState.DONE)
    return diagnosis


def report_again(
    vae: VAE,
    data: Data,
    config: Config,
    directory: RunDirectory,
    *,
    overrides: list[str],
    weights: str,
) -> tuple[dict[str, Any], Path]:
    """Another diagnosis of a finished run, numbered, beside its first, which stays as it is.

    weights: the name of the checkpoint they came from, for the record.
    Returns the diagnosis and its page, report-N.html.
    """
    diagnosis, _, pictures = _diagnosed(vae, data, config, directory, overrides)
    diagnosis["weights"] = weights
    number = directory.write_next("diagnosis-{}.json", diagnosis)
    title = f"{_title(overrides)} (diagnosis {number})"
    return diagnosis, _page(directory, diagnosis, pictures, title, suffix=f"-{number}")


def report_so_far(
    directory: RunDirectory, config: Config, *, overrides: list[str], examples: int, plots: bool
) -> Path:
    """The page of a run that was stopped: what its evaluations recorded, and no diagnosis.

    examples: of the validation split in each evaluation. plots: whether to draw them (2 s).
    """
    rows, summary = directory.rows(), directory.read_json(SUMMARY)
    known: dict[str, Any] = {"verdict": [_stopped(rows, summary)]}
    if rows:
        known |= rows[-1]
        known |= {"threshold": config.diagnosis.threshold, "split": "val", "examples": examples}
    if summary["run_state"] == RunState.INTERRUPTED:
        again = shlex.join(["vae-train", f"resume={directory.path}"])
        known["next_commands"] = [(again, "Go on; the run ends as if it had not been stopped.")]
    return _page(directory, known, Pictures() if plots and rows else None, _title(overrides))


def _stopped(rows: list[dict[str, Any]], summary: dict[str, Any]) -> str:
    reason = f"{summary['run_state']}, {summary['reason']}"
    if not rows:
        return f"The run was stopped ({reason}) before its first evaluation."
    return (
        f"The run was stopped ({reason}). These are the figures of its last evaluation, at update "
        f"{rows[-1]['step']:,}, on the validation split; the model has not been diagnosed."
    )


def report_foreign(
    model: ForeignModel, data: Data, config: Config, out: Path | None, *, name: str
) -> tuple[dict[str, Any], Path]:
    """The diagnosis of a model that is no run's, in the new directory `out`.

    Returns the diagnosis and its page.
    """
    settings = config.diagnosis
    diagnosis, encoded = diagnose(model, data, settings, seed=config.seed)
    diagnosis["warnings"] += model.notes
    diagnosis["verdict"] = verdict.verdict(diagnosis)
    diagnosis["settings"] = config.plain["diagnosis"]
    directory = RunDirectory.claim(
        out or Path("outputs", "diagnose", f"{datetime.now():%Y-%m-%d/%H-%M-%S-%f}"),
        {"run_state": RunState.DONE, "overrides": [f"--model={name}", f"--data={data.name}"]},
    )
    directory.write_text("config.resolved.yaml", to_yaml({"data": config.plain["data"]}))
    directory.write_json("environment.json", machine.describe(data.device, {}))
    pictures = _pictures_of_codes(data, encoded, config) if settings.plots else None
    directory.write_json("diagnosis.json", diagnosis)
    return diagnosis, _page(directory, diagnosis, pictures, f"{name} on {data.name}")


def _diagnosed(
    vae: VAE, data: Data, config: Config, directory: RunDirectory, overrides: list[str]
) -> tuple[dict[str, Any], Encoded, Pictures | None]:
    settings, beta = config.diagnosis, config.schedule.beta
    diagnosis, encoded = diagnose(vae, data, settings, seed=config.seed, beta=beta)
    prediction = prediction_for(data, config)
    if prediction is not None:
        diagnosis["prediction"] = held_against(
            prediction,
            active=diagnosis["active_dimensions"],
            directions=diagnosis["active_directions"],
        )
    rows = compare(vae, data, split=encoded.split, beta=beta, diagnosis=diagnosis)
    if rows is not None:
        diagnosis["theory"] = {"linear_vae": rows}
    young = verdict.unfinished(diagnosis, directory.rows())
    if young is not None:
        diagnosis["notes"].append(young)
    diagnosis["verdict"] = verdict.verdict(diagnosis, beta=beta)
    diagnosis["next_commands"] = verdict.next_commands(
        diagnosis, overrides, beta=beta, in_use=_not_to_propose(config)
    )
    diagnosis["settings"] = config.plain["diagnosis"]
    pictures = _pictures(vae, data, encoded, config) if settings.plots else None
    return diagnosis, encoded, pictures


def _page(
    directory: RunDirectory,
    diagnosis: dict[str, Any],
    pictures: Pictures | None,
    title: str,
    *,
    suffix: str = "",
    state: str | None = None,
) -> Path:
    """Write plots and page. state: of a run that the page itself completes."""
    history, summary = directory.rows(), directory.read_json(SUMMARY)
    if state is not None:
        summary["run_state"] = state
    plots: list[Path] = []
    if pictures is not None:
        plots = write_plots(
            directory.path / f"plots{suffix}", history, diagnosis, pictures, summary
        )
    page = directory.path / f"report{suffix}.html"
    write_page(
        page,
        title=title,
        config_yaml=(directory.path / "config.resolved.yaml").read_text(encoding="utf-8"),
        environment=directory.read_json("environment.json"),
        summary=summary,
        history=history,
        diagnosis=diagnosis,
        plots=plots,
    )
    return page


def _title(overrides: list[str]) -> str:
    return " ".join(overrides) or "vae-train"


def _summary(diagnosis: dict[str, Any]) -> dict[str, Any]:
    """The figures that summary.json repeats, as far as they were measured."""
    leaves = {figure.key: leaf(diagnosis, *figure.place) for figure in summarised()}
    return {
        key: item["value"] if isinstance(item, dict) else item
        for key, item in leaves.items()
        if item is not None
    }


def _not_to_propose(config: Config) -> set[str]:
    """The run's own choices, and decoder sizes that its model does not have."""
    plain = config.plain
    strategies = {f"strategy={name}" for name, on in plain["strategy"]["use"].items() if on}
    decoder, schedule = plain["decoder"]["size"], plain["schedule"]["name"]
    lacking = {f"decoder={size}" for size in SIZES if size not in config.model.capacities}
    return {f"decoder={decoder}", f"schedule={schedule}", *strategies, *lacking}


def _show(
    board: TensorBoard,
    step: int,
    data: Data,
    encoded: Encoded,
    pictures: Pictures,
    written: dict[str, Any],
) -> None:
    mu = encoded.mu[:EMBEDDED]
    shown = torch.arange(len(mu))
    if data.kind.of_sequences:
        board.texts(step, written)
        board.embedding(step, mu, said(data, encoded.split, shown))
        return
    board.pictures(step, pictures.originals, pictures.reconstructions, pictures.samples)
    images = data.batch(getattr(data, encoded.split), shown).cpu()
    labels = None if encoded.y is None else encoded.y[:EMBEDDED].tolist()
    board.embedding(step, mu, labels, images)


def _pictures(vae: VAE, data: Data, encoded: Encoded, config: Config) -> Pictures:
    seed = config.seed
    if data.kind.of_sequences:
        return _pictures_of_codes(data, encoded, config)
    originals, reconstructions = latent_space.reconstructions(vae, data, encoded, seed=seed)
    swept, dims = latent_space.traversals(vae, encoded, seed=seed)
    return _pictures_of_codes(data, encoded, config)._replace(
        originals=originals,
        reconstructions=reconstructions,
        samples=latent_space.prior_samples(vae, seed=seed),
        traversals=swept,
        traversed=dims,
    )


def _pictures_of_codes(data: Data, encoded: Encoded, config: Config) -> Pictures:
    """Those that need no decoder."""
    seed, points = config.seed, config.diagnosis.tsne_points
    placed = latent_space.tsne(encoded, points=points, seed=seed) if points else None
    return Pictures(
        mu=encoded.mu,
        logvar=encoded.logvar,
        codes=sample_codes(encoded, seed),
        kl=encoded.kl_per_dim,
        labels=encoded.y,
        tsne=placed,
        tsne_labels=None if placed is None or encoded.y is None else encoded.y[: len(placed)],
    )
