"""The door `vae-train`: compose with Hydra, run, answer with an exit code."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vaecli.errors import UsageError

if TYPE_CHECKING:
    from vaecli.run import Job

HERE = Path(__file__).resolve().parent
CONFIGS = HERE / "configs" if (HERE / "configs").is_dir() else HERE.parent / "configs"

WRONG_USE = 2
LONGEST_NAME = 120  # of a sweep's run directory


def main() -> None:
    """Run `vae-train` with the arguments of this process and exit."""
    sys.exit(_main(sys.argv[1:]))


def _main(arguments: list[str]) -> int:
    full_error = os.environ.get("HYDRA_FULL_ERROR") == "1"
    jobs: list[Job] = []
    before = _existing(arguments)
    try:
        arguments, resumed = _expand_resume(arguments)
        _compose(arguments, jobs, resumed)
        if not jobs:  # --help, --cfg and the like: Hydra has answered
            return 0
        from vaecli.sweep import run_all

        return run_all(jobs)
    except (UsageError, HydraException, OmegaConfBaseException) as error:
        _leave_nothing(jobs, before)
        if full_error:
            raise
        told = str(error) if isinstance(error, UsageError) else _told(error)
        print(f"vae-train: {told}", file=sys.stderr)
        return WRONG_USE
    except KeyboardInterrupt:
        _leave_nothing(jobs, before)
        return 130


def _compose(arguments: list[str], jobs: list[Job], resumed: Path | None) -> None:
    """Let Hydra parse `arguments` and append what is to be run to `jobs`."""

    def collect(composed: DictConfig) -> float | None:
        from vaecli.run import Job

        job = Job(
            overrides=_overrides(),
            composed=OmegaConf.to_yaml(composed),
            directory=_directory(arguments, resumed),
            resume=resumed is not None,
        )
        if _basic():
            jobs.append(job)
            return None
        from vaecli.sweep import run_now

        return run_now(job)

    before = os.environ.get("HYDRA_FULL_ERROR"), sys.argv
    os.environ["HYDRA_FULL_ERROR"] = "1"  # composition errors arrive as exceptions
    sys.argv = [sys.argv[0], *arguments]
    try:
        hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="config")(collect)()
    except OSError as error:
        if isinstance(error, HydraException):  # a missing option is both
            raise
        raise UsageError(
            "hydra.run.dir",
            error.filename,
            f"cannot be written ({error.strerror})",
            "choose a directory you may write to: hydra.run.dir=DIR (hydra.sweep.dir for a sweep)",
        ) from error
    finally:
        sys.argv = before[1]
        if before[0] is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before[0]


def _overrides() -> list[str]:
    """The job's own overrides as they were written: an interpolation in one stays what it is."""
    return OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)


def _basic() -> bool:
    """True under Hydra's own launcher and sweeper, which run one job after another right here."""
    config = HydraConfig.get()
    return config.launcher._target_.endswith(".BasicLauncher") and config.sweeper._target_.endswith(
        ".BasicSweeper"
    )


def _directory(arguments: list[str], resumed: Path | None) -> Path:
    """Hydra's directory; within a sweep, a directory of this job in it, named by what is swept."""
    if resumed is not None:
        return resumed
    config = HydraConfig.get()
    directory = Path(config.runtime.output_dir)
    if config.mode is None or config.mode.name != "MULTIRUN":
        return directory
    # The overrides that nobody typed as they stand came from the sweeper.
    swept = [o for o in _overrides() if o not in arguments]
    name = f"{config.job.num}_{','.join(swept)}".rstrip("_").replace("/", "-")
    return directory / name[:LONGEST_NAME]


