"""Commands, links and pictures of README.md and docs/: what they show can be typed and found.

A plain fence (three backticks without a language) holds commands, and each of its lines is checked;
output stands in a fence called text. Commands in single backticks are checked as well. Nothing is
trained: what vae-train would run is composed and read, the other doors parse their arguments, and
data, runs and clusters need not exist. Words in capitals (DIR, FILE) are places to fill in.
"""

import re
import shlex
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from vaecli.compare import _parser as compare_parser
from vaecli.config.arguments import key_of, split
from vaecli.config.schema import read
from vaecli.diagnose import _parser as diagnose_parser

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / "configs"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
GENERATED = "bad_inputs.md"  # of commands that are wrong; tests/test_bad_input.py holds it
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUN_DIRECTORY = re.compile(r"outputs(/multirun)?(/[\d-]{10}(/[\d-]+)?|/DATE/TIME)?|RUN|SWEEP|DIR")
PATTERNS = ("group=option", "group.key=value")  # of settings, in place of one
# What only an engine for sweeps, not installed here, understands.
LAUNCHER = ("hydra/launcher", "hydra.launcher")


def fences(page, language=""):
    return [text for name, text in FENCE.findall(page.read_text()) if name == language]


def spans(page):
    """What stands in single backticks, on one line or over two."""
    text = FENCE.sub("", page.read_text())
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)]


def commands(page):
    """Every command of a page: the lines of plain fences, and spans that begin with a program."""
    lines = "\n".join(fences(page)).replace("\\\n", " ").splitlines()
    lines += [span for span in spans(page) if span.partition(" ")[0] in CHECKS and " " in span]
    return list(dict.fromkeys(line.strip() for line in lines if line.strip()))


@cache
def check(command):
    """Raise or fail if `command` could not be typed."""
    program, *arguments = shlex.split(command, comments=True)
    assert program in CHECKS, f"{program} is no program of these pages"
    CHECKS[program](arguments)


def check_composed(arguments):
    arguments = [a for a in arguments if not key_of(a).startswith(LAUNCHER)]
    if any(a.startswith("--help") for a in arguments):
        return
    if "--cfg" in arguments:
        flag = arguments.index("--cfg")
        arguments = arguments[:flag] + arguments[flag + 2 :]
    resumed = [a.partition("=")[2] for a in arguments if a.startswith("resume=")]
    if resumed:
        assert all(RUN_DIRECTORY.fullmatch(path) for path in resumed), resumed
        return check_keys([a for a in arguments if not a.startswith("resume=")])
    # A file of one's own may be missing: the option it would hold is taken out.
    flags, overrides = split(arguments)
    if "--config-dir" in flags:
        names = re.findall(r"extend=\[(\w+)\]", " ".join(overrides))
        overrides = [o for o in overrides if not any(name in o for name in names)]
        flags = []
    for run in runs(flags, overrides):
        config = compose("config", overrides=run)
        if config.sweep.inside:
            check_composed(["-m", *shlex.split(config.sweep.inside)])
            config.sweep.inside = None
        read(config)


