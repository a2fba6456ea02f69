"""The README's picture: KL per dimension over training and reconstructions, one column a run.

`python docs/scripts/induce_collapse.py SWEEP docs/pictures/induce_collapse.png`, SWEEP being the
directory of `vae-train experiment=induce_collapse diagnosis=default`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vaecli import load_run
from vaecli.diagnosis.latent_space import reconstructions
from vaecli.evaluation.passes import encode
from vaecli.reporting.plots.heat import heat_image


def main(sweep: Path, output: Path) -> None:
    """Draw the runs of `sweep` side by side."""
    runs = sorted(path.parent for path in sweep.glob("*/summary.json"))
    drawn = Figure(figsize=(11, 5.2), dpi=100, layout="constrained")
    FigureCanvasAgg(drawn)
    axes = drawn.subplots(2, len(runs), height_ratios=[2.2, 1])
    for (above, below), run in zip(axes.T, runs, strict=True):
        summary = json.loads((run / "summary.json").read_text())
        history = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        epochs, dimensions = history[-1]["epoch"], summary["total_dimensions"]
        above.imshow(heat_image(history, 0.01), aspect="auto", extent=(0, epochs, dimensions, 0))
        above.set_title(
            f"{run.name.partition('_')[2].removeprefix('schedule.')}: {summary['status']}\n"
            f"rate {summary['rate']:.1f} nats, distortion {summary['distortion']:.1f} nats",
            fontsize=10,
        )
        above.set_xlabel("epoch")
        above.set_yticks([])
        vae, data, config = load_run(run)
        encoded = encode(vae, data, "test", samples=10)
        pair = reconstructions(vae, data, encoded, seed=config.seed, n=8)
        rows = [np.concatenate(list(x[:, 0].numpy()), axis=1) for x in pair]
        below.imshow(1 - np.concatenate(rows), cmap="gray", vmin=0, vmax=1)
        below.set_axis_off()
    axes[0, 0].set_ylabel("20 latent dimensions\n(grey: collapsed)")
    axes[1, 0].set_title("test digits and their reconstructions", fontsize=9, loc="left")
    drawn.savefig(output)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
