"""README.md: short, and in agreement with the package."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_readme_has_at_most_150_lines():
    assert len(TEXT.splitlines()) <= 150


@pytest.mark.parametrize("strategy", sorted((ROOT / "configs" / "strategy").glob("*.yaml")))
def test_every_mitigation_has_a_row(strategy):
    assert f"\n| `{strategy.stem}` |" in TEXT


def test_the_contents_name_every_section():
    sections = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
    contents = re.search(r"\*\*Contents\*\*:(.*?)\n\n", TEXT, re.DOTALL)[1]
    links = re.findall(r"\[([^\]]+)\]", contents)
    assert [link.lower() for link in links] == [section.lower() for section in sections]


def test_the_badge_and_the_text_name_the_pythons_of_the_package():
    classified = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if "Python :: 3." in c]
    badge = (ROOT / "docs" / "pictures" / "python.svg").read_text()
    assert re.findall(r"3\.\d+", re.search(r"<title>(.*)</title>", badge)[1]) == classified
    assert f"Python {classified[0]} to {classified[-1]}" in TEXT
    licence = (ROOT / "docs" / "pictures" / "licence.svg").read_text()
    assert f"licence: {PROJECT['license']}" in licence


def test_an_environment_with_its_own_torch_gets_every_other_dependency():
    command = re.search(r'^pip install "hydra.*?^```', TEXT, re.MULTILINE | re.DOTALL)[0]
    others = [d for d in PROJECT["dependencies"] if not d.startswith("torch")]
    assert re.findall(r'"([^"]+)"', command) == others
    torch = next(d for d in PROJECT["dependencies"] if d.startswith("torch>="))
    assert f"({torch.removeprefix('torch>=')} or later" in TEXT


@pytest.mark.slow
def test_the_output_shown_is_that_of_the_first_command(train):
    """But for its figures, of which the last digits are this machine's."""
    shown = re.search(r"^```text\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)[1]
    ran = train("schedule.beta=4")
    lines = {without_figures(line) for line in ran.out.splitlines()}
    for line in filter(None, shown.splitlines()):
        assert without_figures(line) in lines, line


def without_figures(line):
    return re.sub(r" *-?\d+(\.\d+)?", " #", line)
