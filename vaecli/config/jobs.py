"""What a sweep will run, before it runs: its directory, its launcher and its jobs."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_automatic_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from vaecli.config.compose import (
    CONFIG_DIRECTORY,
    CONFIGS,
    Composed,
    effective,
    key_of,
    refusing,
    run_name,
    split,
    values,
)
from vaecli.config.inside import INSIDE
from vaecli.core.errors import require

EXTRAS = {"joblib": "joblib", "ray": "ray", "submitit_local": "slurm", "submitit_slurm": "slurm"}
KNOWN_FLAGS = {"-m", "--multirun", *CONFIG_DIRECTORY}


class Sweep(NamedTuple):
    """A sweep that Hydra has been asked for, with its jobs in order."""

    directory: Path  # absolute
    launcher: str  # as it is called in `hydra/launcher=...`
    here: bool  # under Hydra's own launcher and sweeper
    # By Hydra's numbers; None: another sweeper chooses them as it goes.
    jobs: dict[int, Composed] | None
    flags: list[str]  # of the command, without those that ask for a sweep


def foresee(arguments: list[str], *, always: bool = False) -> Sweep | None:
    """The sweep that another launcher or sweeper is to run, or whose jobs are sweeps themselves.

    None for any other command, unless `always`: then for a single run only.
    Raises one of compose.REFUSALS for what does not compose.
    """
    flags, overrides = split(arguments)
    if not always and not _possible(flags, overrides):
        return None
    search_path = create_automatic_config_search_path(None, None, str(CONFIGS))
    directory = _config_directory(flags)
    if directory is not None:
        search_path.prepend("command-line", f"file://{directory}", SearchPathQuery("schema"))
    hydra = Hydra.create_main_hydra2("vae-train", search_path)
    try:
        with refusing(flags):
            return _foreseen(hydra, flags, overrides, always=always)
    except MissingConfigException as error:
        group, _, name = (error.missing_cfg_file or "").rpartition("/")
        require(
            group != "hydra/launcher" or name not in EXTRAS, "hydra/launcher", name,
            "needs a plugin that is not installed here",
            f'pip install "vaecli[{EXTRAS.get(name)}]" (docs/clusters.md)',
        )  # fmt: skip
        raise
    finally:
        GlobalHydra.instance().clear()


def kept_flags(flags: list[str]) -> list[str]:
    """The flags that a job of the sweep needs too: the user's own configs, wherever it runs."""
    directory = _config_directory(flags)
    return [] if directory is None else ["--config-dir", str(directory)]


def _possible(flags: list[str], overrides: list[str]) -> bool:
    """Whether Hydra could be told to use another launcher; most commands cannot, and are spared."""
    named = {flag.partition("=")[0] for flag in flags if flag.startswith("-")}
    if not named <= KNOWN_FLAGS:
        return False
    keys = [key_of(override) for override in overrides]
    return not named.isdisjoint(CONFIG_DIRECTORY) or any(
        key.startswith(("hydra/", "hydra.launcher", "hydra.sweeper", "hydra.searchpath"))
        or key in ("experiment", INSIDE)
        for key in keys
    )


def _config_directory(flags: list[str]) -> Path | None:
    named = values(flags, *CONFIG_DIRECTORY)
    return Path(named[-1]).absolute() if named else None


def _foreseen(
    hydra: Hydra, flags: list[str], overrides: list[str], *, always: bool
) -> Sweep | None:
    master = hydra.compose_config("config", overrides, RunMode.MULTIRUN)
    inside = any(key_of(o) == INSIDE for o in overrides) or bool(master.sweep.inside)
    asked = {"-m", "--multirun"} & set(flags)
    if not asked and (master.hydra.mode is None or master.hydra.mode is not RunMode.MULTIRUN):
        require(
            not inside or master.sweep.inside is None, INSIDE, master.sweep.inside,
            "is what each job of a sweep sweeps, and this is no sweep",
            "add -m, or leave it out and type its overrides with -m",
        )  # fmt: skip
        return None
    launcher, sweeper = (str(master.hydra[part]._target_) for part in ("launcher", "sweeper"))
    basic_sweeper = sweeper.endswith(".BasicSweeper")
    here = basic_sweeper and launcher.endswith(".BasicLauncher")
    if here and not (inside or always):
        return None
    directory = Path(str(master.hydra.sweep.dir)).absolute()
    name = str(master.hydra.runtime.choices.get("hydra/launcher"))
    jobs = _jobs(hydra, master, overrides, directory) if basic_sweeper else None
    return Sweep(directory, name, here, jobs, kept_flags(flags))


def _jobs(
    hydra: Hydra, master: DictConfig, typed: list[str], directory: Path
) -> dict[int, Composed]:
    """The jobs of Hydra's own sweeper, as every launcher composes them; of equal ones the first."""
    loader = hydra.config_loader
    params = [f"{key}={value}" for key, value in (master.hydra.sweeper.params or {}).items()]
    asked = OmegaConf.to_container(master.hydra.overrides.task, resolve=False)
    parsed = OverridesParser.create(config_loader=loader).parse_overrides([*params, *asked])
    (batch,) = BasicSweeper.split_arguments(parsed, None)
    jobs: dict[int, Composed] = {}
    seen: set[tuple[str, ...]] = set()
    for number, overrides in enumerate(batch):
        config = loader.load_sweep_config(master, list(overrides))
        task = effective(config.hydra.overrides.task)
        with open_dict(config):
            del config["hydra"]
        if tuple(task) not in seen:
            seen.add(tuple(task))
            where = directory / run_name(number, typed, task)
            jobs[number] = Composed(task, OmegaConf.to_yaml(config), where, directory)
    return jobs
