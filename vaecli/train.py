"""The door `vae-train`: compose with Hydra, run, answer with an exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from omegaconf import OmegaConf

from vaecli.config.compose import Composed, answer, basic, compose, key_of
from vaecli.config.help import asks_help, show_help
from vaecli.config.inside import INSIDE
from vaecli.config.jobs import foresee
from vaecli.config.resume import Resumed, expand, to_save
from vaecli.core.errors import require

if TYPE_CHECKING:
    from vaecli.runs.opening import Job

HEADER = "vae-train: train a VAE, watch for posterior collapse, diagnose the result.\n"
FOOTER = """\
Examples
  vae-train model=cnn strategy=free_bits            one run, then its diagnosis
  vae-train -m schedule.beta=0.5,1,4,10 seed=0,1,2  a sweep, then its comparison
  vae-train experiment=induce_collapse              a ready-made study

Any key below can be set as KEY=VALUE (group=option, group.key=value).
Then: tensorboard --logdir outputs
"""

FOREIGN = "does not go with flags that name another main config"
REMEDY = "put your own configs into a directory: --config-dir DIR"


def main() -> None:
    """Run `vae-train` with the arguments of this process and exit."""
    sys.exit(_main(sys.argv[1:]))


def _main(arguments: list[str]) -> int:
    def work(jobs: list[Job]) -> int:
        if asks_help(arguments):
            show_help(expand(arguments)[0], HEADER, FOOTER)
            return 0
        expanded, resumed = expand(arguments)
        sweep = foresee(expanded)
        if sweep is not None:
            from vaecli.runs.launch.launch import launch

            return launch(expanded, sweep, typed=to_save(expanded), resume=resumed is not None)
        _collect(expanded, jobs, resumed)
        if not jobs:  # --cfg and the like: Hydra has answered
            return 0
        from vaecli.runs.sweep.run_all import run_all

        return run_all(jobs, typed=to_save(expanded), resumed=resumed)

    return answer("vae-train", arguments, work)


def _collect(arguments: list[str], jobs: list[Job], resumed: Resumed | None) -> None:
    """Append what is to be run to `jobs`."""
    directory = None if resumed is None or resumed.sweep else resumed.directory
    named = any(key_of(argument) == "hydra.run.dir" for argument in arguments)

    def take(composed: Composed) -> None:
        from vaecli.runs.opening import Job

        require(
            basic(), "hydra/launcher", " ".join(arguments),
            f"another launcher or sweeper {FOREIGN}", REMEDY,
        )  # fmt: skip
        jobs.append(
            Job(
                overrides=composed.overrides,
                composed=composed.text,
                directory=directory or composed.directory,
                sweep=composed.sweep,
                by_clock=directory is None and composed.sweep is None and not named,
            )
        )

    compose(arguments, take)
    for job in jobs:  # `foresee` has not seen it
        inside = OmegaConf.create(job.composed).sweep.inside
        require(inside is None, INSIDE, inside, f"a sweep inside a sweep {FOREIGN}", REMEDY)


if __name__ == "__main__":
    main()
