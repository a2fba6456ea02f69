"""Module paths of version 0.1, which users' `extend` files may import. They go with version 0.3."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

FILES = ("arrays", "decoding", "idx", "images", "memory_map", "vocabulary")
SETS = ("base", "checksummed", "downloaded", "image_set", "local_set", "place", "sequence_set")
SETS += ("sources", "split_set", "splits", "statistics")
PARTS = ("blocks", "sequences", "stacked_layers")

# Old module -> the modules that hold its names today.
MOVED: dict[str, tuple[str, ...]] = {
    **{f"vaecli.data.{name}": (f"vaecli.data.files.{name}",) for name in FILES},
    **{f"vaecli.data.{name}": (f"vaecli.data.sets.{name}",) for name in SETS},
    **{f"vaecli.models.{name}": (f"vaecli.models.parts.{name}",) for name in PARTS},
    "vaecli.atomic": ("vaecli.core.atomic",),
    "vaecli.build": ("vaecli.runs.build",),
    "vaecli.diagnosis.rate": ("vaecli.evaluation.passes", "vaecli.evaluation.measures"),
    "vaecli.errors": ("vaecli.core.errors",),
    "vaecli.load": ("vaecli.runs.load",),
    "vaecli.models.posterior": (
        "vaecli.models.posteriors.gaussian",
        "vaecli.models.priors.standard_normal",
        "vaecli.models.priors.latent_sequence",
    ),
    "vaecli.randomness": ("vaecli.core.randomness",),
}


class OldPaths(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finder of the moved modules; Python asks it after every other finder has failed."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a moved module.

        Args:
            name: full name of a module.
            path: ignored, as is `target`.
            target: ignored.

        Returns:
            Its spec; None for any name that is not in MOVED.
        """
        return importlib.util.spec_from_loader(name, self) if name in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        """Fill `module` with the names of the modules that replace it."""
        targets = MOVED[module.__name__]
        text = f"{module.__name__} is {' and '.join(targets)} now; the old path ends with 0.3"
        warnings.warn(text, FutureWarning, stacklevel=2)
        for target in map(importlib.import_module, targets):
            names = (name for name in vars(target) if not name.startswith("__"))
            vars(module).update({name: getattr(target, name) for name in names})


def install() -> None:
    """Let Python find the old paths."""
    sys.meta_path.append(OldPaths())
