"""Open a finished run from Python."""

from __future__ import annotations

from pathlib import Path

from omegaconf import OmegaConf

from vaecli.build import build
from vaecli.config import Config, from_yaml, read
from vaecli.data.base import Data
from vaecli.errors import UsageError, require
from vaecli.models.vae import VAE
from vaecli.rundir import RunDirectory
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
    RunDirectory.reopen(path)
    try:
        plain = from_yaml((path / "config.resolved.yaml").read_text(encoding="utf-8"))
    except Exception as error:  # yaml's and OmegaConf's errors share no base
        raise UsageError(
            "run", path / "config.resolved.yaml", "cannot be read", "name another run"
        ) from error
    require(isinstance(plain, dict), "run", path, "its config is no mapping", "name another run")
    named = plain.get("extend") or []
    require(
        set(named) <= set(extend),
        "extend",
        named,
        "the run used modules of its author's own, which are imported only if you name them",
        f"if you trust them: extend={named}",
    )
    return read(OmegaConf.create(plain))


def restore(vae: VAE, path: Path) -> None:
    """Load the weights in the checkpoint at `path`. Raises UsageError if they do not fit."""
    content = checkpoint.load(path)
    try:
        vae.load_state_dict(content["model"])
    except (RuntimeError, KeyError, AttributeError, TypeError) as error:
        raise UsageError(
            "checkpoint", path, "does not fit the model that the config describes", "use its own"
        ) from error
