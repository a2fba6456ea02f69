"""Pictures of the user: path/<class>/*.png, or a flat folder without classes."""

# M examples used, C channels, H height, W width

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vaecli.core.errors import require
from vaecli.data.files.decoding import decode, image_files
from vaecli.data.files.memory_map import Block
from vaecli.data.sets.base import Data
from vaecli.data.sets.local_set import LocalSet


@dataclass(frozen=True, kw_only=True)
class ImageFolder(LocalSet):
    """Image files, each decoded once. With `image_size` they may differ in size and shape."""

    channels: int = 3

    def validate(self) -> None:
        """Raise UsageError for keys outside their range, or no path."""
        super().validate()
        require(
            self.channels in (1, 3),
            "data.channels",
            self.channels,
            "must be 1 (grey) or 3 (colour)",
            "use data.channels=3",
        )
        self.require_binarisable(self.channels)

    def check_files(self) -> None:
        """Raise UsageError if there is no such folder."""
        if not self.location.is_dir():
            self.fault("is not a folder", "set data.path to the folder that holds the images")

    def load(self) -> Data:
        """Decode all images, or open the memory-mapped copy of an earlier run.

        Raises UsageError for an empty folder, an unreadable image and images of unequal size.
        """
        self.check_files()
        files, y = self._listed()
        plan = self.plan(len(files), self.test_fraction)
        used = [files[row] for row in plan.order.tolist()]
        shape = tuple(self._decoded(used[0]).shape)  # (C, H, W)
        stats = [
            (str(file.resolve()), file.stat().st_mtime_ns, file.stat().st_size) for file in used
        ]
        x, mapped = self.gather(
            self._blocks(used, shape),
            (len(used), *shape),
            np.dtype(np.uint8),
            facts=(stats, self.channels, self.image_size),
        )
        y = None if y is None else y[plan.order]
        return self.assemble(*plan.parts(x, y, memory_mapped=mapped))

    def _listed(self) -> tuple[list[Path], Tensor | None]:
        files = image_files(self.location)
        if not files:
            self.fault("holds no images", "set data.path to a folder of .png, .jpg, ... files")
        parts = [file.relative_to(self.location).parts for file in files]
        flat = sum(len(part) == 1 for part in parts)
        if flat == len(files):
            return files, None
        if flat:
            self.fault(
                f"holds {flat} images beside folders of images, so that classes are unclear",
                "keep either path/<class>/* or only images in one folder",
            )
        classes = sorted({part[0] for part in parts})
        number = {name: label for label, name in enumerate(classes)}
        return files, torch.tensor([number[part[0]] for part in parts])

    def _decoded(self, file: Path) -> Tensor:
        return decode(file, self.channels, self.image_size, key="data.path", value=str(self.path))

    def _blocks(self, files: list[Path], shape: tuple[int, ...]) -> Iterator[Block]:
        for row, file in enumerate(files):
            x = self._decoded(file)
            if tuple(x.shape) != shape:
                height, width = x.shape[1:]
                self.fault(
                    f"{file} is {width}x{height}, and {files[0]} is {shape[2]}x{shape[1]}",
                    "set data.image_size=64 (say) to bring all images to one size",
                )
            yield np.array([row]), x[None].numpy()
