"""From a command line to its jobs: the one route, for a single run and for a sweep of a thousand.

Hydra composes each config; vaecli makes the list of jobs, so that all of them are known, named and
checked before the first one runs.
"""

from __future__ import annotations

import itertools
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import hydra
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_automatic_config_search_path
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, SearchPathException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from vaecli.config.arguments import (
    key_of,
    parse_flags,
    split,
    sweeps,
)
from vaecli.config.job import Job
from vaecli.config.refusals import refusing
from vaecli.config.sweep_inside import INSIDE
from vaecli.core.errors import require

PACKAGE = Path(__file__).resolve().parents[1]
# In a wheel they lie inside the package, in a checkout beside it.
CONFIGS = next(p / "configs" for p in (PACKAGE, PACKAGE.parent) if (p / "configs").is_dir())

LONGEST_NAME = 120  # of a sweep's run directory
# The extra of vaecli that installs a launcher's plugin.
EXTRAS = {"joblib": "joblib", "ray": "ray", "submitit_local": "slurm", "submitit_slurm": "slurm"}


class Composition(NamedTuple):
    """All that a command line asks for."""

    arguments: list[str]
    # By Hydra's numbers; None: a sweeper other than Hydra's own chooses them as it goes.
    jobs: dict[int, Job] | None
    sweep: Path | None = None  # the sweep's directory, absolute
    launcher: str = ""  # of a sweep, as in `hydra/launcher=...`
    here: bool = True  # under Hydra's own launcher and sweeper
    flags: tuple[str, ...] = ()  # those that each job needs too: the user's own configs
    record: str = ""  # of a sweep: its config with Hydra's part, multirun.yaml

    @property
    def launched(self) -> bool:
        """True if processes other than this one train the runs."""
        jobs = {} if self.jobs is None else self.jobs
        return not self.here or any(job.inside is not None for job in jobs.values())


def compose(arguments: list[str], *, resumed: bool = False) -> Composition | None:
    """The jobs of a command line; None if Hydra itself has answered it (--cfg, --info, ...).

    resumed: the overrides are those of an earlier command.
    Raises UsageError for flags, overrides and yamls that do not compose.
    """
    flags, overrides = split(arguments)
    with refusing(flags, resumed=resumed):
        named = parse_flags(flags)
        if not _asks_for_jobs(named):
            run_hydra(flags, overrides, lambda _: None)
            return None
        with _loader(named) as loader:
            return _composed(arguments, loader, named)


def run_hydra(flags: list[str], overrides: list[str], task: Callable[[DictConfig], Any]) -> None:
    """Let Hydra do what `flags` ask, with what `overrides` compose.

    task: called with each job's config, in the process that the launcher chose.
    Raises UsageError for what does not compose, and what the task raises.
    """
    before = os.environ.get("HYDRA_FULL_ERROR"), sys.argv
    os.environ["HYDRA_FULL_ERROR"] = "1"  # composition errors arrive as exceptions
    sys.argv = [sys.argv[0], *flags, *overrides]  # argparse wants all overrides in one row
    try:
        with refusing(flags):
            parse_flags(flags)
            hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="config")(task)()
    finally:
        sys.argv = before[1]
        if before[0] is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before[0]


def job_of(config: DictConfig, typed: list[str]) -> Job:
    """The job that Hydra is running now, under a sweeper that chooses its jobs as it goes.

    typed: the overrides of the command line.
    """
    own = HydraConfig.get()
    overrides = effective(own.overrides.task)
    sweep = Path(own.runtime.output_dir)
    directory = sweep / run_name(own.job.num, typed, overrides)
    return _job(config, overrides, directory, sweep)


def effective(overrides: list[str] | ListConfig) -> list[str]:
    """The last override of each key: one that is typed beats one that an experiment sweeps.

    Hydra makes a job for each of the experiment's values all the same; they then come out equal.
    """
    return list({key_of(override): override for override in _written(overrides)}.values())


def _written(overrides: list[str] | ListConfig) -> list[str]:
    """The overrides as they were typed: an interpolation in one is not resolved."""
    if isinstance(overrides, ListConfig):
        return [str(item) for item in OmegaConf.to_container(overrides, resolve=False) or []]
    return overrides


def run_name(number: int, typed: list[str], overrides: list[str]) -> str:
    """Name of a run's directory in a sweep, such as `3_seed=1,schedule.beta=4`.

    Only swept keys appear. typed: the overrides of the command line; overrides: those of the job.
    """
    fixed = {key_of(o) for o in typed if not sweeps(o)}
    swept = [o for o in overrides if key_of(o) not in fixed]
    name = f"{number}_{','.join(swept)}".rstrip("_").replace("/", "-")
    if len(name) <= LONGEST_NAME:
        return name
    end = LONGEST_NAME // 3  # the last key, often the seed, is what tells neighbours apart
    return f"{name[: LONGEST_NAME - end - 3]}...{name[-end:]}"


def _asks_for_jobs(named: Namespace) -> bool:
    others = (named.cfg, named.info, named.help, named.hydra_help, named.shell_completion)
    return not (any(others) or named.resolve or (named.run and named.multirun))


@contextmanager
def _loader(named: Namespace) -> Iterator[ConfigLoader]:
    """Hydra's loader of the configs that the flags name, as `hydra.main` makes it.

    Hydra's own `compose` would look into --config-dir only after it has found the main config.
    """
    main = str(Path(named.config_path or CONFIGS).absolute())
    search_path = create_automatic_config_search_path(None, None, main)
    if named.config_dir is not None:
        directory = os.path.abspath(named.config_dir)
        if not os.path.isdir(directory):
            raise SearchPathException(f"Additional config directory '{directory}' not found")
        search_path.prepend("command-line", f"file://{directory}", SearchPathQuery("schema"))
    loader = Hydra.create_main_hydra2("vae-train", search_path).config_loader
    try:
        yield loader
    finally:
        GlobalHydra.instance().clear()


