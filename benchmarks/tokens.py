"""Training speed on text: vaecli's loop beside a plain PyTorch loop over the same modules.

The plain loop is what one writes first: a DataLoader over lists of tokens, random batches padded to
their longest, Adam, the loss read at every update. Both in turns; tokens a second count what is not
padding. Writes benchmarks/results/tokens_<hardware>_<yyyymm>.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from unittest.mock import Mock

import torch
from hydra import compose, initialize_config_dir
from results import environment_lines, write
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from vaecli.config.compose import CONFIGS
from vaecli.config.schema import read
from vaecli.data.files.vocabulary import PAD
from vaecli.data.sets.base import Data
from vaecli.runs.build import build
from vaecli.training.compiling import compiler
from vaecli.training.fit import Fit
from vaecli.training.precision import choose_device, choose_precision, prepare_process
from vaecli.training.signals import StopRequests

MODELS = ("lstm", "dilated_cnn", "transformer")
BATCH, LR = 64, 1e-3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", default="../shared/data/kjv.txt", help="one example a line")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each loop")
    parser.add_argument("--updates", type=int, default=40, help="in a measurement")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = choose_device(options.device)
    prepare_process()
    rows = []
    for model in options.models.split(","):
        with tempfile.TemporaryDirectory() as scratch:
            loops = {
                "vaecli": ours(model, device, options, scratch),
                "plain loop": plain(model, device, options),
            }
            if compiler() is not None:  # the first turn meets every width of a batch, and compiles
                loops["vaecli, compiled"] = ours(
                    model, device, options, scratch, "trainer.compile=on"
                )
            times: dict[str, list[float]] = {name: [] for name in loops}
            for turn in range(1 + options.repeats):
                for name, found in times.items():
                    found.append(loops[name]())
                print(f"{model}: turn {turn} of {options.repeats}", file=sys.stderr, flush=True)
        speeds = {name: found[1:] for name, found in times.items()}
        for name, found in speeds.items():
            ratio = median(found) / median(speeds["plain loop"])
            rows.append(
                f"| {model} | {name} | {median(found):,.0f} | {min(found):,.0f} to "
                f"{max(found):,.0f} | {ratio:.2f} |"
            )
    write(
        "tokens",
        "\n".join(
            [
                "# Tokens a second\n",
                f"`python benchmarks/tokens.py`: {Path(options.text).name}, words that occur "
                f"ten times, at "
                f"most 40 tokens, medium decoders, 32 latents, batch {BATCH}; {options.updates} "
                f"updates a "
                f"measurement, median and range of {options.repeats}, {torch.get_num_threads()} "
                f"threads.\n",
                *environment_lines(str(device)),
                "",
                "| model | loop | tokens/s | range | over the plain loop |",
                "|---|---|---|---|---|",
                *rows,
            ]
        ),
        str(device),
    )


def configured(model: str, device: torch.device, options: argparse.Namespace, *more: str):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return read(
            compose(
                "config",
                [
                    "data=text",
                    f"data.path={options.text}",
                    "data.min_count=10",
                    f"model={model}",
                    f"trainer.batch_size={BATCH}",
                    f"trainer.lr={LR}",
                    f"device={device}",
                    "trainer.amp=off",
                    "trainer.compile=off",
                    "trainer.evaluate_every=1000",
                    *more,
                ],
            )
        )


def ours(model: str, device: torch.device, options: argparse.Namespace, scratch: str, *more: str):
    config = configured(model, device, options, *more)
    data = config.data.load().to(device)
    fit = Fit(
        build(config, data),
        data,
        trainer=config.trainer,
        schedule=config.schedule,
        precision=choose_precision(config.trainer.amp, device),
        seed=0,
        threshold=0.01,
        directory=Path(scratch) / "-".join(("ours", *more)),
    )
    fit.observer = Mock()
    fit.objective.train()
    tokens = 0
    rows = fit.batches.rows

    def counted(which: str) -> torch.Tensor:
        nonlocal tokens
        taken = rows(which)
        tokens += int(fit.batches.length[fit.batches.held].sum())
        return taken

    fit.batches.rows = counted
    stop = StopRequests()

    def measure() -> float:
        nonlocal tokens
        tokens, start = 0, time.perf_counter()
        for _ in range(options.updates):
            fit.update()
            stop.raise_if_received()
        wait(device)
        fit.meter._window.clear()
        return tokens / (time.perf_counter() - start)

    return measure


def plain(model: str, device: torch.device, options: argparse.Namespace):
    config = configured(model, device, options)
    data: Data = config.data.load()
    vae = build(config, data.to(device)).vae
    optimizer = torch.optim.Adam(vae.parameters(), lr=LR)
    lines = [
        row[0, 0, :n].long()
        for row, n in zip(data.train.x, data.train.length.tolist(), strict=True)
    ]
    loader = iter(
        DataLoader(
            lines,
            BATCH,
            shuffle=True,
            collate_fn=lambda rows: pad_sequence(rows, batch_first=True, padding_value=PAD),
        )
    )

    def measure() -> float:
        tokens, start, total = 0, time.perf_counter(), 0.0
        for _ in range(options.updates):
            x = next(loader)
            tokens += int((x != PAD).sum())
            x = x.to(device)[:, None, None]
            optimizer.zero_grad()
            mu, logvar = vae.encode(x)
            z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
            logits = vae.decoder(z, x) + vae.output_bias
            nll = cross_entropy(logits[:, :, 0], x[:, 0, 0], ignore_index=PAD, reduction="sum")
            kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
            loss = (nll + kl) / len(x)
            loss.backward()
            optimizer.step()
            total += loss.item()
        wait(device)
        return tokens / (time.perf_counter() - start)

    return measure


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
