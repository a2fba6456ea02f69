"""Fill the README's generated tables, so that they cannot drift from the code.

`python benchmarks/readme_tables.py` rewrites them in place; a test checks that this changes
nothing.
"""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path

import yaml

from vaecli.models.base import Family
from vaecli.options import find

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
IMAGES = ("linear", "mlp", "cnn", "resnet", "pixelcnn")
SEQUENCES = ("lstm", "dilated_cnn", "transformer")
IMAGE, SEQUENCE = (1, 28, 28), (3000, 1, 40)


def capacities() -> list[str]:
    """Decoder capacity by family and size, with the parameters at 20 latents."""
    lines = [
        "| model | decoder | width | depth | receptive field | parameters (28x28, z 20) |",
        "|---|---|---|---|---|---|",
        *rows(IMAGES, IMAGE, biases=math.prod(IMAGE)),
    ]
    return [
        *lines,
        "",
        "| model | decoder | width | depth | receptive field | parameters (3,000 words, z 20) |",
        "|---|---|---|---|---|---|",
        *rows(SEQUENCES, SEQUENCE, biases=SEQUENCE[0]),
    ]


def rows(names: tuple[str, ...], shape: tuple[int, int, int], *, biases: int) -> list[str]:
    """One row a family and size; biases: of the output, which the VAE owns."""
    made = []
    for name in names:
        family = find("model", name, Family)(latent_dim=20)
        for size, capacity in family.capacities.items():
            decoder = family.decoder(shape, 1, capacity)
            count = sum(p.numel() for p in decoder.parameters()) + biases
            cells = [value or "-" for value in dataclasses.astuple(capacity)]
            made.append(f"| {name} | {size} | {' | '.join(map(str, cells))} | {count:,} |")
    return made


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
