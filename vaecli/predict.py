"""The door `vae-predict`: what theory says of a data set before anything is trained."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from vaecli.config.arguments import key_of, split
from vaecli.config.compose import compose
from vaecli.config.help import asks_help, show_help
from vaecli.core.answer import answering
from vaecli.core.errors import UsageError, require

if TYPE_CHECKING:
    from vaecli.config.job import Job
    from vaecli.data.sets.base import Data, DataSet

OUTPUT_KEYS = ("hydra.run.dir", "hydra.sweep.dir")
WHERE = "outputs/predict/${now:%Y-%m-%d}/${now:%H-%M-%S-%f}"
HEADER = """\
vae-predict: at which beta does this data collapse, and how many dimensions can survive?
Takes the same groups and keys as vae-train.
"""
FOOTER = "Example: vae-predict data=mnist schedule.beta=10\n"


def main() -> None:
    """Run `vae-predict` with the arguments of this process and exit."""
    sys.exit(_main(sys.argv[1:]))


def _main(arguments: list[str]) -> int:
    with answering("vae-predict") as answer:
        if asks_help(arguments):
            show_help(arguments, HEADER, FOOTER)
            return answer.code
        jobs = _jobs(arguments)
        from vaecli.runs.prediction import predict, prepare

        loaded: dict[DataSet, Data] = {}
        for number, asked in enumerate([prepare(job, loaded) for job in jobs], 1):
            if len(jobs) > 1:
                print(f"\n=== {number} of {len(jobs)}: {asked.job.directory.name}")
            predict(asked)
    return answer.code


def _jobs(arguments: list[str]) -> list[Job]:
    """The jobs to predict; none if Hydra itself has answered. Raises UsageError."""
    flags, overrides = split(arguments)
    typed = {key_of(override) for override in overrides}
    if "resume" in typed and "resume=null" not in overrides:
        raise UsageError(
            "resume", "DIR", "is for vae-train", "give the run's own overrides to vae-predict"
        )
    ours = [f"{key}='{WHERE}'" for key in OUTPUT_KEYS if key not in typed]
    composition = compose([*flags, *ours, *overrides])
    if composition is None:
        return []
    require(
        composition.here,
        "hydra/launcher",
        composition.launcher,
        "is for vae-train: a prediction takes seconds, and is made here",
        "leave it out",
    )
    return list((composition.jobs or {}).values())


if __name__ == "__main__":
    main()
