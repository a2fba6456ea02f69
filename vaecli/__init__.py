"""vaecli: a command-line laboratory for posterior collapse in variational autoencoders."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vaecli.diagnosis.foreign import diagnose_collapse
    from vaecli.load import load_run

__version__ = "0.1.0"
__all__ = ["diagnose_collapse", "load_run"]

_WHERE = {"diagnose_collapse": "vaecli.diagnosis.foreign", "load_run": "vaecli.load"}


def __getattr__(name: str) -> object:
    # torch takes seconds to import, and `vae-train --help` imports this package too.
    if name in _WHERE:
        import importlib

        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
