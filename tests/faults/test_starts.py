"""Many starts at once: each gets a directory of its own."""

import json
from concurrent.futures import ThreadPoolExecutor

import processes
import pytest


def start(cwd, seed):
    quick = ("trainer.max_steps=2", "diagnosis=quick", "data.limit=300")
    return processes.run("frozen.train", *quick, f"seed={seed}", cwd=cwd)


def starts(cwd, count, at_once):
    with ThreadPoolExecutor(at_once) as pool:
        ended = list(pool.map(lambda seed: start(cwd, seed), range(count)))
    assert [done.returncode for done in ended] == [0] * count, [done.stderr for done in ended]
    found = [json.loads(path.read_text()) for path in cwd.glob("outputs/*/*/summary.json")]
    assert [summary["run_state"] for summary in found] == ["done"] * count
    seeds = {o for summary in found for o in summary["overrides"] if o.startswith("seed=")}
    assert len(seeds) == count
    assert len(list(cwd.glob("outputs/*/*/report.html"))) == count
    assert len(list(cwd.glob("outputs/*/*"))) == count


def test_three_starts_at_one_moment_are_three_runs(tmp_path):
    starts(tmp_path, 3, 3)


@pytest.mark.faults
def test_forty_starts_eight_at_a_time_are_forty_runs(tmp_path):
    starts(tmp_path, 40, 8)
