"""Checkpoints: plain types and tensors, written whole or not at all, read as data only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from vaecli.errors import UsageError

FORMAT = 1  # raised whenever the content changes its meaning


def save(path: Path, content: dict[str, Any]) -> None:
    """Write `content` to `path` atomically: a reader sees the old file or the new one."""
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as file:
        torch.save(_alone({"format": FORMAT, **content}), file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint on the host. Raises UsageError if `path` does not hold one.

    `weights_only` makes the file data: nothing in it is imported or called.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UsageError(
            "checkpoint", path, "there is no such file", "name a run that wrote a checkpoint"
        ) from error
    except Exception as error:  # of a damaged file torch.load raises nearly anything
        raise UsageError(
            "checkpoint",
            path,
            "is no checkpoint of vaecli, or is damaged",
            "use another one, or start the run anew",
        ) from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise UsageError(
            "checkpoint",
            path,
            f"has format {found!r}, and this vaecli reads format {FORMAT}",
            "use a checkpoint that vae-train of this version wrote",
        )
    return content


def _alone(content: Any) -> Any:
    """`content` with every view copied: torch.save writes the whole storage behind a view.

    A run that is trained in a stack has views of the stack for weights.
    """
    if isinstance(content, torch.Tensor):
        whole = content.untyped_storage().nbytes() == content.nbytes
        return content if whole else content.clone()
    if isinstance(content, dict):
        return {key: _alone(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return type(content)(_alone(value) for value in content)
    return content
