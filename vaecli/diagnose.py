"""The door `vae-diagnose`: diagnose a finished run again, or a model that was made elsewhere."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from vaecli.config.options import import_extension
from vaecli.core.answer import answering
from vaecli.core.errors import WRONG_USE, UsageError, require

if TYPE_CHECKING:
    from vaecli.config.schema import Config

DESCRIPTION = """\
Diagnose posterior collapse of a finished run again, or of a model of your own. Of a run it writes
diagnosis-2.json, report-2.html and plots-2/ (then 3, 4, ...) beside the first diagnosis, which
stays as it is. Split, weights, threshold and number of examples are the run's unless given here;
everything else is measured as by default, however quick the run's own diagnosis was.
"""
EXAMPLES = """\
examples
  vae-diagnose outputs/2026-11-22/10-15-00-123456 --split val
  vae-diagnose outputs/.../checkpoints/best.pt --importance-samples 5000
  vae-diagnose RUN data.root=/other/place diagnosis.tsne_points=0
  vae-diagnose --model mymodel:load --data mnist data.root=DATA

MODULE:FUNCTION is called without arguments and returns the model: encode(x) -> (mu, logvar), each
(batch, latent), and, if it can, log_px(x, z) -> log p(x|z) in nats, summed over pixels (batch,).
"""
# Flag -> the key it sets.
KEYS = {
    "split": "diagnosis.split",
    "checkpoint": "diagnosis.checkpoint",
    "threshold": "diagnosis.threshold",
    "samples": "diagnosis.samples",
    "importance_samples": "diagnosis.importance_samples",
    "device": "device",
}


def main() -> None:
    """Run `vae-diagnose` with the arguments of this process and exit."""
    sys.exit(_main(sys.argv[1:]))


def _main(arguments: list[str]) -> int:
    with answering("vae-diagnose") as answer:
        answer.code = _diagnose(_parser().parse_intermixed_args(arguments))
    return answer.code


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        print(
            f"vae-diagnose: {message}\n  `vae-diagnose --help` lists the arguments", file=sys.stderr
        )
        raise SystemExit(WRONG_USE)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="vae-diagnose",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "what",
        nargs="*",
        metavar="PATH | KEY=VALUE",
        help="a run directory or one of its checkpoints; keys of diagnosis.*, or where the data "
        "lies now (data.root, data.path)",
    )
    parser.add_argument("--split", choices=("train", "val", "test"), help="default: the run's own")
    parser.add_argument(
        "--checkpoint", choices=("best", "last"), help="which weights; default: the run's own"
    )
    parser.add_argument("--threshold", type=float, metavar="NATS", help="of an active dimension")
    parser.add_argument("--samples", type=int, metavar="N", help="the first N examples only")
    parser.add_argument(
        "--importance-samples", type=int, metavar="K", help="K of the bound on log p(x)"
    )
    parser.add_argument("--device", help="auto, cpu, cuda, cuda:1, mps")
    parser.add_argument(
        "--extend",
        action="append",
        default=[],
        metavar="MODULE",
        help="a module of your own that the run used; it is imported because you name it here",
    )
    parser.add_argument("--model", metavar="MODULE:FUNCTION", help="a model that is no run's")
    parser.add_argument("--data", metavar="NAME", help="what to diagnose --model on, e.g. mnist")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where the diagnosis of --model goes"
    )
    return parser


def _diagnose(options: argparse.Namespace) -> int:
    paths = [item for item in options.what if "=" not in item or Path(item).exists()]
    overrides = [item for item in options.what if item not in paths]
    flags = {key: getattr(options, flag) for flag, key in KEYS.items()}
    overrides += [f"{key}={value}" for key, value in flags.items() if value is not None]
    extend = tuple(options.extend)
    if options.model is not None:
        require(not paths, "PATH", paths and paths[0], "goes without --model", "leave one out")
        require(options.data is not None, "--data", None, "is needed with --model", "--data mnist")
        return _foreign(options.model, options.data, overrides, extend, options.out)
    require(
        len(paths) == 1,
        "PATH",
        " ".join(paths) or " ".join(options.what) or None,
        "must be one run directory or checkpoint that exists",
        "vae-diagnose outputs/DATE/TIME",
    )
    for flag in ("data", "out"):
        value = getattr(options, flag)
        require(value is None, f"--{flag}", value, "belongs to --model", "leave it out")
    return _run(Path(paths[0]), overrides, extend)


def _run(path: Path, overrides: list[str], extend: tuple[str, ...]) -> int:
    from vaecli.core.rundir import SUMMARY, RunDirectory, check_writable
    from vaecli.evaluation.passes import NotFinite
    from vaecli.runs.build import build, check
    from vaecli.runs.load import load_config, load_plain, require_own_data, restore, saved_overrides
    from vaecli.runs.report import report_again

    weights: Path | None = None
    if path.suffix == ".pt":
        weights, path = path, path.absolute().parent.parent
    own = load_plain(path).get("diagnosis")
    config = load_config(path, extend=extend, overrides=[*_whole(own), *overrides])
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
    _tell(diagnosis, page)
    return 0


def _whole(own: object) -> list[str]:
    """The default settings as overrides, before those that are typed.

    own: the run's. Of them stays what defines the figures, and what is more than the default: the
    run's diagnosis may have been quick, or full.
    """
    from vaecli.diagnosis.settings import DiagnosisConfig

    kept = {"split", "checkpoint", "threshold", "samples"}
    overrides = []
    for field in fields(DiagnosisConfig):
        before = own.get(field.name) if isinstance(own, dict) else None
        if field.name not in kept:
            more = type(before) is int and before > field.default
            overrides.append(f"diagnosis.{field.name}={before if more else field.default}")
    return overrides


def _foreign(
    named: str, data_name: str, overrides: list[str], extend: tuple[str, ...], out: Path | None
) -> int:
    from vaecli.config.schema import read
    from vaecli.diagnosis.foreign_model import REJECTIONS, ForeignModel
    from vaecli.runs.report import report_foreign

    require(out is None or not out.exists(), "--out", out, "exists already", "name a new directory")
    config = read(_composed(data_name, overrides, extend))
    precision = _start(config)
    model = _made(named)
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
    _tell(diagnosis, page)
    return 0


def _composed(data: str, overrides: list[str], extend: tuple[str, ...]):
    """A whole config of which only the data, the device and the diagnosis matter."""
    from hydra import compose, initialize_config_dir

    from vaecli.config.compose import CONFIGS
    from vaecli.config.refusals import CompositionError, refusing

    modules = [f"extend=[{','.join(extend)}]"] if extend else []
    try:
        with refusing([]), initialize_config_dir(str(CONFIGS), version_base="1.3"):
            return compose("config", overrides=[f"data={data}", *modules, *overrides])
    except CompositionError as error:
        words = str(error).replace("\n", ";")
        raise UsageError("--data", data, words, "vae-train --help") from error


def _made(named: str):
    """The model that MODULE:FUNCTION returns. It is called because the user names it."""
    module, _, function = named.partition(":")
    require(bool(module and function), "--model", named, "must be MODULE:FUNCTION", "mymodel:load")
    make = getattr(import_extension(module, "--model"), function, None)
    require(
        callable(make), "--model", named, f"{module} has no such function", "name one that it has"
    )
    model = make()
    require(
        callable(getattr(model, "encode", None)),
        "--model",
        named,
        f"returned {type(model).__name__}, which has no encode(x) -> (mu, logvar)",
        "return a model that has it",
    )
    return model


def _start(config: Config):
    from vaecli.training.precision import choose_device, choose_precision, prepare_process

    prepare_process()
    return choose_precision(config.trainer.amp, choose_device(config.device))


def _tell(diagnosis: dict, page: Path) -> None:
    from vaecli.reporting.console import verdict_lines

    print("\n".join(verdict_lines(diagnosis)))
    print(f"\nReport       {page}")


if __name__ == "__main__":
    main()
