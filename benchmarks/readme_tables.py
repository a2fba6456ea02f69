"""Fill the README's generated tables, so that they cannot drift from the code.

`python benchmarks/readme_tables.py` rewrites them in place; a test checks that this changes
nothing.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import torch
import yaml

from vaecli.models.base import Family
from vaecli.options import find

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
FAMILIES = ("linear", "mlp", "cnn", "resnet", "pixelcnn")
SHAPE = (1, 28, 28)


def capacities() -> list[str]:
    """Decoder capacity by family and size, with the parameters at 28x28 and 20 latents."""
    lines = [
        "| model | decoder | width | depth | receptive field | parameters (28x28, z 20) |",
        "|---|---|---|---|---|---|",
    ]
    for name in FAMILIES:
        family = find("model", name, Family)(latent_dim=20)
        for size, capacity in family.capacities.items():
            decoder = family.decoder(SHAPE, 1, capacity)
            count = sum(p.numel() for p in decoder.parameters()) + torch.Size(SHAPE).numel()
            cells = [value or "-" for value in dataclasses.astuple(capacity)]
            lines.append(f"| {name} | {size} | {' | '.join(map(str, cells))} | {count:,} |")
    return lines


def data_sets() -> list[str]:
    """What each data set suggests to the model and the trainer."""
    lines = ["| data | latent_dim | epochs | lr | binarise |", "|---|---|---|---|---|"]
    for path in sorted((ROOT / "configs" / "data").glob("*.yaml")):
        node = yaml.safe_load(path.read_text())
        suggested = node["suggested"]
        lines.append(
            f"| {node['name']} | {suggested['latent_dim']} | {suggested['epochs']} | "
            f"{float(suggested['lr']):g} | {node.get('binarise', '-')} |"
        )
    return lines


TABLES = {"capacities": capacities, "data": data_sets}


def filled(text: str) -> str:
    """The README's text with every generated table made anew."""
    for name, table in TABLES.items():
        block = re.compile(rf"(<!-- {name}: .*? -->\n).*?(<!-- end -->)", re.DOTALL)
        text = block.sub(lambda m, table=table: m[1] + "\n".join(table()) + "\n" + m[2], text)
    return text


if __name__ == "__main__":
    README.write_text(filled(README.read_text()))
