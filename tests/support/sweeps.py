"""What a sweep left behind, as tests read it."""

import csv
import json


def table(directory):
    with open(directory / "comparison.csv", newline="") as file:
        return list(csv.DictReader(file))


def summaries(directory):
    return {
        path.parent.name: json.loads(path.read_text()) for path in directory.glob("*/summary.json")
    }


def epochs(directory):
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["epoch"] for line in lines]


def figures(directory):
    """What must be the same in two sweeps: everything but times and places."""
    timed = {"seconds", "images_per_second", "directory", "stacked"}
    return [{k: v for k, v in row.items() if k not in timed} for row in table(directory)]
