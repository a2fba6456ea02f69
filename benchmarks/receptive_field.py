"""Rate and mutual information against how far back a dilated decoder sees, from finished runs.

`python benchmarks/receptive_field.py SWEEP...`, sweeps of `experiment=receptive_field`. Writes
docs/pictures/receptive_field.png and benchmarks/results/receptive_field_<hardware>_<yyyymm>.md.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import yaml
from matplotlib.figure import Figure
from results import environment_lines, write

ROOT = Path(__file__).resolve().parent.parent


def main(sweeps: list[Path]) -> None:
    found = sorted(run for sweep in sweeps for run in measured(sweep))
    draw(found, ROOT / "docs" / "pictures" / "receptive_field.png")
    rows = [
        f"| {field} | {-d['elbo']:.2f} | {d['rate']:.2f} | {spread(information(d))} | "
        f"{spread(d['latent_use']['shuffled'])} | {d['active_units']} |"
        for field, _, d in found
    ]
    text = [
        "# Receptive field of a dilated decoder\n",
        f"`vae-train {' '.join(found[0][1])}` and the other fields; test split, nats per "
        "sequence, one seed.\n",
        *environment_lines("cpu"),
        "",
        "| field | -ELBO | rate | mutual information | rise when shuffled | active units |",
        "|---|---|---|---|---|---|",
        *rows,
    ]
    write("receptive_field", "\n".join(text), "cpu")


def measured(sweep: Path) -> list[tuple[int, list[str], dict]]:
    """Field, overrides and diagnosis of each run that was diagnosed."""
    runs = []
    for path in sweep.glob("*/diagnosis.json"):
        config = yaml.safe_load((path.parent / "config.resolved.yaml").read_text())
        overrides = [
            word
            for word in json.loads((path.parent / "summary.json").read_text())["overrides"]
            if not word.startswith(("data.path", "hydra"))
        ]
        field = config["decoder"]["receptive_field"]
        runs.append((field, overrides, json.loads(path.read_text())))
    return runs


def information(diagnosis: dict) -> dict:
    return diagnosis["information"]["mutual_information"]


def spread(estimate: dict) -> str:
    return f"{estimate['value']:.2f} ± {estimate['standard_error']:.2f}"


def draw(found: list[tuple[int, list[str], dict]], path: Path) -> None:
    fields = [field for field, *_ in found]
    figure = Figure((6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(fields, [d["rate"] for *_, d in found], "o-", color="0.55", label="rate")
    axes.errorbar(
        fields,
        [information(d)["value"] for *_, d in found],
        [2 * information(d)["standard_error"] for *_, d in found],
        fmt="o-",
        color="#1f5fa8",
        label="mutual information, ± 2 standard errors",
    )
    axes.set_xscale("log", base=2)
    axes.set_xticks(fields, [str(field) for field in fields])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("receptive field of the decoder, tokens")
    axes.set_ylabel("nats per sequence")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
