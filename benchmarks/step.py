"""Training speed on MNIST: vaecli's loop beside the tutorial's loop and pythae's trainer.

The same 784-400-20-400-784 VAE with the same loss and Adam at batch 128 on the same 60,000 grey
images, one epoch of each in turn, so that a busy machine slows all of them alike. Writes
benchmarks/results/step_<hardware>_<yyyymm>.md. pythae comes with `pip install vaecli[bench]`;
without it its row is left out.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir
from results import environment_lines, write
from torch import Tensor, nn
from torchvision import datasets, transforms

from vaecli.build import build
from vaecli.config import read
from vaecli.train import CONFIGS
from vaecli.training.fit import Fit
from vaecli.training.precision import choose_device, choose_precision
from vaecli.training.signals import StopRequests

BATCH, PIXELS, HIDDEN, LATENT, LR = 128, 784, 400, 20, 1e-3
DEVICE = choose_device("auto")
Epoch = Callable[[], tuple[float, int]]  # trains one epoch; seconds and images it took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="../shared/data", help="folder that holds MNIST/raw")
    parser.add_argument("--repeats", type=int, default=5, help="timed epochs of each")
    arguments = parser.parse_args()
    torch.set_num_threads(os.cpu_count())
    with tempfile.TemporaryDirectory() as scratch:
        epochs = {
            "vaecli": ours(arguments, "off", Path(scratch)),
            "tutorial loop": tutorial(arguments.data),
            "vaecli, bf16": ours(arguments, "bf16", Path(scratch)),
        }
        try:
            epochs["pythae"] = timed(pythae(arguments.data, scratch), images=60_000)
            missing = ""
        except ImportError as error:
            missing = f"pythae could not be imported ({error}): no row."
        taken: dict[str, list[float]] = {name: [] for name in epochs}  # seconds per image
        peaks = []
        for turn in range(1 + arguments.repeats):  # the first warms up
            for name, epoch in epochs.items():
                seconds, images = epoch()
                if turn:
                    taken[name].append(seconds / images)
            peaks.append(matmul_flops())
            print(f"turn {turn} of {arguments.repeats}", file=sys.stderr, flush=True)
    write("step", report(taken, max(peaks), missing))


def ours(arguments: argparse.Namespace, amp: str, directory: Path) -> Epoch:
    """vae-train's own loop; its evaluations and checkpoints are off its clock, and at the end."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        composed = compose("config", [
            "data=mnist", "data.binarise=none", f"data.root={arguments.data}", "model=mlp",
            f"trainer.amp={amp}", f"trainer.epochs={1 + arguments.repeats}",
            f"trainer.lr={LR}", f"trainer.batch_size={BATCH}", f"model.latent_dim={LATENT}",
        ])  # fmt: skip
    config = read(composed)
    data = replace(config.data.load(), train=config.data.read()[0]).to(DEVICE)  # with validation
    fit = Fit(
        build(config, data), data, trainer=config.trainer, schedule=config.schedule,
        precision=choose_precision(config.trainer.amp, DEVICE), seed=0, threshold=0.01,
        directory=directory / amp, observer=Silent(),
    )  # fmt: skip
    fit.steps = 0

    def epoch() -> tuple[float, int]:
        before = fit.progress.seconds
        fit.steps += fit.batches.per_epoch
        fit.run(StopRequests())
        return fit.progress.seconds - before, fit.batches.per_epoch * BATCH

    return epoch


class Silent:
    def window(self, *_: object) -> None: ...

    evaluation = warn = window


def tutorial(root: str) -> Epoch:
    """As in pytorch/examples/vae: torchvision, a DataLoader, sigmoid and cross-entropy."""
    encoder = nn.Sequential(nn.Linear(PIXELS, HIDDEN), nn.ReLU()).to(DEVICE)
    to_mu, to_logvar = (nn.Linear(HIDDEN, LATENT).to(DEVICE) for _ in range(2))
    decoder = nn.Sequential(
        nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, PIXELS), nn.Sigmoid()
    ).to(DEVICE)
    parts = nn.ModuleList([encoder, to_mu, to_logvar, decoder])
    optimizer = torch.optim.Adam(parts.parameters(), lr=LR)
    images = datasets.MNIST(root, train=True, transform=transforms.ToTensor())
    loader = torch.utils.data.DataLoader(images, batch_size=BATCH, shuffle=True)

    def epoch() -> float:
        total = 0.0
        for x, _ in loader:
            x = x.to(DEVICE).view(-1, PIXELS)
            optimizer.zero_grad()
            hidden = encoder(x)
            mu, logvar = to_mu(hidden), to_logvar(hidden)
            std = torch.exp(0.5 * logvar)
            recon = decoder(mu + torch.randn_like(std) * std)
            bce = F.binary_cross_entropy(recon, x, reduction="sum")
            loss = bce - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
            loss.backward()
            total += loss.item()
            optimizer.step()
        return total

    return timed(epoch, images=len(images))