@pytest.fixture
def _hydra():
    """One copy of the yamls in memory for all commands of a test."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        yield


def runs(flags, overrides):
    """Overrides of single runs in which each value of a sweep occurs once: far fewer than all.

    What an experiment sweeps by itself is left out: tests/test_combinations.py runs it.
    """
    if "-m" not in flags:
        return [overrides]
    columns = [
        [f"{o.key_or_group}={value}" for value in o.sweep_string_iterator()]
        if o.is_sweep_override()
        else [o.input_line]
        for o in OverridesParser.create().parse_overrides(overrides)
    ]
    return [
        [column[number % len(column)] for column in columns]
        for number in range(max(map(len, columns)))
    ]


def check_diagnose(arguments):
    options = diagnose_parser().parse_intermixed_args(arguments)
    settings = [item for item in options.what if "=" in item]
    check_keys(settings)
    if options.model:
        assert options.data in stems("data")
    else:
        (path,) = (Path(item) for item in options.what if "=" not in item)
        weights = path.suffix == ".pt" and path.parent.name == "checkpoints"
        assert RUN_DIRECTORY.fullmatch(str(path.parent.parent if weights else path))


def check_compare(arguments):
    for path in compare_parser().parse_args(arguments).directories:
        assert RUN_DIRECTORY.fullmatch(str(path).removesuffix("...")), path


def check_make(arguments):
    makefile = (ROOT / "Makefile").read_text()
    targets = [a for a in arguments if "=" not in a]
    assert targets
    for target in targets:
        assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), target
    for variable in (a.partition("=")[0] for a in arguments if "=" in a):
        assert re.search(rf"^{variable} \?=", makefile, re.MULTILINE), variable


def check_python(arguments):
    if arguments == ["-m", "venv", ".venv"]:
        return
    script = ROOT / arguments[0]
    assert script.is_file(), script
    for flag in (a for a in arguments if a.startswith("--")):
        assert f'"{flag}"' in script.read_text(), flag


def check_pip(arguments):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    command, *arguments = arguments
    assert command == "install"
    while "-c" in arguments:
        where = arguments.index("-c")
        assert (ROOT / arguments[where + 1]).is_file()
        del arguments[where : where + 2]
    for argument in arguments:
        extra = re.fullmatch(r"vaecli\[(\w+)\]", argument)
        if extra:
            assert extra[1] in project["optional-dependencies"]
        elif argument not in (".", "-e", "--no-deps"):
            assert argument in project["dependencies"]


def check_tensorboard(arguments):
    flag, directory = arguments
    assert flag == "--logdir"
    assert RUN_DIRECTORY.fullmatch(directory)


def check_source(arguments):
    assert arguments == [".venv/bin/activate"]


def check_pre_commit(arguments):
    assert arguments == ["install"]


def check_docker(arguments):
    if arguments[0] == "build":
        assert arguments == ["build", "-t", "vaecli", "."]
        assert (ROOT / "Dockerfile").is_file()
    else:
        assert arguments[:3] == ["run", "--rm", "vaecli"]
        check_composed(arguments[3:])


CHECKS = {
    "vae-train": check_composed,
    "vae-predict": check_composed,
    "vae-diagnose": check_diagnose,
    "vae-compare": check_compare,
    "make": check_make,
    "python": check_python,
    "python3": check_python,
    "pip": check_pip,
    "tensorboard": check_tensorboard,
    "source": check_source,
    "pre-commit": check_pre_commit,
    "docker": check_docker,
}


def stems(group):
    return {path.stem for path in (CONFIGS / group).glob("*.yaml")}


@cache
def known_keys():
    """Every key of every option, and the groups themselves."""
    keys = set(yaml.safe_load((CONFIGS / "config.yaml").read_text()))
    for path in CONFIGS.glob("*/*.yaml"):
        group = path.parent.name
        keys |= {group} | {f"{group}.{key}" for key in yaml.safe_load(path.read_text())}
    return keys


def check_keys(overrides):
    """Fail for an override whose key no option has, or whose option is not there."""
    for override in overrides:
        key, _, value = override.partition("=")
        if key_of(key).startswith((*LAUNCHER, "hydra.")):
            continue
        assert key in known_keys(), override
        if (CONFIGS / key).is_dir():
            for option in value.strip("[]").split(","):
                assert option in stems(key), override


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.usefixtures("_hydra")
def test_every_command_of_a_page_can_be_typed(page):
    for command in commands(page):
        try:
            check(command)
        except Exception as error:
            raise AssertionError(f"{page.name}: {command}") from error


@pytest.mark.parametrize(
    "command",
    [
        "vae-train schedule.betta=4",
        "vae-train -m schedule.beta=1,2 strategy=free_byts",
        "vae-train strategy=free_bits strategy.free_nats=-1",
        "vae-train -m model=mlp,cnn \"sweep.inside='schedule.betta=1,2'\"",
        "vae-train resume=outputs/2026-11-22/10-15-00-123456 trainer.speed=2",
        "vae-train resume=somewhere",
        "vae-predict data=mnst",
        "vae-diagnose RUN --splitt val",
        "vae-diagnose --model mymodel:load --data nzp",
        "vae-compare RUN --format pdf",
        "make everything",
        "make studies DATUM=DIR",
        "python benchmarks/nothing.py",
        "python benchmarks/ppca.py --speed 2",
        "pip install vaecli[moon]",
        "docker run --rm vaecli schedule.betta=4",
        "conda install vaecli",
    ],
)
@pytest.mark.usefixtures("_hydra")
def test_a_command_that_cannot_be_typed_is_noticed(command):
    with pytest.raises((Exception, SystemExit)):
        check(command)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_a_page_names_exists(page):
    if page.name == GENERATED:
        return
    setting = r"[a-z][a-z_]*(\.[a-z_]+)*=[^\s=]+"
    for span in spans(page):
        if span not in PATTERNS and re.fullmatch(rf"{setting}( {setting})*", span):
            check_keys(span.split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        name, _, anchor = link.partition("#")
        assert "://" not in name, f"{link}: pages can be read without a network"
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def anchors(page):
    """The headings of a page as its host makes anchors of them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def test_every_picture_is_shown_and_small():
    shown = {
        (page.parent / link).resolve()
        for page in PAGES
        for link in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text())
    }
    assert shown == set((ROOT / "docs" / "pictures").iterdir())
    assert all(picture.stat().st_size < 150_000 for picture in shown)


