"""Training speed on MNIST: vaecli's loop beside the tutorial's loop and pythae's trainer.

The same VAE (784-400-20-400-784) with the same loss and Adam on the same grey images, one epoch of
each in turn, so that a busy machine slows all alike. Writes benchmarks/results/step_*.md. pythae
comes with `pip install vaecli[bench]`; without it its row is left out.
"""

# pythae 0.1.2 runs beside torch 2.14 and numpy 2.4 as it is, and moves none of the versions in
# constraints.txt. Beyond vaecli's own dependencies it imports pydantic 2 and cloudpickle. It also
# requires `dataclasses` 0.6, a backport that hides the standard library's module if it comes first
# on sys.path: harmless in a virtual environment, fatal by way of PYTHONPATH.

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir
from results import environment_lines, write
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from vaecli.build import build
from vaecli.config import read
from vaecli.train import CONFIGS
from vaecli.training.fit import Fit
from vaecli.training.precision import choose_device, choose_precision
from vaecli.training.signals import StopRequests

BATCH, PIXELS, HIDDEN, LATENT, LR = 128, 784, 400, 20, 1e-3
DEVICE = choose_device("auto")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="../shared/data", help="folder that holds MNIST/raw")
    parser.add_argument("--repeats", type=int, default=5, help="timed epochs of each")
    parser.add_argument("--images", type=int, default=60_000, help="in an epoch")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    images = datasets.MNIST(options.data, train=True, transform=transforms.ToTensor())
    images.data, images.targets = images.data[: options.images], images.targets[: options.images]
    with tempfile.TemporaryDirectory() as scratch:
        loops = {
            "vaecli": ours(options, "off", Path(scratch)),
            "tutorial": tutorial(images),
            "pythae": pythae(images, scratch),
            "vaecli, bf16": ours(options, "bf16", Path(scratch)),
        }
        taken = {name: [] for name, epoch in loops.items() if epoch}  # microseconds per image
        peak = 0.0
        for turn in range(1 + options.repeats):  # the first one warms up
            for name in taken:
                seconds, n = loops[name]()
                taken[name] += [1e6 * seconds / n] if turn else []
            peak = max(peak, matmul_flops())
            print(f"turn {turn} of {options.repeats}", file=sys.stderr, flush=True)
    write("step", report(options, taken, peak))


