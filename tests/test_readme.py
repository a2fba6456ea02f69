"""The README says what the code does."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text()


def test_generated_tables_are_up_to_date():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import readme_tables
    finally:
        sys.path.pop(0)
    assert TEXT.count("<!-- end -->") == len(readme_tables.TABLES)
    assert readme_tables.filled(TEXT) == TEXT


@pytest.mark.parametrize("group", ["data", "model", "schedule", "strategy", "likelihood"])
def test_every_option_of_a_group_is_named(group):
    for path in (ROOT / "configs" / group).glob("*.yaml"):
        assert f"`{path.stem}`" in TEXT, f"{group}={path.stem}"


def test_every_picture_exists():
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", TEXT)
    assert pictures
    for picture in pictures:
        assert (ROOT / picture).is_file()


def test_the_own_strategy_of_the_readme_is_the_one_that_is_tested():
    from test_extend import STRATEGY

    block = re.search(r"```python\n(# rate_target\.py.*?)```", TEXT, re.DOTALL)[1]
    assert STRATEGY.strip() in block


def test_nothing_is_left_to_be_filled_in():
    assert not re.findall(r"[A-Z]+_(?:TEXT|TABLE)", TEXT)
