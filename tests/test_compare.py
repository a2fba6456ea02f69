"""The door `vae-compare`: which runs it takes, what it prints, where it writes."""

import csv
import io
import subprocess
import sys

import doors
import pytest
from made_runs import make_run


@pytest.fixture
def compare(capsys, tmp_path, monkeypatch):
    """Run the door in `tmp_path`: its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        code = doors.compare(arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def make_sweep(directory, **more):
    return [
        make_run(directory / f"{n}_beta", f"schedule.beta={beta}", "seed=0", rate=rate, **more)
        for n, (beta, rate) in enumerate([(1, 2.0), (4, 0.5)])
    ]


FILES = ["comparison.csv", "comparison.html", "comparison.md"]


def test_a_sweep_gets_its_comparison_beside_its_runs(compare, tmp_path):
    make_sweep(tmp_path / "sweep")
    code, out, _ = compare("sweep")
    assert code == 0
    assert "schedule.beta" in out
    assert sorted(p.name for p in (tmp_path / "sweep").iterdir() if p.is_file()) == FILES


def test_several_directories_or_one_run_get_a_place_of_their_own(compare, tmp_path):
    make_sweep(tmp_path / "a")
    make_sweep(tmp_path / "b")
    for arguments in (("a", "b"), ("a/0_beta",)):
        code, out, _ = compare(*arguments)
        assert code == 0
        page = tmp_path / out.split()[-1]
        assert page.parent.parent.parent == tmp_path / "outputs" / "compare"
        assert sorted(p.name for p in page.parent.iterdir()) == FILES
        assert not (tmp_path / "a" / "comparison.csv").exists()
        assert not (tmp_path / "a" / "0_beta" / "comparison.csv").exists()


def test_out_says_where(compare, tmp_path):
    make_sweep(tmp_path / "a")
    assert compare("a", "--out", "there/deep")[0] == 0
    assert sorted(p.name for p in (tmp_path / "there/deep").iterdir()) == FILES
    assert not (tmp_path / "a" / "comparison.csv").exists()


def test_runs_at_any_depth_and_named_twice_count_once(compare, tmp_path):
    make_sweep(tmp_path / "outputs/multirun/2026-11-22/10-15-00")
    make_run(tmp_path / "outputs/2026-11-22/11-00-00", "schedule.beta=9")
    code, out, _ = compare("outputs", "outputs/2026-11-22", "--format", "csv")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert sorted(row["schedule.beta"] for row in rows) == ["1", "4", "9"]


@pytest.mark.parametrize(
    ("kind", "begins"),
    [
        ("csv", "schedule.beta,seed,"),
        ("md", "# Comparison of a"),
        ("html", "<!DOCTYPE html>"),
        ("latex", "% needs"),
    ],
)
def test_a_format_is_printed_and_nothing_is_written(compare, tmp_path, kind, begins):
    make_sweep(tmp_path / "a")
    before = sorted(tmp_path.rglob("*"))
    code, out, err = compare("a", "--format", kind)
    assert (code, err) == (0, "")
    assert out.startswith(begins)
    assert sorted(tmp_path.rglob("*")) == before


def test_rows_are_in_the_order_that_was_asked(compare, tmp_path):
    make_sweep(tmp_path / "a")
    for key, wanted in (("rate", ["4", "1"]), ("-rate", ["1", "4"]), ("seed", ["1", "4"])):
        out = compare("a", "--format", "csv", f"--sort={key}")[1]
        assert [row["schedule.beta"] for row in csv.DictReader(io.StringIO(out))] == wanted


def test_a_damaged_run_is_a_row_and_not_a_traceback(compare, tmp_path):
    made = make_sweep(tmp_path / "a")
    for path in made[1].iterdir():
        path.write_bytes(b"\x00\xff{[")
    code, out, err = compare("a")
    assert (code, err) == (0, "")
    assert "unreadable: summary.json is missing or damaged" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere",), "does not exist"),
        (("file",), "is no directory"),
        (("empty",), "holds no run"),
        (("a", "empty"), "holds no run"),
        (("a", "--sort", "tuesday"), "no swept key and no figure"),
        (("a", "--format", "csv", "--out", "b"), "of no use with --format"),
        (("a", "--format", "pdf"), "invalid choice"),
        (("a", "--out", "file"), "cannot be written"),
        ((), "required"),
    ],
)
def test_wrong_use_ends_with_2_in_three_lines_and_leaves_nothing(
    compare, tmp_path, arguments, words
):
    make_sweep(tmp_path / "a")
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    code, _, err = compare(*arguments)
    assert code == 2
    assert words in err
    assert len(err.strip().splitlines()) <= 3
    assert sorted(tmp_path.rglob("*")) == before


def test_help_needs_neither_torch_nor_matplotlib(tmp_path):
    make_sweep(tmp_path / "a")
    for arguments in (["--help"], ["a", "--format", "csv"]):
        asked = (
            "import sys, doors\n"
            f"assert doors.compare({arguments!r}) == 0\n"
            "assert not {'torch', 'matplotlib', 'hydra'} & set(sys.modules)\n"
        )
        ran = subprocess.run(
            [sys.executable, "-c", asked],
            cwd=tmp_path,
            timeout=120,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout
