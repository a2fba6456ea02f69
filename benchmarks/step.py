"""Training speed on MNIST: vaecli's loop beside the tutorial's loop and pythae's trainer.

The same modules on the same grey images with a Bernoulli likelihood and Adam; the others write the
likelihood as cross-entropy of sigmoids and take PyTorch's default Adam, not the fused one. Some
batches of each in turn, so that a busy machine slows all alike. Writes
benchmarks/results/step_<hardware>_<yyyymm>.md. Without pythae (`pip install vaecli[bench]`) its row
is left out.
"""

# pythae 0.1.2 runs as it is beside torch 2.14, numpy 2.4 and constraints.txt. It adds pydantic 2;
# imageio, which it requires, is not imported here. It also requires `dataclasses` 0.6, which hides
# the standard library's where it comes first on sys.path: use a venv, never PYTHONPATH.

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from unittest.mock import Mock

import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir
from results import environment_lines, write
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode
from torchvision import datasets, transforms

from vaecli.config.compose import CONFIGS
from vaecli.config.schema import Config, read
from vaecli.data.sets.base import Data
from vaecli.runs.build import build
from vaecli.training.fit import Fit
from vaecli.training.precision import choose_device, choose_precision, has_bf16, prepare_process
from vaecli.training.signals import StopRequests

LR, LATENT = 1e-3, 20


@dataclass(frozen=True)
class Case:
    """What is trained, and how many batches are one measurement."""

    model: str
    batch: int
    batches: int


CASES = (
    Case("mlp", 128, 468),
    Case("mlp", 512, 117),
    Case("cnn", 128, 60),
    Case("pixelcnn", 128, 30),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="../shared/data", help="folder that holds MNIST/raw")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each loop")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--models", default="mlp,cnn,pixelcnn")
    parser.add_argument("--share", type=float, default=1, help="of the batches, for a quick look")
    options = parser.parse_args()
    options.device = str(choose_device(options.device))
    text = [
        f"# Training speed\n\n`python benchmarks/step.py --repeats {options.repeats}`: the same",
        "modules (configs/model, medium decoders, 20 latents, Bernoulli), Adam and grey MNIST in",
        f"every loop, loops in turn; median (min-max) of {options.repeats} measurements after one",
        f"to warm up. {torch.get_num_threads()} threads.\n",
        *environment_lines(options.device),
    ]
    for case in CASES:
        if case.model in options.models.split(","):
            case = replace(case, batches=max(2, round(case.batches * options.share)))
            text += measured(case, options)
    write("step", "\n".join(text), options.device)


def measured(case: Case, options: argparse.Namespace) -> list[str]:
    """The section of the results on one case."""
    bf16 = has_bf16(torch.device(options.device))
    loops = [name for name in LOOPS if bf16 or "bf16" not in name]
    times: dict[str, list[float]] = {name: [] for name in loops}
    peaks = dict.fromkeys([torch.float32, *([torch.bfloat16] if bf16 else [])], 0.0)
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        pools = {name: stack.enter_context(process(name, case, options, scratch)) for name in loops}
        for turn in range(1 + options.repeats):
            for name, pool in pools.items():
                times[name].append(pool.submit(train).result())
            for dtype in peaks:
                peaks[dtype] = max(peaks[dtype], matmul_flops(dtype, options.device))
            print(f"{case}: turn {turn} of {options.repeats}", file=sys.stderr, flush=True)
    return section(case, options, {n: t[1:] for n, t in times.items() if t[0]}, peaks)


def process(name: str, *arguments) -> ProcessPoolExecutor:
    """A process of its own for each loop: none inherits another's settings of torch."""
    return ProcessPoolExecutor(1, get_context("spawn"), start, (name, *arguments))


def start(name: str, *arguments) -> None:
    global measure
    measure = LOOPS[name](*arguments)


def train() -> float | None:
    return measure and measure()


def configured(case: Case, options: argparse.Namespace, *more: str) -> Config:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return read(
            compose(
                "config",
                [
                    "data=mnist",
                    f"data.root={options.data}",
                    "data.binarise=none",
                    f"model={case.model}",
                    f"trainer.batch_size={case.batch}",
                    f"trainer.lr={LR}",
                    f"model.latent_dim={LATENT}",
                    f"device={options.device}",
                    "trainer.amp=off",
                    "trainer.compile=off",
                    *more,
                ],
            )
        )


def images(case: Case, config: Config) -> Data:
    """As many training images as one measurement needs; nothing is held back for validation."""
    train = config.data.read()[0]
    train = train._replace(x=train.x[: case.batch * case.batches])
    return replace(config.data.load(), train=train)


def ours(case: Case, options: argparse.Namespace, scratch: str, *more: str):
    """vae-train's own loop, by its own clock, which stands still while it evaluates."""
    prepare_process()
    config = configured(case, options, *more)
    data = images(case, config).to(torch.device(options.device))
    fit = Fit(
        build(config, data),
        data,
        trainer=replace(config.trainer, epochs=1 + options.repeats),
        schedule=config.schedule,
        precision=choose_precision(config.trainer.amp, data.device),
        seed=0,
        threshold=0.01,
        directory=Path(scratch) / "-".join(("ours", *more)),
    )
    fit.steps = 0

    def epoch() -> float:
        before = fit.meter.seconds
        fit.steps += case.batches
        fit.run(StopRequests(), Mock())
        return fit.meter.seconds - before

    return epoch


def ours_bf16(case: Case, options: argparse.Namespace, scratch: str):
    return ours(case, options, scratch, "trainer.amp=bf16")


def ours_compiled(case: Case, options: argparse.Namespace, scratch: str):
    return ours(case, options, scratch, "trainer.compile=on")