def test_every_page_is_linked_from_the_readme():
    readme = (ROOT / "README.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert f"](docs/{page.name}" in readme, page.name


def test_generated_tables_are_up_to_date(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "scripts"))
    import tables

    for page in tables.PAGES:
        text = page.read_text()
        assert text.count("<!-- end -->") == len(re.findall(r"<!-- \w+: generated", text)) > 0
        assert tables.filled(text) == text


def test_every_option_and_every_key_is_on_the_page_of_options():
    text = (ROOT / "docs" / "options.md").read_text()
    for path in CONFIGS.glob("*/*.yaml"):
        assert f"`{path.stem}`" in text, path
        if path.parent.name != "experiment":
            for key in yaml.safe_load(path.read_text()).keys() - {"name", "use", "defaults"}:
                named = "small_image" if key == "suggested" else f"`{path.parent.name}.{key}`"
                assert named in text, named


def test_the_keys_of_the_mitigations_have_the_defaults_that_the_table_says():
    rows = re.findall(r"^\| `(\w+)` \| [^|]* \| [^|]* ?\| ([^|]*)\|$", studies(), re.MULTILINE)
    assert {name for name, _ in rows} == stems("strategy")
    for name, cell in rows:
        node = yaml.safe_load((CONFIGS / "strategy" / f"{name}.yaml").read_text())
        told = dict(re.findall(r"`(\w+)` \(`?([\w.]+)`?", cell))
        assert told.keys() == node.keys() - {"use"}, name
        for key, value in told.items():
            assert yaml.safe_load(value) == node[key], key


def studies():
    return (ROOT / "docs" / "studies.md").read_text()


def test_the_own_strategy_of_the_page_is_the_one_that_is_tested():
    from test_extend import STRATEGY

    (block,) = (b for b in fences(ROOT / "docs" / "own.md", "python") if "RateTarget" in b)
    assert STRATEGY.strip() in block


@pytest.mark.parametrize("page", ["README.md", "docs/own.md"])
def test_the_python_of_a_page_runs(page, train, smoke, capsys):
    import torch

    from vaecli import load_run

    assert train(*smoke).code == 0
    vae, _, _ = load_run("run")
    block = fences(ROOT / page, "python")[0]
    block = re.sub(r'"outputs/[\d/-]+"', '"run"', block).replace('"cuda"', '"cpu"')
    named = {"model": vae, "data_loader": [torch.zeros(4, 1, 8, 8), torch.ones(4, 1, 8, 8)]}
    exec(compile(block, page, "exec"), named)
    assert named["diagnosis"]["status"] in capsys.readouterr().out
    assert named["data"].name == "digits"


def test_nothing_is_left_to_be_filled_in():
    for page in PAGES:
        assert not re.findall(r"[A-Z]+_(?:TEXT|TABLE)|TODO|FIXME", page.read_text()), page.name
