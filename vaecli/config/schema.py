"""From Hydra's composition to typed, validated objects."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vaecli.config.options import find
from vaecli.config.sweep_inside import inner
from vaecli.core.errors import UsageError, require
from vaecli.data.sets.base import Data, DataSet
from vaecli.diagnosis.settings import DiagnosisConfig
from vaecli.models.base import Capacity, Family
from vaecli.models.likelihoods.base import Likelihood
from vaecli.objectives.schedules.base import Schedule
from vaecli.objectives.strategies.base import Strategy
from vaecli.training.precision import choose_device, choose_precision
from vaecli.training.settings import TrainerConfig

SECTIONS = ("data", "model", "decoder", "likelihood", "schedule", "strategy", "trainer")
LARGEST = 1e15  # its square, and one over it, are float32 numbers
TOP_LEVEL = {*SECTIONS, "diagnosis", "sweep", "seed", "device", "resume", "extend"}


class Stacking(Enum):
    """The choice to train runs of one structure together, or not."""

    auto = "auto"
    off = "off"


@dataclass(frozen=True)
class SweepConfig:
    """See the comments in configs/sweep/default.yaml."""

    stack: Stacking = Stacking.auto
    max_stack: int | None = None
    bisect: float | None = None
    bisect_low: float = 0.1
    bisect_high: float = 100.0
    inside: str | None = None

    def validate(self) -> None:
        """Raise UsageError for a stack of no runs, or a search that cannot end."""
        require(
            self.bisect is None or 0.001 <= self.bisect <= 1,
            "sweep.bisect",
            self.bisect,
            "is the ratio to which the boundary is to be known: from 0.001 to 1",
            "0.05 finds it to 5 %; null searches for nothing",
        )
        require(
            0 < self.bisect_low < self.bisect_high,
            "sweep.bisect_low",
            self.bisect_low,
            f"must lie between 0 and sweep.bisect_high ({self.bisect_high:g})",
            "`vae-predict` says near which beta to look",
        )
        require(
            self.max_stack is None or self.max_stack >= 1,
            "sweep.max_stack",
            self.max_stack,
            "must be at least 1",
            "null takes as many as fit into free memory",
        )
        if self.inside is not None:
            inner(self.inside)


@dataclass(frozen=True)
class Config:
    """One run, described. `plain` is the same as nested builtin types, for the files."""

    seed: int
    device: str
    data: DataSet
    model: Family
    capacity: Capacity
    schedule: Schedule
    strategies: tuple[Strategy, ...]
    trainer: TrainerConfig
    diagnosis: DiagnosisConfig
    sweep: SweepConfig
    extend: tuple[str, ...]
    plain: dict[str, Any] = field(compare=False, repr=False)

    def resolved(self, data: Data) -> Resolved:
        """The config of a run on `data`: its likelihood chosen, under `auto` by the kind of data.

        Raises UsageError for a likelihood that is no density for such data.
        """
        section = self.plain["likelihood"]
        name = section["name"]
        if name == "auto":
            name, section = AUTO_LIKELIHOOD[data.kind.value], {}
        cls = find("likelihood", name, Likelihood, self.extend)
        likelihood: Likelihood = _typed("likelihood", cls, section)
        likelihood.validate()
        kinds = [] if self.model.of_sequences else AUTO_LIKELIHOOD.items()
        fitting = [kind for kind, chosen in kinds if chosen == name]
        require(
            data.kind in likelihood.kinds,
            "likelihood",
            name,
            f"is no density for {data.kind.value} data ({data.name})",
            "use likelihood=auto" + (f", or {fitting[0]} data" if fitting else ""),
        )
        named = {**self.plain["likelihood"], "name": name}
        plain = {**self.plain, "likelihood": named, "resume": None}
        return Resolved(**{**vars(self), "plain": plain}, likelihood=likelihood)


@dataclass(frozen=True)
class Resolved(Config):
    """The config of a run whose data is known: nothing in it is left to be chosen."""

    likelihood: Likelihood = field(compare=False)  # a template, which `build` copies

    def resolved(self, data: Data) -> Resolved:
        """The config itself."""
        return self


# Grey images get the customary cross-entropy, which is not a normalised density; binarise for
# numbers that can be compared with published log-likelihoods.
AUTO_LIKELIHOOD = {
    "binary": "bernoulli",
    "grey": "bernoulli",
    "colour": "discretized_logistic",
    "real": "gaussian",
    "tokens": "categorical",
}


@dataclass(frozen=True)
class _Decoder:
    size: str
    width: int | None = None
    depth: int | None = None
    receptive_field: int | None = None


@dataclass(frozen=True)
class _Top:
    seed: int
    device: str
    extend: list[str]


def read(composed: DictConfig | ListConfig) -> Config:
    """The validated config of one run. Raises UsageError naming key, value, rule and remedy."""
    plain = _plain(composed)
    _require_shape(plain)
    unknown = sorted(map(str, set(plain) - TOP_LEVEL))
    require(
        not unknown,
        unknown[0] if unknown else "",
        plain.get(unknown[0]) if unknown else "",
        "is no key of vaecli",
        f"the top-level keys are {', '.join(sorted(TOP_LEVEL))}",
    )
    top = _typed("", _Top, {key: plain[key] for key in ("seed", "device", "extend")})
    extend = tuple(top.extend)
    data = _option("data", plain["data"], DataSet, extend)
    model = _option("model", plain["model"], Family, extend)
    trainer = _typed("trainer", TrainerConfig, plain["trainer"])
    diagnosis = _typed("diagnosis", DiagnosisConfig, plain["diagnosis"])
    # Not in the run directories of earlier versions; how a sweep is run does not change its runs.
    sweep = _typed("sweep", SweepConfig, plain.get("sweep") or {})
    schedule = _option("schedule", plain["schedule"], Schedule, extend)
    strategies = _strategies(plain["strategy"], extend)
    name = plain["likelihood"].get("name")
    if name != "auto":
        find("likelihood", name, Likelihood, extend)
    require(top.seed >= 0, "seed", top.seed, "must be >= 0", "use seed=0")
    for part in (data, model, trainer, diagnosis, sweep, *strategies):
        part.validate()
    schedule.validate(trainer.epochs)
    for strategy in strategies:
        strategy.validate_model(model, plain["model"]["name"])
    capacity = _capacity(_typed("decoder", _Decoder, plain["decoder"]), model, plain)
    choose_precision(trainer.amp, choose_device(top.device))
    return Config(
        seed=top.seed,
        device=top.device,
        data=data,
        model=model,
        capacity=capacity,
        schedule=schedule,
        strategies=strategies,
        trainer=trainer,
        diagnosis=diagnosis,
        sweep=sweep,
        extend=extend,
        plain=plain,
    )


def _require_shape(plain: dict[str, Any]) -> None:
    """A config may come from a file that somebody else wrote: every section must be there."""
    for key in (*SECTIONS, "diagnosis"):
        require(
            isinstance(plain.get(key), dict),
            key,
            plain.get(key),
            "must be a section with keys",
            f"choose one of its options: {key}=...",
        )
    for key in ("seed", "device", "extend"):
        require(
            key in plain, key, None, "is missing", "`vae-train --cfg job` prints a whole config"
        )
    name = plain["likelihood"].get("name")
    require(
        isinstance(name, str), "likelihood.name", name, "must name an option", "likelihood=auto"
    )
    use = plain["strategy"].get("use")
    require(isinstance(use, dict), "strategy.use", use, "must name strategies", "strategy=none")


def _plain(composed: DictConfig | ListConfig) -> dict[str, Any]:
    try:
        plain = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise _refusal("", error) from error
    if not isinstance(plain, dict):
        remedy = "`vae-train --cfg job` prints a whole config"
        raise UsageError("config", plain, "must be sections with keys", remedy)
    return {str(key): item for key, item in plain.items()}


def _option(group: str, node: dict, base: type, extend: tuple[str, ...]) -> Any:
    name = node.get("name")
    if not isinstance(name, str):
        raise UsageError(f"{group}.name", name, "must name an option", f"{group}=...")
    return _typed(group, find(group, name, base, extend), node)


def _strategies(node: dict, extend: tuple[str, ...]) -> tuple[Strategy, ...]:
    keys = {key: value for key, value in node.items() if key != "use"}
    strategies: list[Strategy] = []
    for name in (name for name, wanted in node.get("use", {}).items() if wanted):
        cls = find("strategy", name, Strategy, extend)
        own = {f.name for f in dataclasses.fields(cls)}
        strategy = _typed("strategy", cls, {k: keys.pop(k) for k in list(keys) if k in own})
        for other in strategies:
            shared = strategy.slots & other.slots
            require(
                not shared,
                "strategy",
                f"[{other.name},{name}]",
                f"both fill the slot {', '.join(sorted(shared))}",
                "strategies combine only if their slots are disjoint; choose one of the two",
            )
        strategies.append(strategy)
    require(
        not keys,
        f"strategy.{next(iter(keys), '')}",
        next(iter(keys.values()), ""),
        f"is no key of strategy={'+'.join(strategy.name for strategy in strategies) or 'none'}",
        "choose the strategy it belongs to, e.g. strategy=free_bits strategy.free_nats=0.5",
    )
    return tuple(strategies)


def _capacity(decoder: _Decoder, model: Family, plain: dict) -> Capacity:
    name = plain["model"]["name"]
    require(
        decoder.size in model.capacities,
        "decoder",
        decoder.size,
        f"model={name} has no decoder of that size",
        f"it has decoder={', '.join(model.capacities)}",
    )
    capacity = model.capacities[decoder.size]
    for key in ("width", "depth", "receptive_field"):
        value = getattr(decoder, key)
        if value is None:
            continue
        has = [f.name for f in dataclasses.fields(capacity) if getattr(capacity, f.name)]
        require(
            key in has,
            f"decoder.{key}",
            value,
            f"the decoder of model={name} has no {key}",
            f"it has: {', '.join(has) or 'one fixed decoder'}",
        )
        require(value >= 1, f"decoder.{key}", value, "must be at least 1", f"decoder.{key}=null")
        capacity = dataclasses.replace(capacity, **{key: value})
    model.validate_capacity(capacity)
    return capacity


def _typed(group: str, cls: type, node: dict) -> Any:
    """`node` as an instance of the dataclass `cls`: unknown keys and wrong types are refused."""
    node = {key: value for key, value in node.items() if key not in ("name", "suggested")}
    try:
        option = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(cls), node))
    except OmegaConfBaseException as error:
        raise _refusal(group, error, node, cls) from error
    for key in (f.name for f in dataclasses.fields(cls)):
        value = getattr(option, key)
        numbers = value if isinstance(value, list | tuple) else [value]
        sound = all(
            x == 0 or 1 / LARGEST <= abs(x) <= LARGEST for x in numbers if isinstance(x, float)
        )
        rule = f"must be finite: 0, or from {1 / LARGEST:g} to {LARGEST:g} in size"
        require(sound, f"{group}.{key}", value, rule, "arithmetic is in float32")
    return option


def _refusal(
    group: str, error: OmegaConfBaseException, node: dict | None = None, cls: type | None = None
) -> UsageError:
    key = str(getattr(error, "full_key", None) or getattr(error, "key", None) or "")
    value = (node or {}).get(key.split(".")[0].split("[")[0], "")
    rule = str(error).strip().splitlines()[0]
    full = ".".join(part for part in (group, key) if part)
    if cls is not None and key not in {f.name for f in dataclasses.fields(cls)}:
        known = ", ".join(f.name for f in dataclasses.fields(cls))
        return UsageError(full, value, f"is no key of {group}", f"its keys are {known}")
    return UsageError(full or group, value, rule, "`vae-train --cfg job` prints every key")
