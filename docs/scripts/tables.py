"""Fill the generated tables of docs/options.md and docs/diagnosis.md from the code.

`python docs/scripts/tables.py` rewrites them in place; a test checks that this changes nothing.
The tables of options are the yamls: their keys, defaults and comments. An option whose yaml says
nothing of it is described by the first line of its class.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

from vaecli.config.options import find
from vaecli.data.sets.base import DataSet
from vaecli.diagnosis.figures import FIGURES, Figure
from vaecli.models.base import Family
from vaecli.models.likelihoods.base import Likelihood
from vaecli.objectives.schedules.base import Schedule
from vaecli.objectives.strategies.base import Strategy

ROOT = Path(__file__).resolve().parent.parent.parent
CONFIGS = ROOT / "configs"
PAGES = [ROOT / "docs" / name for name in ("options.md", "diagnosis.md")]
IMAGES = ("linear", "mlp", "cnn", "resnet", "pixelcnn")
SEQUENCES = ("lstm", "dilated_cnn", "transformer")
IMAGE, SEQUENCE = (1, 28, 28), (3000, 1, 40)
BASES = {
    "data": DataSet,
    "model": Family,
    "likelihood": Likelihood,
    "schedule": Schedule,
    "strategy": Strategy,
}
# Keys that choose the option, and are no settings of it.
NAMES = ("name", "use", "defaults", "hydra", "suggested")


class Key(NamedTuple):
    """One line of a yaml."""

    name: str
    default: str  # as the yaml writes it
    comment: str


def group(name: str) -> list[str]:
    """The options of a group and their keys; keys that options share make one row."""
    paths = sorted((CONFIGS / name).glob("*.yaml"))
    meanings = {path.stem: cell(described(name, path)) for path in paths}
    if any(meanings.values()):
        lines = ["| option | meaning |", "|---|---|"]
        lines += [f"| `{option}` | {meaning} |" for option, meaning in meanings.items()]
    else:
        lines = ["Options: " + ", ".join(f"`{option}`" for option in meanings) + "."]
    rows: dict[Key, list[str]] = {}
    for path in paths:
        for key in keys(path):
            if key.name not in NAMES:
                rows.setdefault(key, []).append(path.stem)
    if not rows:
        return lines
    lines += ["", "| key | default | meaning | options |", "|---|---|---|---|"]
    order = list(dict.fromkeys(key.name for key in rows))
    for key in sorted(rows, key=lambda key: order.index(key.name)):
        options = "all" if len(rows[key]) == len(paths) else ", ".join(rows[key])
        default = f"`{key.default}`" if "|" not in key.default else cell(key.default)
        lines.append(f"| `{name}.{key.name}` | {default} | {cell(key.comment)} | {options} |")
    return lines


def top() -> list[str]:
    """The keys outside the groups."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    own = [key for key in keys(CONFIGS / "config.yaml") if key.name not in NAMES]
    return lines + [f"| `{key.name}` | `{key.default}` | {cell(key.comment)} |" for key in own]


def studies() -> list[str]:
    """The experiments: what they set, and what they say of themselves."""
    lines = ["| experiment | sweeps | about it |", "|---|---|---|"]
    for path in sorted((CONFIGS / "experiment").glob("*.yaml")):
        swept = yaml.safe_load(path.read_text())["hydra"]["sweeper"]["params"]
        values = "<br>".join(f"`{key}={value}`" for key, value in swept.items())
        lines.append(f"| `{path.stem}` | {values} | {cell(head(path))} |")
    return lines


def keys(path: Path) -> Iterator[Key]:
    """The keys of a yaml with the comments behind them.

    An option that builds on others also has their keys, as far as it does not set them.
    """
    text = path.read_text()
    named: dict[str, Key] = {}
    for key, value in yaml.compose(text).value:
        if key.value == "defaults" and path.parent != CONFIGS:
            for parent in value.value:
                named |= {k.name: k for k in keys(path.with_name(f"{parent.value}.yaml"))}
        default = text[value.start_mark.index : value.end_mark.index].strip()
        behind = text[value.end_mark.index :].partition("\n")[0].strip()
        inherited = named[key.value].comment if key.value in named else ""
        named[key.value] = Key(key.value, default, behind.removeprefix("#").strip() or inherited)
    yield from named.values()


def described(name: str, path: Path) -> str:
    """What an option is: its yaml's words about it, or the first line of its class."""
    own = [key.comment for key in keys(path) if key.name in ("name", "use") and key.comment]
    if own:
        return own[0]
    if head(path) or name not in BASES:
        return head(path)
    return (find(name, path.stem, BASES[name]).__doc__ or "").partition("\n")[0]


def head(path: Path) -> str:
    """The comment lines at the top of a yaml as one line."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("# @package")]
    comment = re.match(r"(?:#[^\n]*\n)*", "\n".join([*lines, ""]))[0]
    return " ".join(line.removeprefix("#").strip() for line in comment.splitlines())


def cell(text: str) -> str:
    """Words as a cell of a table: in it "|" would begin the next one."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def capacities() -> list[str]:
    """Decoder capacity by family and size, with the parameters at 20 latents."""
    lines = [
        "| model | decoder | width | depth | receptive field | parameters (28x28, z 20) |",
        "|---|---|---|---|---|---|",
        *sizes(IMAGES, IMAGE, biases=math.prod(IMAGE)),
    ]
    return [
        *lines,
        "",
        "| model | decoder | width | depth | receptive field | parameters (3,000 words, z 20) |",
        "|---|---|---|---|---|---|",
        *sizes(SEQUENCES, SEQUENCE, biases=SEQUENCE[0]),
    ]


def sizes(names: tuple[str, ...], shape: tuple[int, int, int], *, biases: int) -> list[str]:
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
    lines = ["| data | latent_dim | epochs | lr | small_image | binarise |"]
    lines.append("|---|---|---|---|---|---|")
    for path in sorted((CONFIGS / "data").glob("*.yaml")):
        node = yaml.safe_load(path.read_text())
        suggested = node["suggested"]
        lines.append(
            f"| {node['name']} | {suggested['latent_dim']} | {suggested['epochs']} | "
            f"{float(suggested['lr']):g} | {suggested['small_image'] or '-'} | "
            f"{node.get('binarise', '-')} |"
        )
    return lines


def figures() -> list[str]:
    """The catalogue of figures; lists with a number for each dimension are left out."""
    lines = ["| figure | key in diagnosis.json | meaning | unit |", "|---|---|---|---|"]
    return lines + [
        f"| {cell(figure.title)} | `{figure.path}` | {cell(meaning(figure))} | {figure.unit} |"
        for figure in FIGURES
        if figure.path and figure.sign > 0 and not figure.path.endswith("_per_dim")
    ]


def meaning(figure: Figure) -> str:
    """The meaning of a figure, the better direction and the source, without the unit."""
    return (
        figure.explanation.replace(f" [{figure.unit}]", "") if figure.unit else figure.explanation
    )


TABLES = {
    "capacities": capacities,
    "figures": figures,
    "suggested": data_sets,
    "top": top,
    "experiment": studies,
}


def filled(text: str) -> str:
    """The page's text with every generated table made anew.

    `<!-- NAME: ... -->` begins a table, `<!-- end -->` ends it; NAME: one of TABLES, or a group.
    """

    def made(match: re.Match[str]) -> str:
        name = match[2]
        lines = TABLES[name]() if name in TABLES else group(name)
        return "\n".join([match[1], *lines, "<!-- end -->"])

    return re.sub(r"(<!-- (\w+): [^>]*-->)\n.*?<!-- end -->", made, text, flags=re.DOTALL)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page.read_text()))
