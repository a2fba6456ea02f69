"""Open a finished run from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from vaecli.build import build
from vaecli.config import Config, from_yaml, read
from vaecli.data.base import Data
from vaecli.errors import UsageError, require
from vaecli.models.vae import VAE
from vaecli.training import checkpoint
from vaecli.training.precision import choose_device


def load_run(
    path: str | Path,
    *,
    checkpoint_name: str = "last",
    device: str = "cpu",
    extend: tuple[str, ...] = (),
) -> tuple[VAE, Data, Config]:
    """The trained model (in evaluation mode), the data and the config of the run at `path`.

    checkpoint_name: last or best. extend: the modules of your own that the run used; they are
    imported because they are named here, never because the run's files name them.
    Raises UsageError if the directory holds no readable run.
    """
    config = load_config(Path(path), extend=extend)
    data = config.data.load().to(choose_device(device))
    vae = build(config, data).vae
    restore(vae, Path(path) / "checkpoints" / f"{checkpoint_name}.pt")
    return vae.eval(), data, config


def load_config(path: Path, *, extend: tuple[str, ...] = ()) -> Config:
    """The config of the run at `path`, checked like one that was typed."""
    plain = load_plain(path)
    named = plain.get("extend", [])
    require(
        set(named) <= set(extend),
        "extend",
        named,
        "the run used modules of its author's own, which are imported only if you name them",
        f"if you trust them: extend={named}",
    )
    return read(OmegaConf.create(plain))


def load_plain(path: Path) -> dict[str, Any]:
    """The resolved config of the run at `path` as it was written; nothing in it is trusted yet."""
    file = path / "config.resolved.yaml"
    try:
        plain = from_yaml(file.read_text(encoding="utf-8"))
    except Exception as error:  # yaml's and OmegaConf's errors share no base
        raise UsageError("run", path, "holds no readable config.resolved.yaml", OTHER) from error
    extend = plain.get("extend", []) if isinstance(plain, dict) else None
    sound = isinstance(extend, list) and all(isinstance(name, str) for name in extend)
    require(sound, "run", file, "is no config of vaecli", OTHER)
    return plain


OTHER = "name the directory of a run that vae-train made"


def restore(vae: VAE, path: Path) -> None:
    """Load the weights in the checkpoint at `path`. Raises UsageError if they do not fit."""
    content = checkpoint.load(path)
    try:
        vae.load_state_dict(content["model"])
    except (RuntimeError, KeyError, AttributeError, TypeError) as error:
        raise UsageError(
            "checkpoint", path, "does not fit the model that the config describes", "use its own"
        ) from error
