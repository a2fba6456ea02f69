"""Checkpoints: plain types and tensors, complete or absent, read as data only."""

from __future__ import annotations

import io
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaecli.core.atomic import sync, whole
from vaecli.core.errors import UsageError

FORMAT = 2  # raised whenever the content changes its meaning

# Names allowed in the pickle of a checkpoint: the makers of tensors and of their containers.
NAMED = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2"}


def save(path: Path, content: dict[str, Any], *, keep: Path | None = None) -> None:
    """Write a checkpoint atomically: a reader sees the old file or the new one.

    Args:
        path: the file.
        content: plain types and tensors.
        keep: new place of the old file. Between the two renames there is no file at `path`.
    """
    if not path.parent.exists():
        path.parent.mkdir()
        sync(path.parent.parent)
    content = _on_host({"format": FORMAT, **content})
    # In memory first: torch.save to a file would turn an interrupt into a different error.
    archive = io.BytesIO()
    torch.save(content, archive)
    with whole(path, keep=keep) as file:
        file.write(archive.getbuffer())


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint on the host. Raises UsageError if `path` does not hold one.

    `weights_only` makes the file data: nothing in it is imported or called. The check sums show a
    bit that changed since the file was written, and no tensor is larger than the file says.
    """
    try:
        _require_sound(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        _require_stored(content)
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
    version = content.get("format") if isinstance(content, dict) else None
    if version != FORMAT:
        raise UsageError(
            "checkpoint",
            path,
            f"has format {version!r}, and this vaecli reads format {FORMAT}",
            "use a checkpoint that vae-train of this version wrote",
        )
    return content


def _require_sound(path: Path) -> None:
    """Raise ValueError unless `path` is an archive as torch.save writes it, with its sums right.

    torch.load compares no sums, unpacks whatever was compressed, and makes a bytearray of any
    length that a file asks for.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = {entry.filename.lower() for entry in entries}
        sound = (
            len(names) == len(entries)
            and all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
            and sum(entry.file_size for entry in entries) <= path.stat().st_size
            and archive.testzip() is None
        )
        if not sound:
            raise ValueError("no archive of torch.save, or a damaged one")
        (pickled,) = (entry for entry in entries if entry.filename.endswith("/data.pkl"))
        for operation, value, _ in pickletools.genops(archive.read(pickled)):
            if operation.name == "GLOBAL" and not _is_named(str(value)):
                raise ValueError(f"names {value}")


def _is_named(name: str) -> bool:
    return name in NAMED or (name.startswith("torch ") and name.endswith("Storage"))


def _require_stored(content: Any) -> None:
    """Raise ValueError for a tensor that claims more than is stored of it."""
    for tensor in _tensors(content, set()):
        if tensor.nbytes > tensor.untyped_storage().nbytes():
            raise ValueError(f"a tensor claims {tensor.nbytes} bytes")


def _tensors(content: Any, seen: set[int]) -> Iterator[Tensor]:
    """Every tensor in `content`, once, however often its containers are repeated."""
    if isinstance(content, Tensor):
        yield content
    if not isinstance(content, dict | list | tuple) or id(content) in seen:
        return
    seen.add(id(content))
    for part in content.values() if isinstance(content, dict) else content:
        yield from _tensors(part, seen)


def _on_host(content: Any) -> Any:
    """`content` with its tensors on the host, every view copied.

    torch.save writes the full storage behind a view, and a run that is trained in a stack has
    views of the stack for weights.
    """
    if isinstance(content, Tensor):
        content = content.detach().cpu()
        is_view = content.untyped_storage().nbytes() != content.nbytes
        return content.clone() if is_view else content
    if isinstance(content, dict):
        return {key: _on_host(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return type(content)(_on_host(value) for value in content)
    return content