def ours(options: argparse.Namespace, amp: str, directory: Path):
    """vae-train's own loop; it evaluates between the epochs, off its clock."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        composed = compose("config", [
            "data=mnist", f"data.root={options.data}", "data.binarise=none", f"trainer.amp={amp}",
            f"trainer.batch_size={BATCH}", f"trainer.lr={LR}", f"model.latent_dim={LATENT}",
            f"trainer.epochs={1 + options.repeats}",
        ])  # fmt: skip
    config = read(composed)
    whole = config.data.read()[0]._replace(y=None)  # the others have no validation split either
    data = replace(config.data.load(), train=whole._replace(x=whole.x[: options.images])).to(DEVICE)
    fit = Fit(
        build(config, data), data, trainer=config.trainer, schedule=config.schedule,
        precision=choose_precision(config.trainer.amp, DEVICE), seed=0, threshold=0.01,
        directory=directory / amp, observer=Silent(),
    )  # fmt: skip
    fit.steps = 0

    def epoch() -> tuple[float, int]:
        before = fit.meter.seconds
        fit.steps += fit.batches.per_epoch
        fit.run(StopRequests())
        return fit.meter.seconds - before, fit.batches.per_epoch * BATCH

    return epoch


class Silent:
    def window(self, *_: object) -> None: ...

    evaluation = warn = window


def networks() -> nn.ModuleList:
    encoder = nn.Sequential(
        nn.Flatten(), nn.Linear(PIXELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * LATENT)
    )
    decoder = nn.Sequential(
        nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, PIXELS), nn.Sigmoid()
    )
    return nn.ModuleList([encoder, decoder]).to(DEVICE)


def tutorial(images: datasets.MNIST):
    """As in pytorch/examples/vae."""
    model = networks()
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    loader = DataLoader(images, batch_size=BATCH, shuffle=True)

    def epoch() -> None:
        total = 0.0
        for x, _ in loader:
            x = x.to(DEVICE)
            optimizer.zero_grad()
            mu, logvar = model[0](x).chunk(2, -1)
            std = torch.exp(0.5 * logvar)
            recon = model[1](mu + torch.randn_like(std) * std)
            bce = F.binary_cross_entropy(recon, x.view(-1, PIXELS), reduction="sum")
            loss = bce - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
            loss.backward()
            total += loss.item()
            optimizer.step()

    return timed(epoch, len(images))


def pythae(images: datasets.MNIST, scratch: str):
    """One epoch of pythae's BaseTrainer, without its progress bar; None if it is not installed."""
    logging.disable(logging.INFO)
    try:
        from pythae.data.datasets import BaseDataset
        from pythae.models import VAE, VAEConfig
        from pythae.models.base.base_utils import ModelOutput
        from pythae.models.nn import BaseDecoder, BaseEncoder
        from pythae.trainers import BaseTrainer, BaseTrainerConfig
        from pythae.trainers.training_callbacks import ProgressBarCallback
    except ImportError as error:
        print(f"pythae cannot be imported: {error}", file=sys.stderr)
        return None

    class Encoder(BaseEncoder):
        def forward(self, x):
            mu, logvar = self.net(x).chunk(2, -1)
            return ModelOutput(embedding=mu, log_covariance=logvar)

    class Decoder(BaseDecoder):
        def forward(self, z):
            return ModelOutput(reconstruction=self.net(z))

    encoder, decoder = Encoder(), Decoder()
    encoder.net, decoder.net = networks()
    shape = VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENT, reconstruction_loss="bce")
    trainer = BaseTrainer(
        VAE(shape, encoder=encoder, decoder=decoder),
        BaseDataset(images.data[:, None] / 255, images.targets),
        training_config=BaseTrainerConfig(
            output_dir=scratch, per_device_train_batch_size=BATCH, learning_rate=LR
        ),
    )
    trainer.prepare_training()
    handler = trainer.callback_handler
    handler.callbacks = [c for c in handler.callbacks if not isinstance(c, ProgressBarCallback)]
    return timed(lambda: trainer.train_step(1), len(images))


def timed(epoch, images: int):
    def run() -> tuple[float, int]:
        start = time.perf_counter()
        epoch()
        return time.perf_counter() - start, images

    return run


def matmul_flops(n: int = 2048) -> float:
    """FLOP/s of the best of five float32 matrix products."""
    a, b = torch.randn(2, n, n, device=DEVICE)
    seconds = [timed(lambda: (a @ b)[0, 0].item(), 0)()[0] for _ in range(5)]
    return 2 * n**3 / min(seconds)


def report(options: argparse.Namespace, taken: dict[str, list[float]], peak: float) -> str:
    first, rest = PIXELS * HIDDEN, HIDDEN * 2 * LATENT + LATENT * HIDDEN + HIDDEN * PIXELS
    flops = 2 * (2 * first + 3 * rest)  # per image: forward, gradients of weights and of inputs
    rows = [
        f"| {name} | {median(times):.1f} ({min(times):.1f}-{max(times):.1f}) | "
        f"{1e6 / median(times):,.0f} | {flops / (1e-6 * median(times)) / peak:.0%} | "
        f"{median(times) / median(taken['vaecli']):.2f} |"
        for name, times in taken.items()
    ]
    return "\n".join([
        "# Training speed",
        "",
        f"`python benchmarks/step.py --repeats {options.repeats} --images {options.images}`: an",
        f"epoch of the 784-400-20-400-784 Bernoulli VAE on grey MNIST, batch {BATCH}, Adam, on",
        f"{DEVICE} with {torch.get_num_threads()} threads, float32 if not said otherwise.",
        f"Median (min-max) of {options.repeats} epochs after one to warm up, the loops in turn.",
        "pythae: not installed." if "pythae" not in taken else "",
        *environment_lines(),
        "",
        "| loop | us per image | images/s | of matmul peak | time over ours |",
        "|---|---|---|---|---|",
        *rows,
        "",
        f"Peak, 2048^3 in float32: {peak / 1e9:,.0f} GFLOP/s. The matrix products of 60,000 images:",
        f"{60_000 * flops / 1e9:.0f} GFLOP.",
    ])  # fmt: skip


if __name__ == "__main__":
    main()
