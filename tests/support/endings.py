"""What a run left, as far as it must be the same whenever it was killed and resumed."""

import json
import math

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

TIMES = {"seconds", "images_per_second", "stacked"}


def ending(run):
    """Rows, checkpoints, figures and curves of a run, without its times, as plain values."""
    return {
        "rows": [_timeless(json.loads(line)) for line in _lines(run / "metrics.jsonl")],
        "summary": _timeless(json.loads((run / "summary.json").read_text())),
        "diagnosis": _timeless(json.loads((run / "diagnosis.json").read_text())),
        **{name: _checkpoint(run / "checkpoints" / f"{name}.pt") for name in ("last", "best")},
        "curves": _curves(run / "tensorboard"),
        "left over": sorted(str(path.relative_to(run)) for path in run.rglob("*.tmp")),
    }


def _lines(path):
    return path.read_text().splitlines()


def _timeless(value):
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if k not in TIMES}
    return [_timeless(item) for item in value] if isinstance(value, list) else value


def _checkpoint(path):
    content = torch.load(path, weights_only=True)
    content.pop("meter")
    return _plain(content)


def _plain(value):
    """Tensors as bytes: bit for bit, NaN included."""
    if isinstance(value, torch.Tensor):
        return (str(value.dtype), tuple(value.shape), value.contiguous().numpy().tobytes())
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _curves(directory):
    """Every scalar as TensorBoard draws it: step -> value, and that no step is there twice."""
    events = EventAccumulator(str(directory), size_guidance={"scalars": 0})
    events.Reload()
    found = {}
    for tag in events.Tags()["scalars"]:
        if any(time in tag for time in TIMES):
            continue
        points = [(e.step, "nan" if math.isnan(e.value) else e.value) for e in events.Scalars(tag)]
        found[tag] = sorted(points)
    return found
