"""vaecli: a command-line laboratory for posterior collapse in variational autoencoders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vaecli.core import old_paths

if TYPE_CHECKING:
    from vaecli.data.sets.base import DataSet
    from vaecli.diagnosis.foreign import diagnose_collapse
    from vaecli.models.base import Family
    from vaecli.models.likelihoods.base import Likelihood
    from vaecli.objectives.strategies.base import Strategy
    from vaecli.runs.load import load_run

__version__ = "0.1.0"
__all__ = ["DataSet", "Family", "Likelihood", "Strategy", "diagnose_collapse", "load_run"]

# torch takes seconds to import, and `vae-train --help` imports this package too.
_LAZY = {
    "DataSet": "vaecli.data.sets.base",
    "Family": "vaecli.models.base",
    "Likelihood": "vaecli.models.likelihoods.base",
    "Strategy": "vaecli.objectives.strategies.base",
    "diagnose_collapse": "vaecli.diagnosis.foreign",
    "load_run": "vaecli.runs.load",
}

old_paths.install()


def __getattr__(name: str) -> object:
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_LAZY]
