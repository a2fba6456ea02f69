"""Yaml files as nested builtin types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from vaecli.core.errors import UsageError
from vaecli.core.untrusted import yaml_text


def to_yaml(plain: Any) -> str:
    """A plain config as yaml text."""
    return OmegaConf.to_yaml(OmegaConf.create(plain))


def read_yaml(path: Path, *, key: str = "run", resolve: bool = False) -> Any:
    """The content of a yaml file that may come from someone else.

    resolve: replace the interpolations by their values.
    Raises FileNotFoundError; UsageError, of `key`, for a file that cannot be read.
    """
    try:
        return OmegaConf.to_container(OmegaConf.create(yaml_text(path)), resolve=resolve)
    except FileNotFoundError:
        raise
    except Exception as error:  # the errors of yaml and of OmegaConf have no base in common
        raise UsageError(key, path, "cannot be read", "name another run") from error
