"""The door `vae-diagnose`: diagnose a finished run again, or a model that was made elsewhere."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vaecli.core.answer import Parser, answering
from vaecli.core.errors import DONE, require

if TYPE_CHECKING:
    from vaecli.runs.rediagnose import Diagnosed

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


def _parser() -> argparse.ArgumentParser:
    parser = Parser("vae-diagnose", DESCRIPTION, EXAMPLES)
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
    from vaecli.runs.rediagnose import diagnose_foreign, diagnose_run

    paths = [item for item in options.what if "=" not in item or Path(item).exists()]
    overrides = [item for item in options.what if item not in paths]
    flags = {key: getattr(options, flag) for flag, key in KEYS.items()}
    overrides += [f"{key}={value}" for key, value in flags.items() if value is not None]
    extend = tuple(options.extend)
    if options.model is not None:
        require(not paths, "PATH", paths and paths[0], "goes without --model", "leave one out")
        require(options.data is not None, "--data", None, "is needed with --model", "--data mnist")
        return _show(diagnose_foreign(options.model, options.data, overrides, extend, options.out))
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
    return _show(diagnose_run(Path(paths[0]), overrides, extend))


def _show(diagnosed: Diagnosed) -> int:
    from vaecli.reporting.console import verdict_lines

    print("\n".join(verdict_lines(diagnosed.diagnosis)))
    print(f"\nReport       {diagnosed.page}")
    return DONE


if __name__ == "__main__":
    main()
