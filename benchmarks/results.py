"""Where benchmark figures go: benchmarks/results/<theme>_<hardware>_<yyyymm>.md."""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch
from torch.backends.cpu import get_cpu_capability

HERE = Path(__file__).resolve().parent


def hardware(device: str | None = None) -> str:
    """A short name of what computes: the GPU's, as h100 or t4, or the number of CPU cores.

    Cores without AVX-512 are named apart: a table of theirs must not replace one of cores with it.
    device: "cpu" where it computes though there is a GPU.
    """
    if torch.cuda.is_available() and device != "cpu":
        name = torch.cuda.get_device_name().lower()
        model = re.search(r"\b[a-z]+\d+\w*", name)
        return model[0] if model else re.sub(r"\W+", "", name)
    capability = get_cpu_capability().lower()
    return f"cpu{os.cpu_count()}" + ("" if capability == "avx512" else capability)


def environment_lines(device: str | None = None) -> list[str]:
    """Commit, versions and hardware, as markdown."""
    commit, changes = (
        subprocess.run(["git", *words], cwd=HERE, capture_output=True, text=True).stdout.strip()
        for words in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "-uno"])
    )
    versions = [f"{name} {version(name)}" for name in ("torch", "torchvision", "numpy")]
    computer = f"{hardware(device)} ({processor()}, {torch.get_num_threads()} threads)"
    return [
        f"Commit {commit}{' and changes' if changes else ''}, {', '.join(versions)}, Python "
        f"{platform.python_version()}, {computer}, {datetime.date.today():%Y-%m-%d}."
    ]


def processor() -> str:
    """The CPU's model and what it can do that matters here."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    model = re.search(r"model name\s*: (.*)", text)
    amx = "with" if "amx_tile" in text else "without"
    return f"{model[1] if model else platform.machine()}, {get_cpu_capability()}, {amx} AMX"


def write(theme: str, text: str, device: str | None = None) -> Path:
    """Write the results file and print it."""
    path = HERE / "results" / f"{theme}_{hardware(device)}_{datetime.date.today():%Y%m}.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text.rstrip() + "\n", encoding="utf-8")
    print(text, f"\n-> {path}")
    return path
