"""Letting Hydra compose: shared by the doors that are Hydra applications."""

from __future__ import annotations

import errno
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import hydra
import yaml
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vaecli.core.errors import FAILED, INTERRUPTED, WRONG_USE, UsageError

PACKAGE = Path(__file__).resolve().parents[1]
# In a wheel they lie inside the package, in a checkout beside it.
CONFIGS = next(p / "configs" for p in (PACKAGE, PACKAGE.parent) if (p / "configs").is_dir())

LONGEST_NAME = 120  # of a sweep's run directory
REFUSALS = (UsageError, HydraException, OmegaConfBaseException)

# Both can name code to run, so a resumed run's files are not asked for them.
TYPED_AGAIN = "  if it was begun with --config-dir or extend, these have to be typed again"


class Composed(NamedTuple):
    """One job as Hydra composed it."""

    overrides: list[str]  # as they were written: an interpolation in one stays what it is
    text: str  # config.yaml: the composition before interpolations are resolved
    directory: Path  # Hydra's; within a sweep, one of this job in it, named by what is swept
    sweep: Path | None  # the sweep's own directory


def compose(arguments: list[str], take: Callable[[Composed], float | None]) -> None:
    """Let Hydra parse `arguments` and hand each job to `take`.

    take: called once a job, in the process that the launcher chose. Under Hydra's own launcher and
    sweeper (see `basic`) it need only remember the job; its result goes to the sweeper.
    Raises one of REFUSALS for what does not compose.
    """
    seen: set[tuple[str, ...]] = set()

    def collect(composed: DictConfig) -> float | None:
        overrides = effective(HydraConfig.get().overrides.task)
        text = OmegaConf.to_yaml(composed)
        if basic() and tuple(overrides) in seen:
            return None
        seen.add(tuple(overrides))
        return take(Composed(overrides, text, *_directories(arguments, overrides)))

    flags, overrides = split(arguments)
    try:
        run_hydra(flags, overrides, collect)
    except OSError as error:
        # A missing option is both; and a launcher may lack a file, or a machine to talk to.
        other = HydraException, FileNotFoundError, ConnectionError, TimeoutError
        if isinstance(error, other) and not _is_output(error.filename, arguments):
            raise
        raise UsageError(
            "hydra.run.dir",
            error.filename,
            f"cannot be written ({error.strerror})",
            "choose a directory you may write to: hydra.run.dir=DIR (hydra.sweep.dir for a sweep)",
        ) from error


def run_hydra(flags: list[str], overrides: list[str], task: Callable[[DictConfig], Any]) -> None:
    """Let Hydra do what `flags` ask, with what `overrides` compose; raises what it raises."""
    before = os.environ.get("HYDRA_FULL_ERROR"), sys.argv
    os.environ["HYDRA_FULL_ERROR"] = "1"  # composition errors arrive as exceptions
    sys.argv = [sys.argv[0], *flags, *overrides]  # argparse wants all overrides in one row
    try:
        with refusing(flags):
            hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="config")(task)()
    finally:
        sys.argv = before[1]
        if before[0] is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before[0]


@contextmanager
def refusing(flags: list[str]) -> Iterator[None]:
    """Refuse what Hydra cannot read or do and says so by other errors than its own.

    Raises UsageError for flags that do not go together or do not exist, and for a yaml of the
    user's that is none.
    """
    parser = get_args_parser()

    def refuse(words: str) -> NoReturn:
        raise UsageError("flags", " ".join(flags), words, "`vae-train --hydra-help` lists them")

    parser.error = refuse  # it would print the usage of all
    parser.parse_args(flags)
    try:
        yield
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "a yaml" if mark is None else f"{mark.name}, line {mark.line + 1},"
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UsageError(*_own(flags), f"{where} is no yaml: {reason}", "mend it") from error
    except UnicodeDecodeError as error:
        if not _of_hydra(error):
            raise
        raise UsageError(*_own(flags), "holds a yaml that is not UTF-8", "mend it") from error
    except ValueError as error:
        if not _of_hydra(error):
            raise
        refuse(str(error).strip().rstrip(".").splitlines()[-1])


