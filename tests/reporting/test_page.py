import base64
import json
from html.parser import HTMLParser

import pytest
from made_up import diagnosis, groups, history, linear_vae, old_diagnosis
from PIL import Image

from vaecli.diagnosis.figures import GROUPS, by_path
from vaecli.diagnosis.sentences import sentences
from vaecli.reporting.page.numbers import number, short_number, with_error
from vaecli.reporting.page.page import write_page

VOID = {"meta", "img", "br", "hr", "link", "input"}
HOSTILE = '<script>alert("1")</script>'


class Page(HTMLParser):
    """Reads a page strictly: every element is closed in order; collects text, cells, attributes."""

    def __init__(self, source):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""
        self.rows = []  # of all tables: the texts of their cells
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


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
    assert "mean over a derangement, test split, n = 777" in page.text
    assert "test split" in page.text
    assert "latent_dim: 8" in page.text
    assert "2.14.1" in page.text


def leaf_paths(group, path):
    """Path and content of every leaf: an Estimate, a list or a single value."""
    for key, leaf in group.items():
        inner = f"{path}.{key}" if path else key
        if isinstance(leaf, dict) and "value" not in leaf:
            yield from leaf_paths(leaf, inner)
        else:
            yield inner, leaf


# Leaves with a place other than a table: pictures, sentences, the head of a column.
NOT_IN_TABLES = (
    "collapse_curve.epsilon",
    "collapse_curve.collapsed_fraction",
    "latent_use.ablation",
    "latent_use.ranking",
    "sequences.rise_by_position",
    "sequences.sequences_at_position",
)


def test_every_leaf_of_every_group_is_on_the_page_with_a_meaning(write):
    _, page = write()
    found = {
        key: group for key, group in groups(diagnosis()["kl_per_dim"]).items() if key in GROUPS
    }
    assert found.keys() == GROUPS.keys() - {"theory"}
    checked = 0
    for path, leaf in leaf_paths(found, ""):
        if path.startswith(NOT_IN_TABLES):
            continue
        checked += 1
        if isinstance(leaf, list):
            assert by_path(path) is not None
            assert all(number(value) in page.text for value in leaf), path
        elif isinstance(leaf, dict):
            figure = by_path(path)
            shown = with_error(leaf["value"], leaf["standard_error"])
            explained = f"{figure.explanation}{leaf['estimator']}, test split, n = {leaf['n']}"
            rows = [row[1:] for row in page.rows if row[0].endswith(figure.title)]
            assert [shown, explained] in rows, path
        else:
            assert path == "prediction.sentence" or by_path(path) is not None
            assert number(leaf) in page.text, path
    assert checked > 40
    assert all(GROUPS[key] in page.text for key in found)


def test_lists_with_a_number_for_each_dimension_are_columns_of_one_table(write):
    found = diagnosis()
    use, information, curve = (
        found[group] for group in ("latent_use", "information", "collapse_curve")
    )
    _, page = write()
    head = next(row for row in page.rows if row[:2] == ["Rank", "Dimension"])
    assert head[2:] == [
        "KL, nats",
        "Var[mu_j]",
        "Marginal KL",
        "Rise when shuffled",
        "(rank)",
        "Collapsed from",
        "",
    ]
    (row,) = [row for row in page.rows if len(row) == len(head) and row[:2] == ["3", "2"]]
    lists = [
        found["kl_per_dim"],
        found["mu_variance_per_dim"],
        information["marginal_kl_per_dim"],
        use["rise_per_dim"],
        curve["epsilon_per_dim"],
    ]
    shown = [number(values[2]) for values in lists]
    assert row[2:] == [*shown[:4], f"({use['ranking'].index(2) + 1})", shown[4], "active"]
    for values in lists:
        assert ", ".join(number(v) for v in values) not in page.text
    assert "one dimension permuted, test split, n = 355" in page.text


def test_columns_appear_only_where_they_were_measured(write):
    _, page = write(diagnosis=old_diagnosis())
    head = next(row for row in page.rows if row[:2] == ["Rank", "Dimension"])
    assert head == ["Rank", "Dimension", "KL, nats", ""]


def test_an_unknown_list_for_each_dimension_is_a_column_and_one_of_another_length_a_row(write):
    found = diagnosis(latent_dim=3, alive=2)
    found["extra"] = {"skew_per_dim": [0.1357, 0.2468, 0.3579], "odd_per_dim": [0.9753, 0.8642]}
    _, page = write(diagnosis=found)
    head = next(row for row in page.rows if row[:2] == ["Rank", "Dimension"])
    place = head.index("Skew")
    shown = [row[place] for row in page.rows if len(row) == len(head) and row[0] in "123"]
    assert shown == ["0.1357", "0.2468", "0.3579"]
    assert "0.9753, 0.8642" in page.text


def test_mutual_information_is_read_between_its_bounds_or_as_a_lower_bound(write):
    kl = sum(diagnosis()["kl_per_dim"])
    below, middle, above = (f"{share * kl:.2f}" for share in (0.87, 0.91, 0.95))
    consistent = {"rate": kl}  # the made-up rate is another: no code holds more than it costs
    _, page = write(diagnosis=diagnosis() | consistent)
    assert f"holds between {below} and {above} nats about x" in page.text
    assert "cannot exceed log 360 = 5.89 nats" in page.text
    assert "≥" not in page.text
    _, page = write(diagnosis=diagnosis(saturated=True) | consistent)
    assert f"at least {middle} nats about x (upper bound: {above})" in page.text
    assert "saturated: take it as a lower bound" in page.text
    assert f"≥ {number(0.91 * kl)}Mutual information, nats" in page.text
    assert "read it as a lower bound." in page.text  # the note


