"""Every strategy, model and schedule trains as it did when its losses were recorded."""

import json
import math

import cases
import pytest
from recordings import HERE, path_of, read, remedy, trained

# Another processor or torch adds in another order. After six updates a figure in nats has moved by
# some units of its last place, 6e-8 of it, times what Adam makes of gradients near zero: their
# sign decides a whole step of the learning rate.
RELATIVE = 1e-4
NEAR_ZERO = 1e-5  # nats: figures such as the KL of one dimension are differences of larger ones
# They count what is above a threshold, and may cross it.
COUNTS = {"active_dimensions", "active_directions", "active_units", "utilization"}


@pytest.fixture(scope="module", params=cases.losses())
def runs(request, tmp_path_factory):
    """The recording of a case, and what the same arguments give now; each as parsed lines."""
    recorded = read(f"losses/{request.param}")
    now = trained(request.param, tmp_path_factory.mktemp("losses"))
    return [[json.loads(line) for line in text.splitlines()] for text in (recorded, now)]


def test_every_run_is_recorded_and_every_recording_has_its_run():
    missing = [name for name in cases.losses() if not path_of(f"losses/{name}").exists()]
    assert not missing, "; ".join(remedy(f"losses/{name}") for name in missing)
    assert {path.stem for path in (HERE / "losses").iterdir()} == {*cases.losses()}


def test_losses_are_close_to_the_recorded_ones(runs):
    (head, *rows), (head_now, *rows_now) = runs
    assert head_now["typed"] == head["typed"], "what is typed has changed: record it anew"
    assert len(rows_now) == len(rows)
    for row, row_now in zip(rows, rows_now, strict=True):
        assert row_now.keys() == row.keys()
        far = {
            key: (row[key], row_now[key])
            for key in row.keys() - COUNTS
            if not _close(row[key], row_now[key])
        }
        assert not far, f"recorded and now, {row['run']}, step {row['step']}"


def test_losses_and_weights_equal_the_recorded_ones_to_the_bit(runs):
    recorded, now = runs
    if now[0]["machine"] != recorded[0]["machine"]:
        pytest.skip(f"closeness was checked, bits not: recorded with {recorded[0]['machine']}")
    assert now == recorded


def _close(recorded, now):
    if isinstance(recorded, list):
        return len(recorded) == len(now) and all(map(_close, recorded, now))
    if isinstance(recorded, float) and isinstance(now, float):
        return math.isclose(recorded, now, rel_tol=RELATIVE, abs_tol=NEAR_ZERO)
    return recorded == now