def _own(flags: list[str]) -> tuple[str, str]:
    return "--config-dir", " ".join(values(flags, *CONFIG_DIRECTORY)) or str(CONFIGS)


def _of_hydra(error: Exception) -> bool:
    """Whether Hydra or OmegaConf raised it: reading and composing, and not what they call."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    modules = [frame.f_globals.get("__name__", "") for frame in frames]
    own = [name for name in modules if name.split(".")[0] not in ("codecs", "encodings", "yaml")]
    return own[-1].split(".")[0] in ("hydra", "omegaconf")


def basic() -> bool:
    """True under Hydra's own launcher and sweeper, which run one job after another right here."""
    config = HydraConfig.get()
    return config.launcher._target_.endswith(".BasicLauncher") and config.sweeper._target_.endswith(
        ".BasicSweeper"
    )


def answer(door: str, arguments: list[str], work: Callable[[list], int]) -> int:
    """Exit code of `work`, which every door does the same: refusals are told, nothing is left.

    work: gets an empty list to which it appends its jobs, anything with a `directory`, before it
    does them. The user's own HYDRA_FULL_ERROR=1 shows the whole traceback of a refusal.
    """
    full = os.environ.get("HYDRA_FULL_ERROR") == "1"
    jobs: list = []
    before: set[Path] = set()
    try:
        before |= _existing(arguments)
        return work(jobs)
    except REFUSALS as error:
        _leave_nothing([job.directory for job in jobs], before)
        if full:
            raise
        words = str(error) if isinstance(error, UsageError) else told(error)
        if isinstance(error, HydraException) and any(a.startswith("resume=") for a in arguments):
            words = "\n".join([*words.splitlines()[:2], TYPED_AGAIN])
        print(f"{door}: {words}", file=sys.stderr)
        return WRONG_USE
    except KeyboardInterrupt:
        _leave_nothing([job.directory for job in jobs], before)
        return INTERRUPTED
    except OSError as error:  # a full disk, a file system that is gone; or no path at all
        if full:
            raise
        print(f"{door}: {error}", file=sys.stderr)
        return WRONG_USE if error.errno == errno.ENAMETOOLONG else FAILED


def _directories(arguments: list[str], overrides: list[str]) -> tuple[Path, Path | None]:
    """The run's directory, and the sweep's if it is part of one."""
    config = HydraConfig.get()
    directory = Path(config.runtime.output_dir)
    if config.mode is None or config.mode.name != "MULTIRUN":
        return directory, None
    return directory / run_name(config.job.num, split(arguments)[1], overrides), directory


def effective(overrides: ListConfig) -> list[str]:
    """The last override of each key: one that is typed beats one that an experiment sweeps.

    Hydra makes a job for each of the experiment's values all the same; they then come out equal.
    """
    written = OmegaConf.to_container(overrides, resolve=False)
    return list({key_of(override): override for override in written}.values())


def run_name(number: int, typed: list[str], overrides: list[str]) -> str:
    """Of a sweep's run: its number and what is swept of its `overrides`; `typed` says what is."""
    fixed = {key_of(o) for o in typed if not sweeps(o)}
    swept = [o for o in overrides if key_of(o) not in fixed]
    name = f"{number}_{','.join(swept)}".rstrip("_").replace("/", "-")
    if len(name) <= LONGEST_NAME:
        return name
    end = LONGEST_NAME // 3  # the last key, often the seed, is what tells neighbours apart
    return f"{name[: LONGEST_NAME - end - 3]}...{name[-end:]}"


def sweeps(override: str) -> bool:
    """Whether an override gives a key several values."""
    return OverridesParser.create().parse_override(override).is_sweep_override()


