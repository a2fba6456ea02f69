"""Every strategy, model and schedule trains as it did when its losses were recorded."""

import json

import cases
import pytest
from recordings import close, read

# They count what is above a threshold, and rounding can cross it.
COUNTS = {"active_dimensions", "active_directions", "active_units", "utilization"}


@pytest.fixture(scope="module", params=cases.losses())
def runs(request, trained_once):
    """The recording of a case, and what the same arguments give now; each as parsed lines."""
    recorded = read(f"losses/{request.param}")
    now, _ = trained_once(request.param)
    return [[json.loads(line) for line in text.splitlines()] for text in (recorded, now)]


def test_losses_are_close_to_the_recorded_ones(runs):
    (head, *rows), (head_now, *rows_now) = runs
    assert head_now["typed"] == head["typed"], "what is typed has changed: record it anew"
    assert len(rows_now) == len(rows)
    for row, row_now in zip(rows, rows_now, strict=True):
        assert row_now.keys() >= row.keys()  # a new figure is no change of the old ones
        far = {
            key: (row[key], row_now[key])
            for key in row.keys() - COUNTS
            if not close(row[key], row_now[key])
        }
        assert not far, f"recorded and now, {row['run']}, step {row['step']}"


def test_losses_and_weights_equal_the_recorded_ones_to_the_bit(runs):
    recorded, now = runs
    if now[0]["machine"] != recorded[0]["machine"]:
        pytest.skip(f"closeness was checked, bits not: recorded with {recorded[0]['machine']}")
    head, *rows = recorded
    head_now, *rows_now = now
    assert head_now == head
    assert len(rows_now) == len(rows)
    for row, row_now in zip(rows, rows_now, strict=True):
        assert {key: row_now.get(key) for key in row} == row
