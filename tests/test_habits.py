"""Files for contributors and their hosts: they parse, and agree with the package."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import vaecli

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
JOBS = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]


def commands(job):
    return [step["run"] for step in job["steps"] if "run" in step]


def test_the_workflow_runs_the_script_of_ci_and_nothing_else():
    assert commands(JOBS["run"]) == [".ci/run"]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_the_weekly_job_runs_a_target_that_exists():
    (command,) = commands(JOBS["all"])
    assert f"\n{command.removeprefix('make ')}:" in (ROOT / "Makefile").read_text()


def test_every_job_ends_and_has_a_python_that_the_package_allows():
    classified = {c.rpartition(" ")[2] for c in PROJECT["classifiers"] if "Python :: 3." in c}
    assert set(JOBS["run"]["strategy"]["matrix"]["python"]) <= classified
    for job in JOBS.values():
        assert job["timeout-minutes"] <= 180


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_a_form_has_fields_with_names_of_their_own_and_asks_for_something(form):
    content = yaml.safe_load(form.read_text())
    assert {"name", "description", "body"} <= content.keys()
    fields = [field for field in content["body"] if field["type"] != "markdown"]
    names = [field["id"] for field in fields]
    assert len(set(names)) == len(names)
    assert all(field["attributes"]["label"] for field in fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_every_page_that_a_form_names_exists(form):
    for page in re.findall(r"`(docs/[^`]+)`", form.read_text()):
        assert (ROOT / page).is_file(), page


def test_pre_commit_has_the_ruff_of_the_constraints():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (ruff,) = (repo for repo in config["repos"] if "ruff" in repo["repo"])
    assert f"\nruff=={ruff['rev'].removeprefix('v')}\n" in (ROOT / "constraints.txt").read_text()


def test_the_citation_names_this_version_its_licence_and_its_authors():
    assert CITATION["version"] == vaecli.__version__ == PROJECT["version"]
    assert CITATION["license"] == PROJECT["license"]
    authors = [author["name"] for author in CITATION["authors"]]
    assert authors == [author["name"] for author in PROJECT["authors"]]
    assert authors[0] in (ROOT / "LICENSE").read_text()


def test_the_image_is_built_from_files_that_docker_is_given():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    given = [line.removeprefix("!") for line in lines if line.startswith("!")]
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    names = " ".join(copied).split()
    assert sorted(names) == sorted(given)
    assert all((ROOT / name).exists() for name in names)


def test_the_image_trains_by_a_command_of_the_package():
    (command,) = re.findall(r'^ENTRYPOINT \["(.+)"\]$', (ROOT / "Dockerfile").read_text(), re.M)
    assert command in PROJECT["scripts"]
