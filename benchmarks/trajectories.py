"""Does the encoder lag? Its means against the model's own posterior means, while both are trained.

He et al. 2019, figure 2, on synthetic sequences from an LSTM with a code (`data=sequences`): one
latent, so that the model's true posterior is known on a grid. On the diagonal the encoder has kept
up; on the horizontal line it ignores x; at the origin the model does too. Writes
docs/pictures/trajectories.png and benchmarks/results/trajectories_<hardware>_<yyyymm>.md.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from hydra import compose, initialize_config_dir
from results import environment_lines, write
from torch import Tensor

from vaecli.config.compose import CONFIGS
from vaecli.config.schema import read
from vaecli.diagnosis.grid import information_on_grid, true_posterior_means
from vaecli.evaluation.aggregate import mutual_information
from vaecli.evaluation.passes import encode, examples
from vaecli.runs.build import build
from vaecli.training.fit import Fit
from vaecli.training.precision import choose_device, choose_precision, prepare_process
from vaecli.training.signals import StopRequests

ROOT = Path(__file__).resolve().parent.parent
SHOWN = 300  # validation sequences
STRATEGIES = {
    "plain": ["strategy=none"],
    "free_bits": ["strategy=free_bits", "strategy.free_nats=1"],
    "aggressive": [
        "strategy=aggressive",
        "strategy.aggressive_window=15",
        "strategy.aggressive_patience=1",
    ],
}


class Seen(NamedTuple):
    """A look at the model after some updates of the decoder."""

    step: int
    true: Tensor  # (n,) mean of p(z|x)
    encoder: Tensor  # (n,) mean of q(z|x)
    rate: float
    information: float  # the estimator's, and its error
    error: float
    on_grid: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=float, default=10)
    parser.add_argument("--looks", type=int, default=5)
    parser.add_argument("overrides", nargs="*", help="of the data and the model, as vae-train's")
    options = parser.parse_args()
    prepare_process()
    seen = {name: trained(overrides, options) for name, overrides in STRATEGIES.items()}
    draw(seen, ROOT / "docs" / "pictures" / "trajectories.png")
    rows = [
        f"| {name} | {one.step:,} | {one.rate:.3f} | {one.information:.3f} ± {one.error:.3f} | "
        f"{one.on_grid:.3f} | {(one.true - one.encoder).abs().mean():.3f} |"
        for name, looks in seen.items()
        for one in looks
    ]
    agree = all(
        abs(one.information - one.on_grid) <= 4 * one.error + 0.01
        for looks in seen.values()
        for one in looks
    )
    write(
        "trajectories",
        "\n".join(
            [
                "# Encoder means against true posterior means\n",
                f"`python benchmarks/trajectories.py --epochs {options.epochs:g}`: data=sequences, "
                f"model=lstm, one latent, {SHOWN} validation sequences. Mutual information as "
                f"estimated "
                "(q(z) over these sequences, ± standard error) and on a grid; nats.\n",
                *environment_lines("cpu"),
                "",
                "| training | decoder updates | rate | mutual information | on a grid | "
                "mean distance of the two means |",
                "|---|---|---|---|---|---|",
                *rows,
                "",
                "Estimate and grid agree within four standard errors and 0.01 nats: "
                f"{'yes' if agree else '**no**'}.",
            ]
        ),
        "cpu",
    )


def trained(overrides: list[str], options: argparse.Namespace) -> list[Seen]:
    """The looks at one training, the first before it."""
    device = choose_device("cpu")
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = read(
            compose(
                "config",
                [
                    "data=sequences",
                    "model=lstm",
                    "model.latent_dim=1",
                    "trainer.batch_size=32",
                    f"device={device}",
                    f"trainer.epochs={options.epochs}",
                    f"trainer.evaluate_every={options.epochs / (options.looks - 1)}",
                    *options.overrides,
                    *overrides,
                ],
            )
        )
    data = config.data.load().to(device)
    looks: list[Seen] = []
    with tempfile.TemporaryDirectory() as scratch:
        fit = Fit(
            build(config, data),
            data,
            trainer=config.trainer,
            schedule=config.schedule,
            precision=choose_precision(config.trainer.amp, device),
            seed=config.seed,
            threshold=0.01,
            directory=Path(scratch),
        )
        fit.run(StopRequests(), Watch(fit, looks))
    return looks


class Watch:
    """An observer that compares the two posteriors at every evaluation."""

    def __init__(self, fit: Fit, looks: list[Seen]):
        self.fit, self.looks = fit, looks

    def window(self, step: int, means: dict[str, float]) -> None:
        pass

    def warn(self, text: str) -> None:
        print(text)

    def evaluation(self, row: dict[str, Any]) -> None:
        fit = self.fit
        vae, data = fit.objective.vae, fit.data
        codes = encode(vae, data, "val", samples=SHOWN)
        x = examples(data, "val", torch.arange(SHOWN))
        estimate = mutual_information(codes, seed=0)
        self.looks.append(
            Seen(
                row["step"],
                true_posterior_means(vae, x)[:, 0],
                codes.mu[:, 0].double(),
                codes.kl_per_dim.sum(1).mean().item(),
                estimate.value,
                estimate.standard_error or 0.0,
                information_on_grid(codes),
            )
        )
        print(self.looks[-1].step, self.looks[-1].rate, self.looks[-1].on_grid, flush=True)


def draw(seen: dict[str, list[Seen]], path: Path) -> None:
    from matplotlib.figure import Figure

    columns = max(map(len, seen.values()))
    figure = Figure((2.3 * columns, 2.5 * len(seen)), layout="constrained")
    axes = figure.subplots(len(seen), columns, squeeze=False, sharex=True, sharey=True)
    for row, (name, looks) in zip(axes, seen.items(), strict=True):
        for panel, one in zip(row, looks, strict=False):
            panel.axline((0, 0), slope=1, color="0.7", linewidth=1)
            panel.scatter(one.true, one.encoder, s=5, color="#1f5fa8", alpha=0.5, linewidths=0)
            panel.set_title(f"{name}, {one.step:,} updates", fontsize=9)
            panel.set_xlim(-3, 3)
            panel.set_ylim(-3, 3)
            panel.tick_params(labelsize=7)
    figure.supxlabel("mean of the model's posterior p(z|x)", fontsize=9)
    figure.supylabel("mean of the encoder's q(z|x)", fontsize=9)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
