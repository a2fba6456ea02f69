"""Launcher plugins live in an environment of their own: `make test-launchers`."""

import importlib.metadata
import os

import pytest

PLUGINS = {"hydra-joblib-launcher", "hydra-ray-launcher", "hydra-submitit-launcher"}


def pytest_collection_modifyitems(items):
    here = {d.name.replace("_", "-") for d in importlib.metadata.distributions()}
    missing = sorted(PLUGINS - here)
    if not missing:
        return
    if os.environ.get("VAECLI_LAUNCHERS") == "required":
        pytest.exit(f"not installed: {', '.join(missing)}", returncode=1)
    skip = pytest.mark.skip(reason="needs launcher plugins: make test-launchers")
    for item in items:
        if item.get_closest_marker("launchers"):
            item.add_marker(skip)
