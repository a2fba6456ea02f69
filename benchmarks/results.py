"""Where benchmark figures go: benchmarks/results/<theme>_<hardware>_<yyyymm>.md."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent


def hardware() -> str:
    """A short name of what computes: the GPU's, or the number of CPU cores."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name().split()[-1].lower()
    return f"cpu{os.cpu_count()}"


def environment_lines() -> list[str]:
    """Commit, versions and hardware, as markdown."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True
    ).stdout.strip()
    processor = platform.processor() or platform.machine()
    return [
        f"Commit {commit}, torch {torch.__version__}, Python {platform.python_version()}, "
        f"{hardware()} ({processor}), {datetime.date.today():%Y-%m-%d}."
    ]


def write(theme: str, text: str) -> Path:
    """Write the results file and print it."""
    path = HERE / "results" / f"{theme}_{hardware()}_{datetime.date.today():%Y%m}.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text.rstrip() + "\n", encoding="utf-8")
    print(text, f"\n-> {path}")
    return path
