"""Run directories as vae-train leaves them, made in no time."""

import copy
import json

import yaml

CONFIG = {
    "data": {"name": "digits", "root": "/data", "suggested": {"latent_dim": 4}},
    "model": {"name": "mlp", "latent_dim": 4},
    "decoder": {"size": "medium", "width": None},
    "likelihood": {"name": "bernoulli"},
    "schedule": {"name": "constant", "beta": 1.0},
    "strategy": {"use": {"none": True}},
    "trainer": {"epochs": 2.0, "lr": 0.002, "checkpoint_every": 1.0},
    "diagnosis": {"split": "test", "threshold": 0.01, "samples": None},
    "seed": 0,
    "device": "auto",
    "extend": [],
}
FIGURES = {
    "status": "HEALTHY",
    "active_dimensions": 3,
    "total_dimensions": 4,
    "active_units": 3,
    "rate": 2.0,
    "distortion": 20.0,
    "elbo": -22.0,
    "mutual_information": 1.8,
    "shuffle_rise": 5.0,
    "validation_loss": 22.5,
    "seconds": 1.25,
    "encoder_updates": 20,
    "decoder_updates": 20,
    "collapsed_at_step": None,
}
# Of data whose leading directions are stable from these betas on.
PREDICTION = {
    "critical_beta": 4.0,
    "beta": 1.0,
    "expected_active": 3,
    "direction_betas": [4.0, 2.0, 1.5, 0.5],
}


def make_run(
    directory, *typed, config=None, state="done", reason=None, prediction=PREDICTION, **figures
):
    """A run at `directory`. config: dotted key -> value, over those that `typed` (key=value) sets.

    figures: over FIGURES; a figure of a run that is not done is left out unless given.
    """
    resolved = copy.deepcopy(CONFIG)
    for item in typed:
        key, _, value = item.partition("=")
        _set(resolved, _key(key), yaml.safe_load(value))
    for key, value in (config or {}).items():
        _set(resolved, key, value)
    directory.mkdir(parents=True)
    known = (FIGURES if state == "done" else {}) | figures
    summary = {"run_state": state, "overrides": list(typed), "reason": reason, **known}
    (directory / "summary.json").write_text(json.dumps(summary))
    (directory / "config.resolved.yaml").write_text(yaml.safe_dump(resolved))
    if state == "done":
        active = known["active_dimensions"] or 0
        kl = [0.5 if j < active else 0.001 for j in range(int(known["total_dimensions"] or 0))]
        diagnosis = {"threshold": 0.01, "split": "test", "kl_per_dim": kl}
        if prediction:
            diagnosis["prediction"] = prediction
        (directory / "diagnosis.json").write_text(json.dumps(diagnosis))
        rows = [{"step": i, "epoch": float(i), "kl_per_dim": kl} for i in range(3)]
        (directory / "metrics.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in rows))
        (directory / "report.html").write_text("<p>report</p>")
    return directory


def _key(key):
    named = {
        "data": "data.name",
        "model": "model.name",
        "decoder": "decoder.size",
        "likelihood": "likelihood.name",
        "schedule": "schedule.name",
    }
    return named.get(key, key)


def _set(tree, key, value):
    if key == "strategy":
        tree["strategy"] = {"use": {value: True}}
        return
    *path, last = key.split(".")
    for part in path:
        tree = tree.setdefault(part, {})
    tree[last] = value
