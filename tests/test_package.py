"""The wheel, installed elsewhere, runs from another directory."""

import email
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import vaecli

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
        cwd=folder,
        timeout=240,
    )
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_every_config_of_the_checkout(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    configs = {p.relative_to(ROOT / "configs") for p in (ROOT / "configs").rglob("*.yaml")}
    assert {f"vaecli/configs/{path}" for path in configs} <= names


def test_the_wheel_holds_every_template_of_the_pages(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    templates = list((ROOT / "vaecli/reporting/templates").iterdir())
    assert {"report.html", "comparison.html", "page.css"} <= {path.name for path in templates}
    assert {f"vaecli/reporting/templates/{path.name}" for path in templates} <= names


def test_the_wheel_says_what_it_is_and_that_it_is_typed(wheel):
    archive = zipfile.ZipFile(wheel)
    (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(archive.read(name))
    assert metadata["Name"] == "vaecli"
    assert metadata["Version"] == vaecli.__version__
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Author"] == "The vaecli authors"
    assert "# vaecli" in metadata.get_payload()
    assert "Typing :: Typed" in metadata.get_all("Classifier")
    assert "vaecli/py.typed" in archive.namelist()


def test_the_installed_wheel_trains_from_another_directory(wheel, tmp_path):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)  # what installing a pure wheel does to its modules
    code = (
        "import vaecli, vaecli.config.compose, vaecli.train; "
        f"assert vaecli.__file__.startswith({str(site)!r}); "
        "assert vaecli.config.compose.CONFIGS.parent.name == 'vaecli'; vaecli.train.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "trainer.max_steps=2", "diagnosis=quick"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    for name in ("diagnosis.json", "report.html"):
        assert len(list((tmp_path / "outputs").rglob(name))) == 1
