import base64
import json
from html.parser import HTMLParser

import pytest
from made_up import diagnosis, history
from PIL import Image

from vaecli.reporting.page import write_page
from vaecli.reporting.page_tables import number

VOID = {"meta", "img", "br", "hr", "link", "input"}
HOSTILE = '<script>alert("1")</script>'


class Page(HTMLParser):
    """Reads a page strictly: every element is closed in order; collects text and attributes."""

    def __init__(self, source):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data


@pytest.fixture
def write(tmp_path):
    def page(**changes):
        plot = tmp_path / "kl_heatmap.png"
        Image.new("RGB", (4, 3), "red").save(plot)
        given = {
            "title": "vae-train model=mlp",
            "config_yaml": "model:\n  latent_dim: 8\n",
            "environment": {"torch": "2.14.1", "argv": ["vae-train"]},
            "summary": {"run_state": "done", "collapsed_at_step": None},
            "history": history(),
            "diagnosis": diagnosis(),
            "plots": [plot, tmp_path / "missing.png"],
        }
        path = tmp_path / "report.html"
        write_page(path, **(given | changes))
        source = path.read_text(encoding="utf-8")
        return source, Page(source)

    return page


def test_every_figure_of_the_diagnosis_is_on_the_page(write):
    found = diagnosis()
    _, page = write()
    for key, value in found.items():
        if isinstance(value, (int, float)):
            assert number(value) in page.text, key
    for value in found["kl_per_dim"]:
        assert number(value) in page.text
    words = [found["status"], *found["warnings"], *found["verdict"], *found["next_commands"][0]]
    for word in words:
        assert word in page.text
    assert "14.27 ± 0.31" in page.text
    assert "mean over a derangement, val split, n = 777" in page.text
    assert "test split" in page.text
    assert "latent_dim: 8" in page.text
    assert "2.14.1" in page.text


def test_groups_and_figures_unknown_to_this_module_are_shown(write):
    leaf = {"value": 0.8765, "standard_error": None, "estimator": "5-NN", "split": "val", "n": 91}
    found = diagnosis() | {
        "brand_new": {"accuracy": leaf, "nested": {"deep": leaf | {"value": 0.1122}}},
        "curve": {"points": [leaf | {"value": 0.3344}, 5.566]},
        "marginal": 7.889,
    }
    _, page = write(diagnosis=found)
    for text in ("Brand new", "0.8765", "5-NN, val split, n = 91", "Nested: Deep", "0.1122"):
        assert text in page.text
    for text in ("0.3344", "5.566", "Marginal", "7.889"):
        assert text in page.text


def test_estimators_stand_beside_their_figures(write):
    found = diagnosis() | {"estimators": {"rate": "closed form", "elbo": HOSTILE}}
    _, page = write(diagnosis=found)
    rate = page.text[page.text.index("Rate3.04") :]
    assert "closed form" in rate[: rate.index("Distortion")]
    assert "Estimators" not in page.text


def test_the_page_needs_nothing_from_outside_and_runs_nothing(write):
    source, page = write()
    assert "http://" not in source
    assert "https://" not in source
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert "@import" not in source
    assert "url(" not in source
    linked = [value for name, value in page.attributes if name in ("src", "href")]
    assert len(linked) == 1  # the plot that exists
    head, data = linked[0].split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data).startswith(b"\x89PNG")
    assert not [name for name, _ in page.attributes if name.startswith("on")]


def test_hostile_text_is_shown_and_not_obeyed(write):
    leaf = {"value": 1.0, "standard_error": None, "estimator": HOSTILE, "split": HOSTILE, "n": 1}
    found = diagnosis() | {
        "status": HOSTILE,
        "warnings": [HOSTILE],
        "verdict": [HOSTILE],
        "next_commands": [[HOSTILE, HOSTILE]],
        "split": HOSTILE,
        "odd": HOSTILE,
        HOSTILE: {HOSTILE: leaf, f"plain {HOSTILE}": HOSTILE},
    }
    rows = history()
    rows[-1]["beta"] = HOSTILE
    source, page = write(
        title=f"data.root={HOSTILE}",
        config_yaml=f"classes: [{HOSTILE}]",
        environment={HOSTILE: HOSTILE},
        summary={"run_state": HOSTILE, "overrides": [HOSTILE], "collapsed_at_step": HOSTILE},
        diagnosis=found,
        history=rows,
    )
    assert "<script" not in source
    assert "script" not in page.tags
    assert page.text.count("<script>") >= 15


@pytest.mark.parametrize("rows", [0, 1])
def test_short_histories(write, rows):
    _, page = write(history=history(rows=rows))
    assert ("No evaluation was recorded." if rows == 0 else "1 evaluation on") in page.text


def test_a_run_that_diverged(write):
    found = diagnosis() | {"elbo": float("nan"), "rate": None, "distortion": float("inf")}
    found["kl_per_dim"] = [None, float("nan"), *found["kl_per_dim"][2:]]
    rows = history()
    rows[-1] |= {"elbo": None, "rate": float("nan")}
    summary = {"run_state": "diverged", "collapsed_at_step": 300}
    _, page = write(diagnosis=found, history=rows, summary=summary)
    assert "diverged" in page.text
    assert "step 300" in page.text
    assert "not a number" in page.text
    assert "not measured" in page.text
    assert "∞" in page.text


def test_a_diagnosis_with_nothing_in_it_still_gives_a_page(write):
    _, page = write(diagnosis={}, history=[], plots=[], summary={}, environment={}, config_yaml="")
    assert "NOT DIAGNOSED" in page.text


@pytest.mark.parametrize("latent_dim", [1, 512])
def test_one_row_per_dimension(write, latent_dim):
    source, _ = write(diagnosis=diagnosis(latent_dim=latent_dim, alive=1))
    assert source.count('<tr class="alive"') == 1
    assert source.count('<tr class="dead"') == latent_dim - 1


def test_writing_again_replaces_the_page_and_leaves_no_other_file(write, tmp_path):
    write(title="first")
    source, _ = write(title="second \udcff")  # a surrogate, from a file name that is not UTF-8
    assert "second" in source
    assert "first" not in json.dumps(source[:500])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["kl_heatmap.png", "report.html"]


def test_numbers_are_rounded_to_four_digits():
    assert [number(v) for v in (3, 0.123456, -1234.56, 1234567.8, None, float("nan"), True)] == [
        "3", "0.1235", "-1235", "1,234,568", "not measured", "not a number", "True",
    ]  # fmt: skip