def _expand_resume(arguments: list[str]) -> tuple[list[str], Path | None]:
    """Put the saved overrides of `resume=DIR` in front of those typed; the last one wins."""
    named = [a for a in arguments if a.startswith("resume=") and a != "resume=null"]
    if not named:
        return arguments, None
    directory = Path(named[-1].partition("=")[2])
    saved = _saved_overrides(directory)
    flags, typed = _split([a for a in arguments if not a.startswith("resume=")])
    for refused in ("-m", "--multirun"):
        if refused in flags:
            raise UsageError("resume", directory, "is one run and no sweep", f"leave out {refused}")
    quoted = str(directory.resolve()).replace("\\", "\\\\").replace("'", "\\'")
    ours = ["hydra.mode=RUN", f"hydra.run.dir='{quoted}'"]
    return [*flags, *saved, *typed, *ours], directory


# Hydra's flags that take a value; argparse wants all overrides in one row behind them.
FLAGS_WITH_VALUE = {"--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "-p"}
FLAGS_WITH_VALUE |= {"--package", "-c", "--cfg", "-i", "--info"}


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Flags with their values, and overrides."""
    flags: list[str] = []
    overrides: list[str] = []
    for argument in arguments:
        belongs = bool(flags) and flags[-1] in FLAGS_WITH_VALUE
        (flags if belongs or argument.startswith("-") else overrides).append(argument)
    return flags, overrides


def _saved_overrides(directory: Path) -> list[str]:
    path = directory / "overrides.yaml"
    try:
        saved: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except FileNotFoundError as error:
        raise UsageError(
            "resume",
            directory,
            "holds no run (no overrides.yaml)",
            "name a run's own directory, outputs/DATE/TIME; of a sweep, one of its runs",
        ) from error
    except Exception as error:  # yaml's and OmegaConf's errors share no base
        raise UsageError("resume", path, "cannot be read", "name another run") from error
    if not isinstance(saved, list) or not all(_is_plain_override(item) for item in saved):
        raise UsageError("resume", path, "is no list of vae-train overrides", "name another run")
    return [o for o in saved if _key(o) not in ("extend", "resume")]


def _is_plain_override(text: object) -> bool:
    """True for an override of vaecli's own keys.

    A run directory may come from someone else. Flags (--config-dir) and Hydra's own keys can name
    code to run, so neither is taken from a file; nor are the modules in `extend`.
    """
    if not isinstance(text, str) or text.startswith("-"):
        return False
    try:
        parsed = OverridesParser.create().parse_override(text)
    except HydraException:
        return False
    names = (parsed.key_or_group, parsed.package or "")
    return not any(name.replace("/", ".").split(".")[0] == "hydra" for name in names)


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~").partition("@")[0]


def _existing(arguments: list[str]) -> set[Path]:
    """The directories on the way to where runs will go that are there already, and so stay."""
    typed = [a.partition("=")[2].strip("'\"") for a in arguments if _key(a) in OUTPUT_KEYS]
    roots = [Path(root).absolute() for root in ("outputs", *typed)]
    return {path for root in roots for path in (root, *root.parents) if path.exists()}


OUTPUT_KEYS = ("hydra.run.dir", "hydra.sweep.dir")


def _leave_nothing(jobs: list[Job], before: set[Path]) -> None:
    """Remove the empty directories that Hydra made for runs that were refused."""
    from vaecli.rundir import remove_empty

    directories = [job.directory for job in jobs]
    if HydraConfig.initialized():
        directories.append(Path(HydraConfig.get().runtime.output_dir))
    for directory in directories:
        directory = directory.absolute()
        if not directory.exists():
            directory = directory.parent
        if directory not in before and [p.name for p in directory.glob("*")] == ["multirun.yaml"]:
            (directory / "multirun.yaml").unlink()  # Hydra's, of a sweep of which nothing ran
        remove_empty(directory, keep=before)


def _told(error: Exception) -> str:
    """Hydra's own message, without its search path, in at most three lines."""
    text = str(error)
    if error.__cause__ is not None and len(text.strip().splitlines()) == 1:
        text += f"\n{error.__cause__}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
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
        options = (line for line in lines[choices[0] + 1 :] if "provider=" not in line)
        options = [line for line in options if not line.startswith("Config search path")]
        lines[1:] = ["choose one of: " + ", ".join(options)]
    return "\n  ".join(lines[:3])


if __name__ == "__main__":
    main()