def test_theory_stands_beside_measurement(write):
    _, page = write(diagnosis=diagnosis() | {"theory": linear_vae()})
    head = page.rows.index(["Figure", "Theory", "Measured ± standard error", "Measured - theory"])
    assert page.rows[head + 1 : head + 6] == [
        ["Active dimensions", "3", "4", "1"],
        ["Rate", "2.138", "2.243 ± 0.030", "0.1046"],
        ["Objective: distortion + beta x rate", "10.03", "10.120 ± 0.062", "0.0929"],
        ["KL_j, 1 by size", "1.099", "0.9329", "-0.1657"],
        ["log p(x), exact, of the trained weights", "-10.03", "-10.07", "-0.0465"],
    ]
    assert "probabilistic PCA" in page.text


def test_the_prediction_is_a_sentence_and_figures(write):
    found = diagnosis()
    _, page = write(diagnosis=found)
    assert page.text.count(found["prediction"]["sentence"]) == 1
    assert [row[1] for row in page.rows if row[0] == "Critical beta"] == ["3.917"]
    assert [row[1] for row in page.rows if row[0] == "Agrees"] == ["yes"]


def test_a_diagnosis_from_before_the_groups_gives_a_page(write):
    _, page = write(diagnosis=old_diagnosis())
    assert "14.27 ± 0.31" in page.text
    headings = [heading for heading in GROUPS.values() if heading in page.text]
    assert headings == [GROUPS["latent_use"]]
    assert "Mutual information" not in page.text


def without_numbers(value):
    """`value` as it is read back from the diagnosis.json of a run that diverged throughout."""
    if isinstance(value, dict):
        return {key: without_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_numbers(item) for item in value]
    return None if isinstance(value, float) else value


def test_groups_without_a_single_number_give_a_page(write):
    found = without_numbers(diagnosis(saturated=True)) | {"theory": without_numbers(linear_vae())}
    _, page = write(diagnosis=found)
    assert "not measured" in page.text
    with_sentences = [group for group in GROUPS if sentences(group, found)]
    assert with_sentences == ["prediction", "theory"]  # they need no number


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
        "notes": [HOSTILE],
        "settings": {HOSTILE: HOSTILE},
        "prediction": {"sentence": HOSTILE},
        "theory": {"linear_vae": [{"figure": HOSTILE, "theory": 1.0, "measured": 2.0}]},
        "latent_use": {"ablation": {"estimator": HOSTILE}, "rise_per_dim": [0.1] * 8},
        "more": {f"{HOSTILE}_per_dim": [0.1] * 8},
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
    assert page.text.count("<script>") >= 23


def hostile(value):
    """`value` with a script in each of its strings; keys stay, as the page is looked up by them."""
    if isinstance(value, dict):
        return {key: hostile(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [hostile(item) for item in value]
    return f"{value}{HOSTILE}" if isinstance(value, str) else value


def strings(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [string for item in value for string in strings(item)]
    return [value] if isinstance(value, str) else []


TEXTS = {
    "reconstructions": [["a cat", "a dog"]],
    "interpolation": ["a cat", "a hat", ""],
    "samples": ["a bat"],
    "neighbours": [{"text": "a cat", "nearest": ["a rat", "a mat"]}],
}


def test_every_string_of_a_diagnosis_comes_out_escaped(write):
    found = hostile(diagnosis() | {"theory": linear_vae(), "texts": TEXTS})
    source, page = write(diagnosis=found)
    assert "<script" not in source
    assert "script" not in page.tags
    elsewhere = {
        "patterns",
        "estimators",
        "prediction",
        "theory",
    }  # sentences made of them, or none
    expected = strings({key: item for key, item in found.items() if key not in elsewhere})
    shown = page.text + json.dumps(found["settings"])
    assert len(expected) > 40
    assert [string for string in expected if string not in shown] == []


def test_the_texts_of_a_language_model_are_shown_by_kind(write):
    _, page = write(diagnosis=diagnosis() | {"texts": TEXTS})
    assert ["Sentence", "What its code says"] in page.rows
    assert ["a cat", "a dog"] in page.rows
    assert ["Sentence", "Nearest code", "Second"] in page.rows
    assert ["a cat", "a rat", "a mat"] in page.rows
    assert page.tags.count("ol") == 2
    assert "(nothing)" in page.text
    _, page = write(diagnosis=diagnosis() | {"texts": {"samples": []}})
    assert "What the model writes" not in page.text


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
        "3",
        "0.1235",
        "-1235",
        "1,234,568",
        "not measured",
        "not a number",
        "yes",
    ]


def test_a_standard_error_has_two_digits_and_sets_those_of_its_figure():
    assert with_error(14.2713, 0.3149) == "14.27 ± 0.31"
    assert with_error(-0.02134, 0.00371) == "-0.0213 ± 0.0037"
    assert with_error(12345.678, 1234.5) == "12346 ± 1234"
    assert with_error(0.5, None) == "0.5"
    assert with_error(0.0, 0.0) == "0 ± 0"
    assert with_error(float("nan"), 0.3) == "not a number ± 0.3"


@pytest.mark.parametrize(
    ("figure", "shown"), [(-0.0005985, "-0.001"), (0.004878, "0.005"), (-0.0001, "0.000"), (0, "0")]
)
def test_a_figure_near_zero_is_rounded_to_a_thousandth_in_a_tile(figure, shown):
    assert short_number(figure) == shown