def pythae(root: str, scratch: str) -> Callable[[], object]:
    """One epoch of pythae's BaseTrainer: its loader, callbacks and update, no progress bar.

    pythae 0.1.2 installs beside torch 2.14, numpy 2.4 and constraints.txt, without shims; beyond
    vaecli's own dependencies it really imports pydantic 2 and cloudpickle. It also pulls in
    `dataclasses` 0.6, a backport that must not come before the standard library on sys.path: use a
    virtual environment, never PYTHONPATH.
    """
    logging.disable(logging.INFO)
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import ProgressBarCallback

    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, HIDDEN), nn.ReLU())
            self.mu, self.logvar = nn.Linear(HIDDEN, LATENT), nn.Linear(HIDDEN, LATENT)

        def forward(self, x: Tensor) -> ModelOutput:
            hidden = self.net(x)
            return ModelOutput(embedding=self.mu(hidden), log_covariance=self.logvar(hidden))

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(
                nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, PIXELS), nn.Sigmoid(),
                nn.Unflatten(1, (1, 28, 28)),
            )  # fmt: skip

        def forward(self, z: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.net(z))

    images = datasets.MNIST(root, train=True)
    shape = VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENT, reconstruction_loss="bce")
    trainer = BaseTrainer(
        VAE(shape, encoder=Encoder(), decoder=Decoder()),
        BaseDataset(images.data[:, None] / 255, images.targets),
        training_config=BaseTrainerConfig(
            output_dir=scratch, per_device_train_batch_size=BATCH, learning_rate=LR
        ),
    )
    trainer.prepare_training()
    handler = trainer.callback_handler
    handler.callbacks = [c for c in handler.callbacks if not isinstance(c, ProgressBarCallback)]
    return lambda: trainer.train_step(1)


def timed(epoch: Callable[[], object], *, images: int) -> Epoch:
    def run() -> tuple[float, int]:
        start = time.perf_counter()
        epoch()
        return time.perf_counter() - start, images

    return run


def matmul_flops(n: int = 2048) -> float:
    """FLOP/s of the best of five float32 matrix products."""
    a, b = torch.randn(2, n, n, device=DEVICE)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        (a @ b)[0, 0].item()  # waits for the device
        seconds.append(time.perf_counter() - start)
    return 2 * n**3 / min(seconds)


def report(taken: dict[str, list[float]], peak: float, missing: str) -> str:
    first, rest = PIXELS * HIDDEN, HIDDEN * 2 * LATENT + LATENT * HIDDEN + HIDDEN * PIXELS
    flops = 2 * (2 * first + 3 * rest)  # per image: forward, weights' and inputs' gradients
    repeats = len(taken["vaecli"])
    lines = [
        "# Training speed",
        "",
        f"`python benchmarks/step.py --repeats {repeats}`: the same 784-400-20 Bernoulli VAE, Adam,",
        f"batch {BATCH}, 60,000 MNIST images, {DEVICE}, float32 unless said otherwise,",
        f"{torch.get_num_threads()} threads; {repeats} epochs of each in turn after one to warm up.",
        "",
        *environment_lines(),
        "",
        "| loop | images/s, median (min-max) | s per 60,000 images | of matmul peak | time / ours |",
        "|---|---|---|---|---|",
    ]
    ours = median(taken["vaecli"])
    for name, times in taken.items():
        middle = median(times)
        lines.append(
            f"| {name} | {1 / middle:,.0f} ({1 / max(times):,.0f}-{1 / min(times):,.0f}) | "
            f"{60_000 * middle:.2f} | {flops / middle / peak:.0%} | {middle / ours:.2f} |"
        )
    lines += [
        "",
        f"Peak: {peak / 1e9:,.0f} GFLOP/s in float32 matrix products of 2048x2048; an epoch's matrix",
        f"products are {60_000 * flops / 1e9:.0f} GFLOP.",
        missing,
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
