"""Open a finished run from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vaecli.config.identity import PLACE
from vaecli.config.schema import Config, read
from vaecli.config.yaml_files import read_yaml
from vaecli.core.errors import UsageError, require
from vaecli.core.rundir import RESOLVED, SUMMARY, VOCABULARY
from vaecli.core.untrusted import glance, require_own_files
from vaecli.data.sets.base import Data
from vaecli.data.sets.digest import digest
from vaecli.models.vae import VAE
from vaecli.runs.build import build, check
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
    config = check(config, data)
    require_own_data(Path(path), data, config.plain)
    vae = build(config, data).vae
    restore(vae, Path(path) / "checkpoints" / f"{checkpoint_name}.pt")
    return vae.eval(), data, config


def load_config(
    path: Path, *, extend: tuple[str, ...] = (), overrides: list[str] | None = None
) -> Config:
    """The config of the run at `path`, checked like one that was typed.

    overrides: KEY=VALUE of what does not change the run: diagnosis.*, device, where its data lies.
    """
    plain = load_plain(path)
    named = plain.get("extend", [])
    require(
        set(named) <= set(extend),
        "extend",
        named,
        "the run used modules of its author's own, which are imported only if you name them",
        f"if you trust them: extend={named}, or --extend {' '.join(named)} for vae-diagnose",
    )
    if isinstance(plain.get("data"), dict) and "download" in plain["data"]:
        plain["data"]["download"] = False  # no file of someone else's orders one
    return read(OmegaConf.merge(OmegaConf.create(plain), _dotlist(overrides or [])))


def _dotlist(overrides: list[str]) -> DictConfig:
    for override in overrides:
        key, _, value = override.partition("=")
        require(
            key in PLACE or key.startswith("diagnosis."),
            key,
            value,
            "cannot be changed in a finished run",
            f"only diagnosis.* and {', '.join(sorted(PLACE))} can; for the rest: vae-train",
        )
    try:
        return OmegaConf.from_dotlist(overrides)
    except Exception as error:  # yaml's and OmegaConf's errors share no base
        raise UsageError("overrides", " ".join(overrides), "cannot be read", "KEY=VALUE") from error


def saved_overrides(path: Path) -> list[str]:
    """The overrides of the run at `path`, for its title; empty if they cannot be read."""
    try:
        saved = read_yaml(path / "overrides.yaml")
    except (UsageError, OSError):
        return []
    return [item for item in saved if isinstance(item, str)] if isinstance(saved, list) else []


def load_plain(path: Path) -> dict[str, Any]:
    """The resolved config of the run at `path` as it was written; nothing in it is trusted yet."""
    file = path / RESOLVED
    require_own_files(path)
    try:
        plain = read_yaml(file)
    except (UsageError, OSError) as error:
        raise UsageError("run", path, f"holds no readable {RESOLVED}", OTHER) from error
    extend = plain.get("extend", []) if isinstance(plain, dict) else None
    sound = isinstance(extend, list) and all(isinstance(name, str) for name in extend)
    require(sound, "run", file, "is no config of vaecli", OTHER)
    return plain


def require_own_words(path: Path, data: Data, plain: dict[str, Any]) -> None:
    """Raise UsageError unless the run at `path` was trained on a text with the same words.

    A run that comes from someone else must know the words of a text to show it.
    plain: the config by which `data` was loaded.
    """
    words = glance(path / VOCABULARY).get("words")
    own = None if data.vocabulary is None else list(data.vocabulary.words)
    require(
        words == own,
        "data.path",
        plain["data"].get("path"),
        f"holds a text with other words than {path} was trained on",
        "name that text: data.path=FILE",
    )


def require_own_data(path: Path, data: Data, plain: dict[str, Any]) -> None:
    """Raise UsageError unless `data` is what the run at `path` was trained on.

    plain: the config by which `data` was loaded.
    """
    if data.vocabulary is not None:
        require_own_words(path, data, plain)
    require_same_data(path, data, plain)


def require_same_data(path: Path, data: Data, plain: dict[str, Any]) -> None:
    """Raise UsageError if the run at `path` recorded the digest of other data."""
    loaded = digest(data)
    place = next((key for key in ("path", "root") if key in plain["data"]), None)
    require(
        # What is drawn may be rounded otherwise elsewhere.
        place is None or glance(path / SUMMARY).get("data_digest", loaded) == loaded,
        f"data.{place}",
        plain["data"].get(place),
        f"does not hold the data that {path} was trained on",
        f"name where that data lies: data.{place}=...",
    )


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
