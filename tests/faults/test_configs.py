"""The whole space of configs: every composition trains two updates and is diagnosed, or is refused.

Refused means exit code 2, at most three lines, and not a file written.
"""

import contextlib
import io
import json
import tempfile
from pathlib import Path

import pytest
from doors import train
from hypothesis import given, settings
from hypothesis import strategies as st

from vaecli.config.compose import CONFIGS

SMALL = (
    "trainer.max_steps=2",
    "diagnosis=quick",
    "diagnosis.samples=60",
    "diagnosis.importance_samples=2",
)


def options(group, without=()):
    found = (path.stem for path in (Path(CONFIGS) / group).glob("*.yaml"))
    return st.sampled_from(sorted(set(found) - set(without)))


# In range, at its edges, beyond it, and no number at all.
VAST = [10**12, 10**23, 1e15, 1e-15, 1e300, 1e-300]
WHOLE = st.sampled_from([-1, 0, 1, 2, 3, 7, 24, "null", "1.5", "x", "true", *VAST[:2]])
REAL = st.one_of(
    st.sampled_from([-1, 0, 1, 0.5, 1e-9, 1e9, "nan", "inf", "null", "x", "[1]", *VAST[2:]]),
    st.floats(0, 3, allow_nan=False, allow_subnormal=False).map(lambda x: round(x, 3)),
)
NUMBERS = {
    "data.val_fraction": REAL,
    "data.limit": st.sampled_from([-1, 0, 1, 3, 40, 300, "null"]),
    "data.seed": WHOLE,
    "data.image_size": st.sampled_from([-1, 0, 1, 4, 8, 9, 16, "null", "x"]),
    "model.latent_dim": WHOLE,
    "model.encoder_width": WHOLE,
    "model.encoder_depth": WHOLE,
    "decoder.width": WHOLE,
    "decoder.depth": WHOLE,
    "decoder.receptive_field": WHOLE,
    "likelihood.sigma": REAL,
    "schedule.beta": REAL,
    "schedule.start": REAL,
    "schedule.warmup": REAL,
    "schedule.warmup_steps": WHOLE,
    "schedule.warmup_epochs": REAL,
    "schedule.cycles": WHOLE,
    "schedule.ratio": REAL,
    "strategy.free_nats": REAL,
    "strategy.delta": REAL,
    "strategy.delta_per_dim": REAL,
    "strategy.encoder_steps": WHOLE,
    "strategy.encoder_lr_factor": REAL,
    "strategy.aggressive_max_updates": WHOLE,
    "strategy.aggressive_window": WHOLE,
    "trainer.epochs": REAL,
    "trainer.batch_size": WHOLE,
    "trainer.lr": REAL,
    "trainer.weight_decay": REAL,
    "trainer.clip": REAL,
    "trainer.evaluate_every": REAL,
    "trainer.checkpoint_every": REAL,
    "trainer.max_seconds": REAL,
    "diagnosis.threshold": REAL,
    "diagnosis.samples": WHOLE,
    "diagnosis.aggregate": WHOLE,
    "diagnosis.importance_samples": st.sampled_from([-1, 0, 1, 2, "x"]),
    "seed": WHOLE,
}
WORDS = {
    "data.binarise": st.sampled_from(["none", "threshold", "static", "dynamic", "yes"]),
    "trainer.optimizer": st.sampled_from(["adam", "adamw", "sgd"]),
    "trainer.lr_schedule": st.sampled_from(["constant", "cosine", "linear", "no"]),
    "trainer.amp": st.sampled_from(["auto", "off", "bf16", "fp16", "tf32"]),
    "diagnosis.split": st.sampled_from(["train", "val", "test", "all"]),
    "diagnosis.checkpoint": st.sampled_from(["last", "best", "first"]),
}


@st.composite
def compositions(draw):
    """Overrides: some groups, then some keys, of which the chosen options may lack a few."""
    groups = {
        "data": st.sampled_from(["digits", "digits", "gaussian"]),
        "model": options("model"),
        "decoder": options("decoder"),
        "likelihood": options("likelihood"),
        "schedule": options("schedule"),
        "strategy": st.one_of(
            options("strategy"),
            st.lists(options("strategy"), min_size=1, max_size=2).map(
                lambda names: f"[{','.join(names)}]"
            ),
        ),
    }
    chosen = draw(st.lists(st.sampled_from(sorted(groups)), unique=True, max_size=5))
    overrides = [f"{group}={draw(groups[group])}" for group in chosen]
    keys = {**NUMBERS, **WORDS}
    typed = draw(st.lists(st.sampled_from(sorted(keys)), unique=True, max_size=3))
    return overrides + [f"{key}={draw(keys[key])}" for key in typed]


def check(overrides):
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = train([*SMALL, *overrides, "hydra.run.dir=run"])
        told = f"{code}: {' '.join(overrides)}\n{out.getvalue()[-3000:]}\n{err.getvalue()}"
        assert "Traceback" not in out.getvalue() + err.getvalue(), told
        if code == 2:
            assert 1 <= len(err.getvalue().strip().splitlines()) <= 3, told
            assert not list(Path(scratch).rglob("*")), told
        else:
            summary = json.loads(Path("run/summary.json").read_text())
            assert (code, summary["run_state"]) in {(0, "done"), (3, "diverged")}, told


@given(compositions())
def test_a_composition_trains_and_is_diagnosed_or_is_refused(overrides):
    check(overrides)


@pytest.mark.faults
@settings(max_examples=600)
@given(compositions())
def test_six_hundred_compositions_train_and_are_diagnosed_or_are_refused(overrides):
    check(overrides)


OPTIONS = {  # of the keys that only some options have
    "decoder.receptive_field": "model=pixelcnn",
    "likelihood.sigma": "likelihood=gaussian",
    "schedule.start": "schedule=linear",
    "schedule.warmup": "schedule=linear",
    "schedule.warmup_steps": "schedule=linear",
    "schedule.warmup_epochs": "schedule=linear",
    "schedule.cycles": "schedule=cyclical",
    "schedule.ratio": "schedule=cyclical",
    "strategy.free_nats": "strategy=free_bits",
    "strategy.delta": "strategy=delta_vae",
    "strategy.delta_per_dim": "strategy=committed_rate",
    "strategy.encoder_steps": "strategy=encoder_steps",
    "strategy.encoder_lr_factor": "strategy=encoder_steps",
    "strategy.aggressive_max_updates": "strategy=aggressive",
    "strategy.aggressive_window": "strategy=aggressive",
}
MORE = [
    "diagnosis.refine_steps",
    "diagnosis.baseline_steps",
    "diagnosis.ablation",
    "diagnosis.autoregressive_examples",
    "trainer.max_steps",
]


@pytest.mark.faults
@pytest.mark.parametrize("key", [*NUMBERS, *MORE])
def test_no_number_is_too_large_or_too_small_to_be_answered(key):
    chosen = [OPTIONS[key]] if key in OPTIONS else []
    if key == "likelihood.sigma":
        chosen.append("data.binarise=none")
    for value in VAST:
        check([*chosen, f"{key}={value}"])