CONFIG_DIRECTORY = ("--config-dir", "-cd")
# Hydra's flags that take a value.
FLAGS_WITH_VALUE = {*CONFIG_DIRECTORY, "--config-path", "-cp", "--config-name", "-cn", "-p"}
FLAGS_WITH_VALUE |= {"--package", "-c", "--cfg", "-i", "--info"}


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Flags with their values, and overrides."""
    flags: list[str] = []
    overrides: list[str] = []
    for argument in arguments:
        belongs = bool(flags) and flags[-1] in FLAGS_WITH_VALUE
        (flags if belongs or argument.startswith("-") else overrides).append(argument)
    return flags, overrides


def values(flags: list[str], *names: str) -> list[str]:
    """What `flags` give as the value of any of `names`, as a word of its own or behind "="."""
    apart = [value for name, value in pairwise(flags) if name in names]
    joined = [flag.partition("=") for flag in flags]
    return apart + [value for name, sign, value in joined if sign and name in names]


def key_of(override: str) -> str:
    """The key or group that an override sets."""
    return override.partition("=")[0].lstrip("+~").partition("@")[0]


def _existing(arguments: list[str]) -> set[Path]:
    """The directories on the way to where runs will go that are there already, and so stay."""
    roots = [*(Path(root).absolute() for root in ("outputs", "outputs/predict"))]
    roots += _typed_outputs(arguments)
    return {path for root in roots for path in (root, *root.parents) if path.exists()}


OUTPUT_KEYS = ("hydra.run.dir", "hydra.sweep.dir")


def _typed_outputs(arguments: list[str]) -> list[Path]:
    typed = (a.partition("=")[2].strip("'\"") for a in arguments if key_of(a) in OUTPUT_KEYS)
    return [Path(path).absolute() for path in typed]


def _is_output(name: str | None, arguments: list[str]) -> bool:
    """Whether `name` is a directory that was typed for the output, or on the way to it."""
    typed = _typed_outputs(arguments)
    return name is not None and any(Path(name) in (path, *path.parents) for path in typed)


def _leave_nothing(directories: list[Path], before: set[Path]) -> None:
    """Remove the empty directories that Hydra made for runs that were refused."""
    from vaecli.core.rundir import remove_empty

    directories = list(directories)
    # After --help, which composes no job, there is a config without a directory.
    if HydraConfig.initialized() and not OmegaConf.is_missing(
        HydraConfig.get().runtime, "output_dir"
    ):
        directories.append(Path(HydraConfig.get().runtime.output_dir))
    for directory in directories:
        directory = directory.absolute()
        if not directory.exists():
            directory = directory.parent
        if directory not in before and [p.name for p in directory.glob("*")] == ["multirun.yaml"]:
            (directory / "multirun.yaml").unlink()  # Hydra's, of a sweep of which nothing ran
        remove_empty(directory, keep=before)


def told(error: Exception) -> str:
    """Hydra's own message, without its search path, in at most three lines."""
    text = str(error)
    if error.__cause__ is not None and len(text.strip().splitlines()) == 1:
        text += f"\n{error.__cause__}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("Config search path")]
    lines = lines[:1] + [line for line in lines[1:] if "provider=" not in line]
    key = re.match(r"Could not override '([^.']+)\.([^']+)'", lines[0])
    if key:
        group, name = key.groups()
        lines[1:] = [
            f"the chosen {group} option has no key {name!r}; `vae-train --cfg job` prints its keys",
            f"if another option has it, choose that one too: {group}=...",
        ]
    elif lines[0].startswith("Could not override"):
        lines[1:] = ["`vae-train --help` lists the groups and keys"]
    choices = [i for i, line in enumerate(lines) if line.startswith("Available options")]
    if choices:
        lines[1:] = ["choose one of: " + ", ".join(lines[choices[0] + 1 :])]
    return "\n  ".join(lines[:3])
