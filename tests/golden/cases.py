"""What is recorded: the golden runs and compositions, by name, with what is typed for each.

Every strategy, model and schedule has a run, named as it is typed (`strategy=free_bits`). A new
yaml needs no line here; if it cannot train on the digits, NEEDS says what it trains on.
"""

from itertools import product
from pathlib import Path

CONFIGS = Path(__file__).resolve().parent.parent.parent / "configs"

# Six updates, with an evaluation after every second one.
SMALL = (
    "device=cpu",
    "trainer.max_steps=6",
    "trainer.batch_size=16",
    "trainer.evaluate_every=0.5",
)
QUICK = ("diagnosis=quick", "diagnosis.samples=20", "diagnosis.importance_samples=2")
DIGITS = ("data.limit=64", "model.latent_dim=3")
GAUSSIAN = ("data=gaussian", "data.examples=64", "data.held_out=32")
SEQUENCES = ("data=sequences", "data.examples=100", "data.words=20", "data.limit=64")
NARROW = ("model.embedding=8", "model.encoder_width=16", "decoder.width=16")
LSTM = ("model=lstm", *NARROW)
TEXT = ("data=text", "data.path=lines.txt", "data.limit=64", "model.latent_dim=3", *LSTM)

NEEDS = {
    "model=dilated_cnn": (*SEQUENCES, *NARROW),
    "model=lstm": (*SEQUENCES, *NARROW),
    "model=transformer": (*SEQUENCES, *NARROW),
    # Longer than the quarter of six updates that is the default, so that rows are on the way up.
    "schedule=cosine": ("schedule.warmup=0.9",),
    "schedule=linear": ("schedule.warmup=0.5",),
    "schedule=sigmoid": ("schedule.warmup=0.9",),
    "strategy=aggressive": ("strategy.aggressive_max_updates=25",),
    "strategy=decoder_dropout": (*SEQUENCES, *LSTM),
}
COMBINATIONS = {
    "adamw": ("trainer.optimizer=adamw", "trainer.weight_decay=0.1"),
    "characters": (*TEXT, "data.level=char"),
    "clip": ("trainer.clip=0.5",),
    "discretized_logistic": ("data.binarise=none", "likelihood=discretized_logistic"),
    "dynamic_binarisation": ("data.binarise=dynamic", "decoder=small", "model.encoder_depth=2"),
    "free_bits_per_sample": (
        "strategy=free_bits",
        "strategy.free_bits_per=sample",
        "strategy.free_nats=0.2",
    ),
    "gaussian_data": GAUSSIAN,
    "gaussian_learned": ("data.binarise=none", "likelihood=gaussian_learned"),
    "grey_pixels": ("data.binarise=none",),
    "latent_sequence": (*SEQUENCES, *LSTM, "strategy=committed_rate", "strategy.latent_steps=2"),
    "lr_cosine": ("trainer.lr_schedule=cosine",),
    "lr_linear": ("trainer.lr_schedule=linear", "trainer.weight_decay=0.1"),
    "sequences_of_a_chain": (*SEQUENCES, "data.source=markov", *LSTM),
    "stacked_sweep": ("-m", "schedule.beta=0.5,1,4", "seed=0,1", "trainer.amp=off"),
    "static_binarisation": ("data.binarise=static", "seed=7", "data.seed=3"),
    "text": TEXT,
    "two_strategies": ("strategy=[free_bits,encoder_steps]", "strategy.encoder_steps=2"),
}


def losses() -> dict[str, tuple[str, ...]]:
    """The arguments of every run whose losses are recorded."""
    groups = ("strategy", "model", "schedule")
    options = [f"{group}={name}" for group in groups for name in names(group)]
    typed = {option: (option, *NEEDS.get(option, ())) for option in options} | COMBINATIONS
    return {name: (*some, *_digits(some), *SMALL, *QUICK) for name, some in typed.items()}


def _digits(typed: tuple[str, ...]) -> tuple[str, ...]:
    return () if any(argument.startswith("data=") for argument in typed) else DIGITS


def compositions() -> dict[str, tuple[str, ...]]:
    """The arguments of every composition that is recorded: `vae-train --cfg job` with these."""
    experiments = [f"experiment={name}" for name in names("experiment")]
    return {name: (name,) for name in experiments} | {
        "default": (),
        "free_bits_with_encoder_steps": (
            "strategy=[free_bits,encoder_steps]",
            "strategy.free_nats=0.5",
        ),
        "paper_on_colours": ("data=cifar10", "model=resnet", "trainer=paper", "decoder=large"),
        "schedule_in_steps": ("schedule=sigmoid", "schedule.warmup_steps=100", "seed=3"),
        "smoke_test": ("trainer=fast", "diagnosis=full", "decoder=small"),
        "study_of_text": (
            "experiment=compare_text",
            "data.path=lines.txt",
            "trainer.clip=null",
            "strategy=delta_vae",
        ),
        "whole_run": ("schedule=linear_whole_run", "likelihood=gaussian", "data.binarise=none"),
    }


def names(group: str) -> list[str]:
    """The options of a group of configs."""
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


def write_text(directory: Path) -> None:
    """Write the lines.txt of TEXT: 150 lines."""
    who = ["the cat", "a dog", "the king", "my sister", "nobody"]
    does = ["sees", "fears", "follows", "sings to", "forgets"]
    whom = ["the moon", "a river", "him", "the children", "every stone"]
    when = ["at night", "before the rain", "today"]
    every = [f"{' '.join(words)}." for words in product(who, does, whom, when)]
    # Every seventh of the 375: neighbours differ in more than their end.
    lines = [every[7 * n % len(every)] for n in range(150)]
    (directory / "lines.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
