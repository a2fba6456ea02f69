"""The door `vae-train`: compose with Hydra, run, answer with an exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from vaecli.compose import Composed, answer, basic, compose
from vaecli.resume import Resumed, expand, to_save

if TYPE_CHECKING:
    from vaecli.run import Job


def main() -> None:
    """Run `vae-train` with the arguments of this process and exit."""
    sys.exit(_main(sys.argv[1:]))


def _main(arguments: list[str]) -> int:
    def work(jobs: list[Job]) -> int:
        expanded, resumed = expand(arguments)
        _collect(expanded, jobs, resumed)
        if not jobs:  # --help, --cfg and the like: Hydra has answered
            return 0
        from vaecli.sweep import run_all

        return run_all(jobs, typed=to_save(expanded), resumed=resumed)

    return answer("vae-train", arguments, work)


def _collect(arguments: list[str], jobs: list[Job], resumed: Resumed | None) -> None:
    """Append what is to be run to `jobs`; under a launcher that is not Hydra's own, run it now."""
    directory = None if resumed is None or resumed.sweep else resumed.directory

    def take(composed: Composed) -> float | None:
        from vaecli.run import Job

        job = Job(
            overrides=composed.overrides,
            composed=composed.text,
            directory=directory or composed.directory,
            sweep=composed.sweep,
        )
        if basic():
            jobs.append(job)
            return None
        from vaecli.sweep import run_now

        return run_now(job)

    compose(arguments, take)


if __name__ == "__main__":
    main()
