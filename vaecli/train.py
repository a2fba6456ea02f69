"""The door `vae-train`: compose the jobs, run them, answer with an exit code."""

from __future__ import annotations

import sys

from vaecli.config.compose import compose
from vaecli.config.help import asks_help, show_help
from vaecli.config.resume import expand, to_save
from vaecli.core.answer import answering

HEADER = "vae-train: train a VAE, watch for posterior collapse, diagnose the result.\n"
FOOTER = """\
Examples
  vae-train model=cnn strategy=free_bits            one run, then its diagnosis
  vae-train -m schedule.beta=0.5,1,4,10 seed=0,1,2  a sweep, then its comparison
  vae-train experiment=induce_collapse              a ready-made study

Any key below can be set as KEY=VALUE (group=option, group.key=value).
Then: tensorboard --logdir outputs
"""


def main() -> None:
    """Run `vae-train` with the arguments of this process and exit."""
    sys.exit(_main(sys.argv[1:]))


def _main(arguments: list[str]) -> int:
    with answering("vae-train") as answer:
        expanded, resumed = expand(arguments)
        if asks_help(arguments):
            show_help(expanded, HEADER, FOOTER)
            return answer.code
        composition = compose(expanded, resumed=resumed is not None)
        if composition is None:  # --cfg and the like: Hydra has answered
            return answer.code
        if composition.launched:
            from vaecli.runs.launch.launch import launch as run
        else:
            from vaecli.runs.sweep.run_all import run_all as run
        answer.code = run(composition, typed=to_save(expanded), resumed=resumed)
    return answer.code


if __name__ == "__main__":
    main()
