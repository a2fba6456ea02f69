"""The door `vae-train`: compose with Hydra, run, answer with an exit code."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf

from vaecli.compose import Composed, answer, basic, compose, key_of, split
from vaecli.errors import UsageError

if TYPE_CHECKING:
    from vaecli.run import Job


def main() -> None:
    """Run `vae-train` with the arguments of this process and exit."""
    sys.exit(_main(sys.argv[1:]))


def _main(arguments: list[str]) -> int:
    def work(jobs: list[Job]) -> int:
        expanded, resumed = _expand_resume(arguments)
        _collect(expanded, jobs, resumed)
        if not jobs:  # --help, --cfg and the like: Hydra has answered
            return 0
        from vaecli.sweep import run_all

        return run_all(jobs)

    return answer("vae-train", arguments, work)


def _collect(arguments: list[str], jobs: list[Job], resumed: Path | None) -> None:
    """Append what is to be run to `jobs`; under a launcher that is not Hydra's own, run it now."""

    def take(composed: Composed) -> float | None:
        from vaecli.run import Job

        job = Job(
            overrides=composed.overrides,
            composed=composed.text,
            directory=composed.directory if resumed is None else resumed,
            resume=resumed is not None,
        )
        if basic():
            jobs.append(job)
            return None
        from vaecli.sweep import run_now

        return run_now(job)

    compose(arguments, take)


def _expand_resume(arguments: list[str]) -> tuple[list[str], Path | None]:
    """Put the saved overrides of `resume=DIR` in front of those typed; the last one wins."""
    named = [a for a in arguments if a.startswith("resume=") and a != "resume=null"]
    if not named:
        return arguments, None
    directory = Path(named[-1].partition("=")[2])
    saved = _saved_overrides(directory)
    flags, typed = split([a for a in arguments if not a.startswith("resume=")])
    for flag in ("-m", "--multirun"):
        if flag in flags:
            raise UsageError("resume", directory, "is one run and no sweep", f"leave out {flag}")
    quoted = str(directory.resolve()).replace("\\", "\\\\").replace("'", "\\'")
    ours = ["hydra.mode=RUN", f"hydra.run.dir='{quoted}'"]
    return [*flags, *saved, *typed, *ours], directory


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
    return [o for o in saved if key_of(o) not in ("extend", "resume")]


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


if __name__ == "__main__":
    main()
