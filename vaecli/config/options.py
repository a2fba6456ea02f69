"""From an option's name to its class: the name is a module's, and the module holds one class."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from types import ModuleType

from vaecli.core.errors import UsageError

# The package that owns each config group.
PACKAGES = {
    "data": "vaecli.data",
    "model": "vaecli.models",
    "likelihood": "vaecli.models.likelihoods",
    "schedule": "vaecli.objectives.schedules",
    "strategy": "vaecli.objectives.strategies",
}


def find(group: str, name: str, base: type, extend: tuple[str, ...] = ()) -> type:
    """The concrete subclass of `base` that the module called `name` defines.

    Looks among the modules of the group's package, then among those the user lists in `extend`
    (by the last part of their name). Nothing else is ever imported.
    """
    package = importlib.import_module(PACKAGES[group])
    own = {module.name for module in pkgutil.iter_modules(package.__path__)} - {"base"}
    theirs = {path.rpartition(".")[2]: path for path in extend}
    if name in theirs:
        module = import_extension(theirs[name])
    elif name in own:
        module = importlib.import_module(f"{PACKAGES[group]}.{name}")
    else:
        module = None
    classes = [] if module is None else _defined(module, base)
    if len(classes) != 1:
        known = sorted({*_options(package, own, base), *theirs})
        raise UsageError(
            group,
            name,
            "no such option"
            if module is None or not classes
            else f"{module.__name__} defines several of them",
            f"choose one of {', '.join(known)}; a module of your own goes into extend=[...]",
        )
    return classes[0]


def _defined(module: ModuleType, base: type) -> list[type]:
    return [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, base)
        and value.__module__ == module.__name__
        and not inspect.isabstract(value)
    ]


def _options(package: ModuleType, names: set[str], base: type) -> list[str]:
    modules = {name: importlib.import_module(f"{package.__name__}.{name}") for name in names}
    return [name for name, module in modules.items() if _defined(module, base)]


def import_extension(path: str, key: str = "extend") -> ModuleType:
    """The user's own module called `path`. Raises UsageError, naming `key`, if there is none."""
    # A console script does not have the working directory on its path; the user's module is there.
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        raise UsageError(
            key,
            path,
            f"cannot be imported ({error})",
            "start the command in the module's directory, or add that to PYTHONPATH",
        ) from error
