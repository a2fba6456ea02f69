"""Training speed on MNIST: vaecli's loop beside the tutorial's loop and pythae's trainer.

The same VAE, loss and Adam on the same grey images, one epoch of each in turn, so that a busy
machine slows all alike. Writes benchmarks/results/step_<hardware>_<yyyymm>.md. Without pythae (`pip
install vaecli[bench]`) its row is left out.
"""

# pythae 0.1.2 runs as it is beside torch 2.14, numpy 2.4 and constraints.txt. It adds pydantic 2;
# imageio, which it requires, is not imported here. It also requires `dataclasses` 0.6, which hides
# the standard library's where it comes first on sys.path: use a venv, never PYTHONPATH.

import argparse
import logging
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from unittest.mock import Mock

import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir
from results import environment_lines, write
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from vaecli.build import build
from vaecli.compose import CONFIGS
from vaecli.config import read
from vaecli.training.fit import Fit
from vaecli.training.precision import choose_precision, prepare_process
from vaecli.training.signals import StopRequests

BATCH, D, H, Z, LR = 128, 784, 400, 20, 1e-3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="../shared/data", help="folder that holds MNIST/raw")
    parser.add_argument("--repeats", type=int, default=5, help="timed epochs of each")
    parser.add_argument("--batches", type=int, default=468, help="in an epoch")
    options = parser.parse_args()
    loops = {"vaecli": ours, "tutorial": tutorial, "pythae": pythae, "vaecli, bf16": ours_bf16}
    times, peaks = {name: [] for name in loops}, []
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        pools = {
            name: stack.enter_context(process(loops[name], options, scratch)) for name in loops
        }
        for turn in range(1 + options.repeats):
            for name, pool in pools.items():
                times[name].append(pool.submit(train).result())
            peaks.append(matmul_flops())
            print(f"turn {turn} of {options.repeats}", file=sys.stderr, flush=True)
    measured = {name: found[1:] for name, found in times.items() if found[0]}
    write("step", report(options, measured, max(peaks)))


def process(loop, options: argparse.Namespace, scratch: str) -> ProcessPoolExecutor:
    """A process of its own for each loop: none inherits another's settings of torch."""
    return ProcessPoolExecutor(1, get_context("spawn"), start, (loop, options, scratch))


def start(loop, options: argparse.Namespace, scratch: str) -> None:
    global epoch
    epoch = loop(options, scratch)


def train() -> float | None:
    return epoch and epoch()


def ours(options: argparse.Namespace, scratch: str, amp: str = "off"):
    """vae-train's own loop, by its own clock, which stands still while it evaluates."""
    prepare_process()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = read(compose("config", [
            "data=mnist", f"data.root={options.data}", "data.binarise=none", f"trainer.amp={amp}",
            f"trainer.batch_size={BATCH}", f"trainer.lr={LR}", f"model.latent_dim={Z}",
            f"trainer.epochs={1 + options.repeats}", "device=cpu",
        ]))  # fmt: skip
    train = config.data.read()[0]  # the others keep nothing back for validation either
    train = train._replace(x=train.x[: BATCH * options.batches])
    data = replace(config.data.load(), train=train)
    fit = Fit(
        build(config, data), data, trainer=config.trainer, schedule=config.schedule,
        precision=choose_precision(config.trainer.amp, data.device), seed=0, threshold=0.01,
        directory=Path(scratch) / amp,
    )  # fmt: skip
    fit.steps = 0

    def epoch() -> float:
        before = fit.meter.seconds
        fit.steps += options.batches
        fit.run(StopRequests(), Mock())
        return fit.meter.seconds - before

    return epoch


def ours_bf16(options: argparse.Namespace, scratch: str):
    return ours(options, scratch, "bf16")


def mnist(options: argparse.Namespace) -> datasets.MNIST:
    images = datasets.MNIST(options.data, transform=transforms.ToTensor())
    n = BATCH * options.batches
    images.data, images.targets = images.data[:n], images.targets[:n]
    return images


def networks() -> nn.ModuleList:
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(D, H), nn.ReLU(), nn.Linear(H, 2 * Z))
    decoder = nn.Sequential(nn.Linear(Z, H), nn.ReLU(), nn.Linear(H, D), nn.Sigmoid())
    return nn.ModuleList([encoder, decoder])


def tutorial(options: argparse.Namespace, scratch: str):
    """As in pytorch/examples/vae."""
    encoder, decoder = model = networks()
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    loader = DataLoader(mnist(options), batch_size=BATCH, shuffle=True)

    def epoch() -> None:
        total = 0.0
        for x, _ in loader:
            optimizer.zero_grad()
            mu, logvar = encoder(x).chunk(2, -1)
            std = torch.exp(0.5 * logvar)
            recon = decoder(mu + torch.randn_like(std) * std)
            bce = F.binary_cross_entropy(recon, x.view(-1, D), reduction="sum")
            loss = bce - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
            loss.backward()
            total += loss.item()
            optimizer.step()

    return lambda: seconds(epoch)


def pythae(options: argparse.Namespace, scratch: str):
    """pythae's BaseTrainer without its progress bar; None if it is not installed."""
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
    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=Z, reconstruction_loss="bce")
    settings = BaseTrainerConfig(scratch, BATCH, learning_rate=LR, no_cuda=True)
    images = mnist(options)
    data = BaseDataset(images.data[:, None] / 255, images.targets)
    trainer = BaseTrainer(VAE(config, encoder, decoder), data, training_config=settings)
    trainer.prepare_training()
    handler = trainer.callback_handler
    handler.callbacks = [c for c in handler.callbacks if not isinstance(c, ProgressBarCallback)]
    return lambda: seconds(lambda: trainer.train_step(1))


def seconds(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def matmul_flops(n: int = 2048) -> float:
    a, b = torch.randn(2, n, n)
    return 2 * n**3 / min(seconds(lambda: a @ b) for _ in range(5))


def report(options: argparse.Namespace, times: dict[str, list[float]], peak: float) -> str:
    n = BATCH * options.batches
    first, rest = D * H, H * 2 * Z + Z * H + H * D
    flops = 2 * n * (2 * first + 3 * rest)  # forward, gradients of weights and (not first) inputs
    rows = [
        f"| {name} | {median(t):.2f} ({min(t):.2f}-{max(t):.2f}) | {n / median(t):,.0f} | "
        f"{flops / median(t) / peak:.0%} | {median(t) / median(times['vaecli']):.2f} |"
        for name, t in times.items()
    ]
    return "\n".join([
        "# Training speed\n",
        f"`python benchmarks/step.py --repeats {options.repeats} --batches {options.batches}`: VAE",
        f"{D}-{H}-{Z}-{H}-{D}, Bernoulli on {n:,} grey MNIST images, batch {BATCH}, Adam, float32,",
        f"CPU with {torch.get_num_threads()} threads. Median (min-max) of {options.repeats} epochs",
        f"after one to warm up, the loops in turn. Matrix products of an epoch: {flops / 1e9:.0f}",
        f"GFLOP; with 2048x2048 matrices the machine makes {peak / 1e9:.0f} GFLOP/s in this run.",
        "" if "pythae" in times else "pythae is not installed.\n",
        *environment_lines(),
        "\n| loop | seconds per epoch | images/s | share of matmul peak | time / vaecli's |",
        "|---|---|---|---|---|",
        *rows,
    ])  # fmt: skip


if __name__ == "__main__":
    main()