def modules(case: Case, options: argparse.Namespace):
    """vaecli's modules alone: x -> mu, logvar, and z, x -> logits."""
    config = configured(case, options)
    vae = build(config, images(case, config).to(torch.device(options.device))).vae
    return (
        vae,
        lambda x: vae.encoder(x).chunk(2, -1),
        lambda z, x: vae.decoder(z, x) + vae.output_bias,
    )


def mnist(case: Case, options: argparse.Namespace) -> datasets.MNIST:
    found = datasets.MNIST(options.data, transform=transforms.ToTensor())
    n = case.batch * case.batches
    found.data, found.targets = found.data[:n], found.targets[:n]
    return found


def tutorial(case: Case, options: argparse.Namespace, scratch: str):
    """As in pytorch/examples/vae on a CPU."""
    model, encode, decode = modules(case, options)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    loader = DataLoader(mnist(case, options), batch_size=case.batch, shuffle=True)

    def epoch() -> None:
        total = 0.0
        for x, _ in loader:
            x = x.to(options.device)
            optimizer.zero_grad()
            mu, logvar = encode(x)
            std = torch.exp(0.5 * logvar)
            recon = decode(mu + torch.randn_like(std) * std, x).sigmoid()
            bce = F.binary_cross_entropy(recon, x, reduction="sum")
            loss = bce - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
            loss.backward()
            total += loss.item()
            optimizer.step()

    return lambda: seconds(epoch)


def pythae(case: Case, options: argparse.Namespace, scratch: str):
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
    vae, encode, decode = modules(case, options)

    class Encoder(BaseEncoder):
        def forward(self, x):
            mu, logvar = encode(x)
            return ModelOutput(embedding=mu, log_covariance=logvar)

    class Decoder(BaseDecoder):
        def forward(self, z, x):
            return ModelOutput(reconstruction=decode(z, x).sigmoid())

    class Model(VAE):
        """pythae's, but for the decoder, which may see x."""

        def forward(self, inputs, **kwargs):
            x = inputs["data"]
            code = self.encoder(x)
            mu, logvar = code.embedding, code.log_covariance
            z, _ = self._sample_gauss(mu, torch.exp(0.5 * logvar))
            recon = self.decoder(z, x).reconstruction
            loss, _, _ = self.loss_function(recon, x, mu, logvar, z)
            return ModelOutput(loss=loss)

    encoder, decoder = Encoder(), Decoder()
    encoder.net = vae.encoder
    decoder.net, decoder.bias = vae.decoder, vae.output_bias
    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENT, reconstruction_loss="bce")
    settings = BaseTrainerConfig(
        scratch, case.batch, learning_rate=LR, no_cuda=options.device == "cpu"
    )
    found = mnist(case, options)
    data = BaseDataset(found.data[:, None] / 255, found.targets)
    trainer = BaseTrainer(Model(config, encoder, decoder), data, training_config=settings)
    trainer.prepare_training()
    handler = trainer.callback_handler
    handler.callbacks = [c for c in handler.callbacks if not isinstance(c, ProgressBarCallback)]
    return lambda: seconds(lambda: trainer.train_step(1))


LOOPS: dict[str, Callable] = {
    "vaecli": ours,
    "vaecli, compiled": ours_compiled,
    "vaecli, bf16": ours_bf16,
    "tutorial": tutorial,
    "pythae": pythae,
}


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def largest_product(device: str) -> int:
    """Side of the square matrices whose product is the peak: large enough to fill the device."""
    return 2048 if device == "cpu" else 8192


def matmul_flops(dtype: torch.dtype, device: str) -> float:
    n = largest_product(device)
    a, b = torch.randn(2, n, n, device=device).to(dtype)
    return 2 * n**3 / min(seconds(lambda: a @ b) for _ in range(5))


def step_flops(case: Case, options: argparse.Namespace) -> int:
    """Of the products and convolutions of one update, forward and back."""
    vae, encode, decode = modules(case, options)
    x = torch.rand(case.batch, *vae.shape, device=options.device)
    with FlopCounterMode(display=False) as counter:
        mu, _ = encode(x)
        decode(mu, x).sum().backward()
    return counter.get_total_flops()


def section(
    case: Case,
    options: argparse.Namespace,
    times: dict[str, list[float]],
    peaks: dict[torch.dtype, float],
) -> list[str]:
    n, flops = case.batch * case.batches, step_flops(case, options) * case.batches
    side = largest_product(options.device)
    fast = peaks.get(torch.bfloat16)
    in_bf16 = f"{fast / 1e9:.0f} in bf16" if fast else "and no bf16 on this processor"
    rows = []
    for name, found in times.items():
        peak = peaks[torch.bfloat16 if "bf16" in name else torch.float32]
        middle = median(found)
        spread = f"({1e3 * min(found) / case.batches:.2f}-{1e3 * max(found) / case.batches:.2f})"
        rows.append(
            f"| {name} | {1e3 * middle / case.batches:.2f} {spread} | {n / middle:,.0f} | "
            f"{flops / middle / peak:.0%} | {middle / median(times['vaecli']):.2f} |"
        )
    return [
        f"\n## {case.model}, batch {case.batch}\n",
        f"{case.batches} updates a measurement, {flops / case.batches / 1e9:.2f} GFLOP each; peak "
        f"of {side}x{side} products in this run: {peaks[torch.float32] / 1e9:.0f} GFLOP/s in "
        f"float32, {in_bf16}.\n",
        "| loop | ms per update | images/s | share of its peak | time / vaecli's |",
        "|---|---|---|---|---|",
        *rows,
    ]


if __name__ == "__main__":
    main()
