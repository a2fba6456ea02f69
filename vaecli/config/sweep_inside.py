"""`sweep.inside`: the overrides of a job that is a whole sweep itself."""

from __future__ import annotations

import shlex

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from vaecli.config.arguments import key_of
from vaecli.core.errors import UsageError

INSIDE = "sweep.inside"
NOT_INSIDE = (INSIDE, "resume", "extend")


def inner(text: str) -> list[str]:
    """The overrides in `sweep.inside`, split as a shell would. Raises UsageError."""
    try:
        overrides = shlex.split(text)
    except ValueError as error:
        raise _refused(text, f"cannot be split into overrides ({error})") from error
    if not overrides:
        raise _refused(text, "names no override")
    for override in overrides:
        key = key_of(override)
        if override.startswith("-"):
            raise _refused(override, "is a flag; only overrides can stand inside")
        if key.replace("/", ".").split(".")[0] == "hydra" or key in NOT_INSIDE:
            raise _refused(override, f"sets {key}, which belongs to the sweep around it")
        try:
            OverridesParser.create().parse_override(override)
        except HydraException as error:
            raise _refused(override, "is no override, KEY=VALUE") from error
    return overrides


def overrides_of(job: list[str], text: str) -> list[str]:
    """The overrides of the job's sweep: the job's own, then those inside; the last one wins."""
    return [o for o in job if key_of(o) != INSIDE] + inner(text)


def _refused(value: str, rule: str) -> UsageError:
    example = f"\"{INSIDE}='schedule.beta=0.5,1,2 seed=0,1'\""
    return UsageError(INSIDE, value, rule, f"type it as a command would be, e.g. {example}")
