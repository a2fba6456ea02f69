"""A figure costs its function and its entry, and is then found on every page."""

import csv

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vaecli.diagnosis import figures
from vaecli.diagnosis.figures import Figure
from vaecli.evaluation import measures


def largest_share(encoded, prior):
    """The share of the rate that the dimension with the largest KL carries."""
    kl = encoded.kl_per_dim.double().mean(0)
    return (kl.max() / kl.sum()).item()


ENTRY = Figure(
    "largest_share",
    "Largest share",
    "share of the rate in a single dimension",
    key="largest_share",
    short="share",
    rank=figures.ALWAYS,
    shown_in=("tile", "curve", "final", "latex"),
)


@pytest.fixture
def new_figure(monkeypatch):
    monkeypatch.setattr(measures, "MEASURES", [*measures.MEASURES, largest_share])
    monkeypatch.setattr(figures, "FIGURES", (*figures.FIGURES, ENTRY))


def test_a_new_figure_is_found_in_every_file_and_on_every_page(new_figure, train, tmp_path, smoke):
    sweep = tmp_path / "sweep"
    ran = train("-m", "schedule.beta=0.5,1", *smoke, f"hydra.sweep.dir={sweep}", directory=None)
    assert ran.code == 0, ran.err
    run = next(sweep.glob("0_*"))
    share = ran._replace(directory=run).json("diagnosis.json")["largest_share"]
    assert 0.1 <= share <= 1
    assert ran._replace(directory=run).json("summary.json")["largest_share"] == share
    assert all("largest_share" in row for row in ran._replace(directory=run).rows)
    report = (run / "report.html").read_text()
    assert report.count("Largest share") == 2  # a tile, and a row with its meaning
    assert "share of the rate in a single dimension" in report
    assert "share" in ran.out.split("status")[1].splitlines()[0].split()  # the console's table
    rows = list(csv.DictReader((sweep / "comparison.csv").read_text().splitlines()))
    assert float(rows[0]["largest_share"]) == share
    for name in ("comparison.html", "comparison.md"):
        assert "Largest share" in (sweep / name).read_text()
    events = EventAccumulator(str(run / "tensorboard")).Reload()
    assert {"val/largest_share", "final/largest_share"} <= set(events.Tags()["scalars"])


def test_every_entry_is_unique_and_names_rooms_that_exist():
    keys = [figure.key for figure in figures.FIGURES if figure.key]
    assert len(set(keys)) == len(keys)
    groups = {figure.place[0] for figure in figures.FIGURES if len(figure.place) > 1}
    assert groups <= set(figures.GROUPS)
    shown = {where for figure in figures.FIGURES for where in figure.shown_in}
    assert shown == {"tile", "curve", "final", "latex"}


def test_the_catalogue_is_read_without_torch():
    import subprocess
    import sys

    code = "import sys, vaecli.diagnosis.figures; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
