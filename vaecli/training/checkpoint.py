"""Checkpoints: plain types and tensors, written whole or not at all, read as data only."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaecli.errors import UsageError

FORMAT = 2  # raised whenever the content changes its meaning


def save(path: Path, content: dict[str, Any], *, keep: Path | None = None) -> None:
    """Write `content` to `path` atomically: a reader sees the old file or the new one.

    keep: where the old file goes. Between the two renames there is no file at `path`.
    """
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    content = _on_host({"format": FORMAT, **content})
    with open(temporary, "wb") as file:
        torch.save({**content, "check": _check(content)}, file)
        file.flush()
        os.fsync(file.fileno())
    if keep is not None and path.exists():
        os.replace(path, keep)
    os.replace(temporary, path)


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint on the host. Raises UsageError if `path` does not hold one.

    `weights_only` makes the file data: nothing in it is imported or called. A bit that changed
    since it was written is found.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UsageError(
            "checkpoint", path, "there is no such file", "name a run that wrote a checkpoint"
        ) from error
    except Exception as error:  # of a damaged file torch.load raises nearly anything
        raise _damaged(path) from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise UsageError(
            "checkpoint",
            path,
            f"has format {found!r}, and this vaecli reads format {FORMAT}",
            "use a checkpoint that vae-train of this version wrote",
        )
    written = content.pop("check", None)
    try:
        sound = written == _check(content)
    except Exception as error:  # a kind of tensor that no checkpoint holds
        raise _damaged(path) from error
    if not sound:
        raise _damaged(path)
    return content


def _damaged(path: Path) -> UsageError:
    return UsageError(
        "checkpoint",
        path,
        "is no checkpoint of vaecli, or is damaged",
        "use another one, or start the run anew",
    )


def _check(content: Any, crc: int = 0) -> int:
    """CRC-32 of everything in `content`: torch.load does not look at those in its own file."""
    if isinstance(content, Tensor):
        crc = zlib.crc32(f"{content.dtype} {tuple(content.shape)}".encode(), crc)
        return zlib.crc32(content.contiguous().reshape(-1).view(torch.uint8).numpy(), crc)
    if isinstance(content, dict):
        for key, value in content.items():
            crc = _check(value, zlib.crc32(repr(key).encode(), crc))
        return crc
    if isinstance(content, list | tuple):
        for value in content:
            crc = _check(value, crc)
        return crc
    return zlib.crc32(repr(content).encode(), crc)


def _on_host(content: Any) -> Any:
    """`content` with its tensors on the host, every view copied.

    torch.save writes the whole storage behind a view, and a run that is trained in a stack has
    views of the stack for weights.
    """
    if isinstance(content, Tensor):
        content = content.detach().cpu()
        whole = content.untyped_storage().nbytes() == content.nbytes
        return content if whole else content.clone()
    if isinstance(content, dict):
        return {key: _on_host(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return type(content)(_on_host(value) for value in content)
    return content