def _composed(arguments: list[str], loader: ConfigLoader, named: Namespace) -> Composition:
    overrides = split(arguments)[1]
    name = named.config_name or "config"
    with _launchers_named():
        if not _is_sweep(loader, name, overrides, asked=named.multirun):
            config = loader.load_configuration(name, overrides, RunMode.RUN)
            return Composition(arguments, {0: _single(config)})
        mode = "hydra.mode=MULTIRUN"
        master = loader.load_configuration(name, [*overrides, mode], RunMode.MULTIRUN)
    HydraConfig.instance().set_config(master)
    sweep = Path(os.path.abspath(os.path.join(master.hydra.sweep.dir, master.hydra.sweep.subdir)))
    own_launcher = str(master.hydra.launcher._target_).endswith(".BasicLauncher")
    own_sweeper = str(master.hydra.sweeper._target_).endswith(".BasicSweeper")
    configs = named.config_dir
    composition = Composition(
        arguments,
        jobs=_jobs(loader, master, overrides, sweep) if own_sweeper else None,
        sweep=sweep,
        launcher=str(master.hydra.runtime.choices.get("hydra/launcher")),
        here=own_launcher and own_sweeper,
        flags=() if configs is None else ("--config-dir", os.path.abspath(configs)),
        record=OmegaConf.to_yaml(master),
    )
    main = named.config_name or named.config_path
    require(
        main is None or not composition.launched,
        "hydra/launcher" if not composition.here else INSIDE,
        " ".join(split(arguments)[0]),
        "other processes train the runs, and flags that name another main config do not reach them",
        "put your own configs into a directory: --config-dir DIR",
    )
    return composition


def _is_sweep(loader: ConfigLoader, name: str, overrides: list[str], *, asked: bool) -> bool:
    """True if the command line asks for a sweep, or a yaml that it names does."""
    if asked:
        return True
    try:
        config = loader.load_configuration(
            name, overrides, RunMode.MULTIRUN, validate_sweep_overrides=False
        )
    except (HydraException, OmegaConfBaseException):  # the composition itself will say so
        return False
    return config.hydra.mode is RunMode.MULTIRUN


def _single(config: DictConfig) -> Job:
    HydraConfig.instance().set_config(config)
    directory = Path(os.path.abspath(str(config.hydra.run.dir)))
    overrides = effective(config.hydra.overrides.task)
    named = any(key_of(o) == "hydra.run.dir" for o in config.hydra.overrides.hydra)
    job = _job(_without_hydra(config), overrides, directory)
    require(
        job.inside is None,
        INSIDE,
        job.inside,
        "is what each job of a sweep sweeps, and this is no sweep",
        "add -m, or leave it out and type its overrides with -m",
    )
    return job.but(by_clock=not named)


def _jobs(
    loader: ConfigLoader, master: DictConfig, typed: list[str], sweep: Path
) -> dict[int, Job]:
    """The jobs of Hydra's own sweeper, by its numbers; of equal ones the first."""
    params = [f"{key}={value}" for key, value in (master.hydra.sweeper.params or {}).items()]
    asked = _written(master.hydra.overrides.task)
    parsed = OverridesParser.create(config_loader=loader).parse_overrides([*params, *asked])
    jobs: dict[int, Job] = {}
    seen: set[tuple[str, ...]] = set()
    for number, overrides in enumerate(itertools.product(*_choices(parsed))):
        config = loader.load_sweep_config(master, list(overrides))
        task = effective(config.hydra.overrides.task)
        if tuple(task) not in seen:
            seen.add(tuple(task))
            directory = sweep / run_name(number, typed, task)
            jobs[number] = _job(_without_hydra(config), task, directory, sweep)
    return jobs


def _choices(overrides: list[Override]) -> list[list[str]]:
    """For each key, its overrides: one a value. The last override of a key wins."""
    choices: dict[str, list[str]] = {}
    for override in overrides:
        key = override.get_key_element()
        if not override.is_sweep_override():
            choices[key] = [f"{key}={override.get_value_element_as_str()}"]
        elif override.is_discrete_sweep():
            choices[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            kind = override.value_type.name if override.value_type else "?"
            raise HydraException(f"BasicSweeper does not support sweep type : {kind}")
    return list(choices.values())


def _without_hydra(config: DictConfig) -> DictConfig:
    with open_dict(config):
        del config["hydra"]
    return config


def _job(
    config: DictConfig, overrides: list[str], directory: Path, sweep: Path | None = None
) -> Job:
    resume = config.get("resume")
    require(resume is None, "resume", resume, "has to be typed plainly", "vae-train resume=DIR")
    inside = config.sweep.inside if "sweep" in config else None
    return Job(overrides, OmegaConf.to_yaml(config), directory, sweep, inside)


@contextmanager
def _launchers_named() -> Iterator[None]:
    """Refuse a launcher without its plugin by the name of the extra that installs it."""
    try:
        yield
    except MissingConfigException as error:
        group, _, name = (error.missing_cfg_file or "").rpartition("/")
        require(
            group != "hydra/launcher" or name not in EXTRAS,
            "hydra/launcher",
            name,
            "needs a plugin that is not installed here",
            f'pip install "vaecli[{EXTRAS.get(name)}]" (docs/clusters.md)',
        )
        raise
