"""Where the time of one update goes: the operations of vaecli's training step, by kind.

Self time of PyTorch's operations on the calling thread, from its profiler, beside the time of the
same update without it. Writes benchmarks/results/ops_<hardware>_<yyyymm>.md.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from unittest.mock import Mock

import torch
from results import environment_lines, write
from step import CASES, configured, images
from torch.profiler import ProfilerActivity, profile

from vaecli.runs.build import build
from vaecli.training.fit import Fit
from vaecli.training.precision import choose_precision, prepare_process

# Kind -> what the names of its operations begin with; the first that fits counts.
KINDS = {
    "matrix products and convolutions": (
        "aten::mm",
        "aten::addmm",
        "aten::bmm",
        "aten::mkldnn_conv",
        "aten::_conv",
        "aten::convolution",
        "aten::thnn",
    ),
    "Adam": ("aten::_fused_adam",),
    "batch: gather and noise": ("aten::index_select", "aten::randn", "aten::normal_"),
    "other operations": ("aten::",),
    "autograd's own": ("",),
}
WARM, MEASURED = 30, 50  # updates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="../shared/data", help="folder that holds MNIST/raw")
    options = parser.parse_args()
    options.device = "cpu"
    prepare_process()
    columns = {case: measured(case, options) for case in CASES}
    names = [f"{case.model}, batch {case.batch}" for case in columns]
    rows = [
        f"| {kind} | {' | '.join(f'{column[kind]:.2f}' for column in columns.values())} |"
        for kind in next(iter(columns.values()))
    ]
    write(
        "ops",
        "\n".join(
            [
                "# Where an update goes\n",
                f"`python benchmarks/ops.py`: milliseconds per update over {MEASURED} updates "
                f"on MNIST, "
                f"{torch.get_num_threads()} threads, float32, as in benchmarks/step.py.\n",
                *environment_lines(),
                f"\n| kind | {' | '.join(names)} |",
                "|---" * (1 + len(names)) + "|",
                *rows,
            ]
        ),
    )


def measured(case, options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds per update, by kind."""
    config = configured(case, options)
    data = images(replace(case, batches=1 + WARM + 2 * MEASURED), config)
    with tempfile.TemporaryDirectory() as scratch:
        fit = Fit(
            build(config, data),
            data,
            trainer=config.trainer,
            schedule=config.schedule,
            seed=0,
            precision=choose_precision(config.trainer.amp, data.device),
            threshold=0.01,
            directory=scratch,
        )
        fit.observer = Mock()
        fit.objective.train()
        updates(fit, WARM)
        alone = updates(fit, MEASURED)
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            updates(fit, MEASURED)
    found: dict[str, float] = defaultdict(float)
    for operation in profiler.key_averages():
        kind = next(k for k, names in KINDS.items() if operation.key.startswith(names))
        found[kind] += operation.self_cpu_time_total / 1e3 / MEASURED
    return {kind: found[kind] for kind in KINDS} | {"the same update without the profiler": alone}


def updates(fit: Fit, count: int) -> float:
    """Milliseconds per update."""
    start = time.perf_counter()
    for _ in range(count):
        fit.update()
    fit.meter = type(fit.meter)(fit.trainer.batch_size)
    return 1e3 * (time.perf_counter() - start) / count


if __name__ == "__main__":
    main()
