"""Diagnoses of what is trained already: a finished run, or a model from elsewhere."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from vaecli.config.compose import compose
from vaecli.config.options import import_extension
from vaecli.config.refusals import CompositionError
from vaecli.config.schema import Config
from vaecli.core.errors import UsageError, require
from vaecli.core.rundir import SUMMARY, RunDirectory, check_writable
from vaecli.diagnosis.foreign_model import REJECTIONS, ForeignModel
from vaecli.diagnosis.settings import DiagnosisConfig
from vaecli.evaluation.passes import NotFinite
from vaecli.runs.build import build, check
from vaecli.runs.load import load_config, load_plain, require_own_data, restore, saved_overrides
from vaecli.runs.report import report_again, report_foreign
from vaecli.training.precision import Precision, choose_device, choose_precision, prepare_process


class Diagnosed(NamedTuple):
    """The content of diagnosis.json, and the page that shows it."""

    diagnosis: dict[str, Any]
    page: Path


def diagnose_run(path: Path, overrides: list[str], extend: tuple[str, ...]) -> Diagnosed:
    """Diagnose the run at `path`, or the weights of its checkpoint at `path`, once more.

    overrides: KEY=VALUE of diagnosis.*, device, or the place of the data. extend: modules of the
    user's that the run needs. Raises UsageError.
    """
    weights: Path | None = None
    if path.suffix == ".pt":
        weights, path = path, path.absolute().parent.parent
    own = load_plain(path).get("diagnosis")
    config = load_config(path, extend=extend, overrides=[*_settings(own), *overrides])
    directory = RunDirectory(path)
    for name in (SUMMARY, "environment.json"):  # the report needs them; better to know now
        directory.read_json(name)
    directory.rows()
    check_writable(path, new=False)
    precision = _start(config)
    config.data.check_files()
    data = config.data.load().to(precision.device)
    config = check(config, data)
    require_own_data(path, data, config.plain)
    vae = build(config, data).vae
    if weights is None:
        weights = directory.checkpoints / f"{config.diagnosis.checkpoint.value}.pt"
    restore(vae, weights)
    try:
        with precision.autocast():
            diagnosis, page = report_again(
                vae, data, config, directory, overrides=saved_overrides(path), weights=weights.name
            )
    except NotFinite as error:
        raise UsageError(
            "checkpoint", weights, f"cannot be diagnosed: {error}", "try --checkpoint best"
        ) from error
    return Diagnosed(diagnosis, page)


def _settings(own: object) -> list[str]:
    """The default settings as overrides, which stand before those that are typed.

    own: the run's settings. Those that define the figures stay, and those above the default: the
    run's diagnosis may have been quick, or full.
    """
    kept = {"split", "checkpoint", "threshold", "samples"}
    overrides = []
    for field in fields(DiagnosisConfig):
        before = own.get(field.name) if isinstance(own, dict) else None
        if field.name not in kept:
            default: Any = field.default
            more = type(before) is int and before > default
            overrides.append(f"diagnosis.{field.name}={before if more else default}")
    return overrides


def diagnose_foreign(
    named: str, data_name: str, overrides: list[str], extend: tuple[str, ...], out: Path | None
) -> Diagnosed:
    """Diagnose the model that `named`, MODULE:FUNCTION, returns.

    data_name: an option of the group data. out: a new directory, or None for one by the clock.
    Raises UsageError.
    """
    require(out is None or not out.exists(), "--out", out, "exists already", "name a new directory")
    config = _config(data_name, overrides, extend)
    precision = _start(config)
    model = _load_model(named)
    config.data.check_files()
    data = config.data.load().to(precision.device)
    if hasattr(model, "to"):
        model = model.to(precision.device)
    try:
        diagnosis, page = report_foreign(ForeignModel(model), data, config, out, name=named)
    except (*REJECTIONS, ArithmeticError, AttributeError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UsageError(
            "--model",
            named,
            f"failed on the {data.name} data ({lines[0]})",
            "encode(x) takes x (batch, channels, height, width) and returns mu, logvar",
        ) from error
    return Diagnosed(diagnosis, page)


def _config(data: str, overrides: list[str], extend: tuple[str, ...]) -> Config:
    """A whole config of which only the data, the device and the diagnosis matter."""
    modules = [f"extend=[{','.join(extend)}]"] if extend else []
    try:
        composition = compose([f"data={data}", *modules, *overrides])
    except CompositionError as error:
        words = str(error).replace("\n", ";")
        raise UsageError("--data", data, words, "vae-train --help") from error
    assert composition is not None
    assert composition.jobs is not None
    return composition.jobs[0].config


def _load_model(named: str) -> Any:
    """The model that MODULE:FUNCTION returns. It is called because the user names it."""
    module, _, function = named.partition(":")
    require(bool(module and function), "--model", named, "must be MODULE:FUNCTION", "mymodel:load")
    make = getattr(import_extension(module, "--model"), function, None)
    if not callable(make):
        rule = f"{module} has no such function"
        raise UsageError("--model", named, rule, "name one that it has")
    model = make()
    require(
        callable(getattr(model, "encode", None)),
        "--model",
        named,
        f"returned {type(model).__name__}, which has no encode(x) -> (mu, logvar)",
        "return a model that has it",
    )
    return model


def _start(config: Config) -> Precision:

    prepare_process()
    return choose_precision(config.trainer.amp, choose_device(config.device))
