"""The page of a comparison: what it shows, that nothing in it comes alive, which plots it gets."""

import base64
import itertools
import json
import random
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from made_runs import PREDICTION, make_run

from vaecli.core.errors import UsageError
from vaecli.reporting.comparison.groups import collect
from vaecli.reporting.comparison.page import comparison_html, write_comparison
from vaecli.reporting.comparison.plots.beta_plots import active_against_beta, column_of
from vaecli.reporting.comparison.plots.choice import choose
from vaecli.reporting.comparison.plots.parts import BetaAxis, fold_label
from vaecli.reporting.comparison.plots.tradeoff_plots import frontier, rate_distortion_plane
from vaecli.reporting.comparison.predicted import TheoryCurve, predictions
from vaecli.reporting.page.rows import leaf_rows

HOSTILE = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)>&amp;"


@pytest.fixture
def sweep(tmp_path):
    """Makes a run of a sweep for each tuple of typed keys."""
    made = []

    def add(*typed, **more):
        made.append(make_run(tmp_path / "sweep" / str(len(made)), *typed, **more))
        return made

    return add


class Page(HTMLParser):
    """Elements, their attributes and the text of a page."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.words = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def plots_of(made):
    return {plot.name: plot for plot in choose(collect(made))}


# ---------------------------------------------------------------------- the page


def test_nothing_from_a_run_comes_alive_on_the_page(sweep, tmp_path):
    sweep("strategy=none")
    sweep(f"strategy={json.dumps(HOSTILE)}", status=HOSTILE)
    made = sweep("strategy=none", "seed=1", state=HOSTILE, reason=HOSTILE)
    page = Page(comparison_html(collect(made), tmp_path, HOSTILE))
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "link", "iframe", "object"})
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        if tag == "img":
            assert attributes["src"].startswith("data:image/png;base64,")
    assert HOSTILE in page.text  # it is shown, as text


def test_the_page_asks_no_host_for_anything(sweep, tmp_path):
    made = sweep("schedule.beta=1")
    page = comparison_html(collect(made), tmp_path, "x")
    assert not re.search(
        r"(src|href)=\"(?!data:|\./)|@import|url\(|//", re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)
    )


def test_links_lead_to_the_reports_that_exist(tmp_path):
    odd = make_run(tmp_path / "s" / "0_a b#c?d%e,ü'\"<", "schedule.beta=1")
    plain = make_run(tmp_path / "s" / "1", "schedule.beta=2")
    (plain / "report.html").unlink()
    out = tmp_path / "elsewhere" / "deep"
    page = Page(write_comparison(collect([odd, plain]), out, "x").read_text())
    (target,) = {a["href"] for tag, a in page.elements if tag == "a"}
    assert (out / unquote(target)).resolve() == odd / "report.html"
    assert not set(target) & set(" #?\"'<")


def test_both_tables_are_there_with_seeds_and_one_without(sweep, tmp_path):
    sweep("schedule.beta=1", "seed=0", rate=1.0)
    made = sweep("schedule.beta=2", "seed=0")
    page = Page(comparison_html(collect(made), tmp_path, "x"))
    assert [tag for tag, _ in page.elements].count("table") == 1
    made = sweep("schedule.beta=1", "seed=1", rate=3.0)
    page = Page(comparison_html(collect(made), tmp_path, "x"))
    assert [tag for tag, _ in page.elements].count("table") == 2
    assert "2.00 ± 1.41" in page.text
    assert "1.00" in page.text
    assert "3.00" in page.text


def test_runs_that_did_not_finish_are_rows_with_their_reason(sweep, tmp_path):
    sweep("schedule.beta=1")
    made = sweep("schedule.beta=2", state="diverged", reason="the distortion is nan at step 12")
    page = Page(comparison_html(collect(made), tmp_path, "x")).text
    assert "Did not finish: 1 of 2" in page
    assert page.count("the distortion is nan at step 12") == 2  # in the list, in its row
    assert "beta=2: diverged" in page
    assert "1 finished, 1 diverged" in page


@pytest.mark.parametrize("states", [[], ["failed"], ["pending", "interrupted"]])
def test_there_is_a_page_though_no_run_finished(sweep, tmp_path, states):
    made = []
    for state in states:
        made = sweep(f"schedule.beta={len(made)}", state=state, reason="because")
    page = write_comparison(collect(made), tmp_path, "nothing yet")
    assert "nothing yet" in page.read_text()
    assert choose(collect(made)) == []


def test_all_three_files_are_written_whole_and_nothing_else(sweep, tmp_path):
    out = tmp_path / "out"
    page = write_comparison(collect(sweep("schedule.beta=1")), out, "x")
    assert page == out / "comparison.html"
    names = {"comparison.csv", "comparison.html", "comparison.md"}
    assert {path.name for path in out.iterdir()} == names
    before = page.read_bytes()
    write_comparison(collect(sweep("schedule.beta=2")), out, "x")
    assert page.read_bytes() != before
    assert {path.name for path in out.iterdir()} == names


def test_a_directory_that_cannot_be_written_is_refused_by_its_name(sweep, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"file.*cannot be written"):
        write_comparison(collect(sweep("schedule.beta=1")), tmp_path / "file", "x")


# ---------------------------------------------------------------------- which plots


def test_plots_follow_from_what_was_swept(sweep):
    made = sweep("seed=0")
    always = {"rate_distortion_1", "kl_over_training"}
    assert set(plots_of(made)) == always
    made = sweep("schedule.beta=4")
    beta = {"active_against_beta", "kl_against_beta"}
    assert set(plots_of(made)) == always | beta
    made = sweep("schedule.beta=4", "strategy=free_bits")
    made = sweep("schedule.beta=1", "strategy=free_bits")
    ranked = {"ranked_1", "ranked_2"}  # one for each beta
    assert set(plots_of(made)) == always | beta | ranked | {"phase_diagram"}
    made = sweep("model.latent_dim=2", total_dimensions=2, active_dimensions=2)
    assert "active_against_latent_dim" in plots_of(made)


def test_decoders_are_compared_but_not_ranked_as_strategies(sweep):
    sweep("decoder=small")
    made = sweep("decoder=large")
    assert "ranked_1" not in plots_of(made)


def test_schedules_are_ranked(sweep):
    sweep("schedule=constant")
    made = sweep("schedule=cyclical")
    assert "different goals" in plots_of(made)["ranked_1"].caption


def test_data_sets_have_planes_of_their_own(sweep):
    sweep("data=digits")
    made = sweep("data=mnist")
    titles = [plot.title for name, plot in plots_of(made).items() if "rate_distortion" in name]
    assert titles == ["Rate and distortion: data digits", "Rate and distortion: data mnist"]


def test_the_caption_says_why_a_curve_is_missing(sweep):
    sweep("schedule.beta=1")
    made = sweep("schedule.beta=2")
    assert "prediction" not in plots_of(made)["active_against_beta"].caption
    made = sweep("schedule.beta=3", prediction=None)
    caption = plots_of(made)["active_against_beta"].caption
    assert "One of the runs has no prediction: theory is silent on autoregressive" in caption


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_caption_of_a_heat_map_of_means_says_what_grey_does_not(sweep, seeds):
    for beta in (1, 4):
        for seed in range(seeds):
            made = sweep(f"schedule.beta={beta}", f"seed={seed}")
    plot = plots_of(made)["kl_against_beta"]
    assert ("one seed may still use a dimension" in plot.caption) is (seeds > 1)
    assert ("(mean over seeds)" in plot.draw().get_suptitle()) is (seeds > 1)


def test_the_legend_defines_the_frontier_as_it_is_drawn(sweep):
    sweep("strategy=none", rate=1.0, distortion=20.0)
    made = sweep("strategy=free_bits", rate=2.0, distortion=19.0)
    comparison = collect(made)
    drawn = rate_distortion_plane(comparison, list(comparison.settings), "")
    labels = drawn.axes[0].get_legend_handles_labels()[1]
    assert "frontier: no run is as good in both and better in one" in labels


@pytest.mark.parametrize(
    "label",
    [
        "strategy=aggressive+committed_rate, latent_dim=10",
        "a-long-hyphenated-word it is",
        "one two three four five six seven eight nine ten eleven twelve",
    ],
)
def test_a_title_breaks_between_words_only(label):
    words = fold_label(label, 24, longest=36).removesuffix(" …").split()
    assert words == label.split()[: len(words)]
    assert len(fold_label(label, 24, longest=36).splitlines()) <= 2


def test_every_plot_can_be_drawn_of_anything(sweep):
    """NaN, zeros, one point, long and strange labels, 3 swept keys, more lines than colours."""
    strange = ["_hidden $x^2$", "日本" * 40, "a\nb", *(f"s{n}" for n in range(9))]
    for n, name in enumerate(strange):
        for beta in (0, 1e-3, 4):
            sweep(
                f"schedule.beta={beta}",
                "seed=0",
                config={"strategy": name},
                active_dimensions=None if n == 1 else n % 5,
                rate=float(n) or float("nan"),
                distortion=20.0,
                mutual_information=None,
            )
    made = sweep("schedule.beta=4", "model.latent_dim=7", "decoder=large", total_dimensions=7)
    made = sweep("schedule.beta=1", "model.latent_dim=7", "decoder=large", active_dimensions=0)
    (made[0] / "diagnosis.json").write_text('{"kl_per_dim": ["x", null], "prediction": [1]}')
    (made[1] / "metrics.jsonl").write_text('{"kl_per_dim": ["x"]}\n{"epoch": "1"}\n[]\n')
    plots = choose(collect(made))
    assert len(plots) >= 5
    for plot in plots:
        assert base64.b64decode(plot.png()).startswith(b"\x89PNG"), plot.name


def test_two_hundred_runs_make_a_page_of_a_few_plots(sweep, tmp_path):
    for beta, seed in itertools.product(range(1, 41), range(5)):
        made = sweep(f"schedule.beta={beta}", f"seed={seed}", rate=1.0 / beta)
    page = Page(comparison_html(collect(made), tmp_path, "x"))
    assert [tag for tag, _ in page.elements].count("img") == 4
    assert "Settings not drawn, for want of room or of a history: 28" in page.text  # 40 - 12


# ---------------------------------------------------------------------- what they draw


def test_the_frontier_is_that_of_the_definition():
    draw = random.Random(0)
    for _ in range(200):
        points = [(draw.randint(0, 9), draw.randint(0, 9)) for _ in range(draw.randint(1, 12))]
        best = {
            p for p in points if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points)
        }
        assert frontier(points) == sorted(best)


@pytest.mark.parametrize("latent_dim", [1, 2, 4])
def test_the_predicted_curve_counts_the_directions_above_beta(latent_dim):
    directions = tuple(PREDICTION["direction_betas"])
    curve = TheoryCurve("", 4.0, latent_dim, directions[:latent_dim], None)
    corners = curve.steps(0.1, 10.0)
    for beta in (0.1, 0.49, 0.5, 1.0, 1.5, 1.99, 2.0, 3.9, 4.0, 9.0):
        drawn = [count for at, count in corners if at <= beta][-1]
        assert drawn == min(latent_dim, sum(b > beta for b in directions))


def test_the_curve_begins_where_the_known_directions_do():
    curve = TheoryCurve("", 4.0, 6, (4.0, 2.0), None)
    assert curve.steps(0.1, 10.0)[0] == (2.0, 1)
    assert curve.steps(0.1, 1.0) == []


def test_a_learned_sigma_has_points_at_its_own_betas(sweep):
    for beta, expected in ((1.0, 3), (2.0, 2)):
        made = sweep(
            f"schedule.beta={beta}",
            "likelihood=gaussian_learned",
            prediction=PREDICTION | {"beta": beta, "expected_active": expected},
        )
    (found,) = predictions(collect(made))
    assert found.at_betas == ((1.0, 3.0), (2.0, 2.0))


def test_runs_that_share_a_prediction_share_its_curve(sweep):
    for decoder, beta in itertools.product(("small", "large"), (1, 2)):
        made = sweep(f"decoder={decoder}", f"schedule.beta={beta}")
    (found,) = predictions(collect(made))
    assert found.direction_betas == tuple(PREDICTION["direction_betas"])
    figure = active_against_beta(collect(made))
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert labels == ["decoder=small", "decoder=large", "predicted"]


def test_the_line_runs_through_the_means_of_the_seeds(sweep):
    for seed, active in enumerate((4, 3)):
        sweep("schedule.beta=1", f"seed={seed}", active_dimensions=active)
        made = sweep("schedule.beta=4", f"seed={seed}", active_dimensions=0)
    line = active_against_beta(collect(made)).axes[0].lines[0]
    assert line.get_xydata().tolist() == [[1.0, 3.5], [4.0, 0.0]]


def test_beta_0_stands_left_of_all_others_on_the_logarithmic_axis():
    axis = BetaAxis([0.0, 0.5, 8.0])
    assert 0 < axis.place(0.0) < 0.5
    assert axis.place(0.5) == 0.5
    low, high = axis.limits()
    assert low < axis.place(0.0) < 8.0 < high
    assert BetaAxis([0.0]).place(0.0) > 0


@pytest.mark.parametrize(
    ("critical", "column"), [(0.1, -0.5), (1.0, -0.5), (1.5, 0.5), (2.0, 0.5), (3.0, 1.5), (9, 2.5)]
)
def test_the_boundary_has_all_columns_at_or_above_the_critical_beta_on_its_right(critical, column):
    assert column_of(critical, [1.0, 2.0, 4.0]) == column


def test_the_directions_of_a_prediction_are_for_curves_and_no_row_of_a_report():
    rows = list(leaf_rows(PREDICTION, "prediction"))
    assert len(rows) == len(PREDICTION) - 1
    assert not any("irection betas" in row.name for row in rows)
