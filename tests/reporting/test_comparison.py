"""What is read from runs, what counts as swept, and mean and spread over seeds."""

import csv
import io
import math

import pytest
from made_runs import make_run

from vaecli.diagnosis.figures import by_key
from vaecli.reporting.comparison.columns import format_spread
from vaecli.reporting.comparison.findings import cautions, findings, introduction
from vaecli.reporting.comparison.groups import collect, spread
from vaecli.reporting.comparison.latex import comparison_latex, escaped_latex
from vaecli.reporting.comparison.runs import UNREADABLE, find_runs, natural, read_run
from vaecli.reporting.comparison.sorting import sorted_by
from vaecli.reporting.comparison.tables import (
    WIDTH,
    comparison_csv,
    comparison_markdown,
    comparison_table,
    escaped_markdown,
)


@pytest.fixture
def sweep(tmp_path):
    """Makes a run of a sweep for each tuple of typed keys."""
    made = []

    def add(*typed, **more):
        made.append(make_run(tmp_path / f"{len(made)}_{','.join(typed)}", *typed, **more))
        return made

    return add


def rows_of(comparison):
    return list(csv.DictReader(io.StringIO(comparison_csv(comparison))))


# ---------------------------------------------------------------------- what was swept


def test_group_choices_come_first_and_under_their_group(sweep):
    sweep("schedule.beta=1", "strategy=none", "decoder=small")
    made = sweep("schedule.beta=4", "strategy=free_bits", "decoder=large")
    assert collect(made).keys == ("decoder", "strategy", "schedule.beta")


def test_strategies_that_work_together_are_one_choice(sweep):
    sweep("strategy=none")
    both = {"strategy": "free_bits", "strategy.use.aggressive": True, "strategy.use.none": False}
    made = sweep(config=both)
    assert [s.values["strategy"] for s in collect(made).settings] == [
        "none",
        "aggressive+free_bits",
    ]


def test_keys_that_follow_from_a_choice_are_no_columns(sweep):
    sweep("strategy=none", "data=digits")
    made = sweep(
        "strategy=free_bits",
        "data=mnist",
        config={"strategy.free_nats": 0.25, "trainer.epochs": 30.0, "trainer.lr": 0.001},
    )
    assert collect(made).keys == ("data", "strategy")


def test_a_likelihood_that_the_data_decides_is_no_column_but_a_typed_one_is(sweep):
    sweep("data=digits")
    made = sweep("data=gaussian", config={"likelihood.name": "gaussian"})
    assert collect(made).keys == ("data",)
    made = sweep("data=gaussian", "likelihood=gaussian_learned")
    assert collect(made).keys == ("data", "likelihood")


def test_a_key_that_differs_where_all_choices_agree_was_swept_though_nobody_typed_it(sweep):
    sweep(config={"trainer.epochs": 2.0})
    made = sweep(config={"trainer.epochs": 8.0})
    assert collect(made).keys == ("trainer.epochs",)


def test_a_typed_key_was_swept_though_it_follows_the_choices(sweep):
    sweep("decoder=small", "trainer.epochs=2")
    made = sweep("decoder=large", "trainer.epochs=8")
    assert collect(made).keys == ("decoder", "trainer.epochs")


@pytest.mark.parametrize(
    "key",
    [
        "diagnosis.samples",
        "device",
        "data.root",
        "data.download",
        "resume",
        "trainer.checkpoint_every",
        "sweep.stack",
        "seed",
    ],
)
def test_what_has_no_part_in_training_is_never_swept(sweep, key):
    sweep(f"{key}=1")
    made = sweep(f"{key}=2")
    assert collect(made).keys == ()
    assert len(collect(made).settings) == 1


def test_data_is_known_by_its_digest_wherever_it_lies_and_else_by_its_path(sweep):
    def by_path(path, **known):
        return sweep(config={"data.name": "npz", "data.path": path}, **known)

    by_path("/here/faces.npz", data_digest="f1")
    by_path("/there/faces.npz", data_digest="f1")
    made = by_path("/there/cats.npz", data_digest="c1")
    found = [(s.values["data"], len(s.runs)) for s in collect(made).settings]
    assert found == [("npz:here/faces.npz", 2), ("npz:there/cats.npz", 1)]
    made = by_path("/old/faces.npz", data_digest="f2")
    found = [(s.values["data"], len(s.runs)) for s in collect(made).settings]
    assert found == [("npz:here/faces.npz", 2), ("npz:there/cats.npz", 1), ("npz:old/faces.npz", 1)]
    made = by_path("/old/faces.npz", data_digest="f3")  # the file was written anew
    found = [s.values["data"] for s in collect(made).settings]
    assert found[2:] == ["npz:old/faces.npz (f2)", "npz:old/faces.npz (f3)"]


def test_files_of_one_name_without_a_digest_are_two(sweep):
    for place in ("a", "b"):
        made = sweep(config={"data.name": "npz", "data.path": f"/{place}/x/faces.npz"})
    found = [s.values["data"] for s in collect(made).settings]
    assert found == ["npz:a/x/faces.npz", "npz:b/x/faces.npz"]
    made = sweep("schedule.beta=2", config={"data.name": "npz", "data.path": "/a/x/cats.npz"})
    found = [s.values["data"] for s in collect(made[::2]).settings]
    assert found == ["npz:faces.npz", "npz:cats.npz"]  # without the directories that both share


def test_digests_of_other_parts_of_one_file_make_it_no_other_data(sweep):
    for limit in (100, 200):
        for place in ("a", "b"):  # a copy, known by the digest of each part
            made = sweep(
                f"data.limit={limit}",
                data_digest=f"d{limit}",
                config={"data.name": "npz", "data.path": f"/{place}/x.npz"},
            )
    comparison = collect(made)
    assert comparison.keys == ("data.limit",)
    assert [len(s.runs) for s in comparison.settings] == [2, 2]
    assert len(comparison.comparable()) == 1


def test_one_path_in_two_spellings_is_one_file(sweep):
    for path in ("x/faces.npz", "./x//faces.npz"):
        made = sweep(config={"data.name": "npz", "data.path": path})
    assert collect(made).keys == ()


def test_equal_numbers_are_one_value_and_a_truth_is_no_number(sweep):
    sweep(config={"schedule.beta": 1, "model.x": True})
    made = sweep(config={"schedule.beta": 1.0, "model.x": 1})
    assert collect(made).keys == ("model.x",)


def test_lists_are_values(sweep):
    sweep("data.classes=[0,1]")
    made = sweep("data.classes=[2,3]")
    assert [row["data.classes"] for row in rows_of(collect(made))] == ["[0, 1]", "[2, 3]"]


def test_a_run_without_a_config_falls_back_on_what_was_typed(sweep):
    sweep("decoder=small", "schedule.beta=1", "trainer=fast")
    made = sweep("decoder=large", "schedule.beta=4", "trainer=fast", state="pending")
    (made[1] / "config.resolved.yaml").unlink()
    comparison = collect(made)
    assert comparison.keys == ("decoder", "schedule.beta")
    assert comparison.settings[1].values == {"decoder": "large", "schedule.beta": 4}


def test_settings_go_by_size_and_words_by_first_appearance(sweep):
    for strategy in ("none", "delta_vae"):
        for beta in (10, 2):
            made = sweep(f"schedule.beta={beta}", f"strategy={strategy}")
    found = [tuple(s.values.values()) for s in collect(made).settings]
    assert found == [("none", 2), ("none", 10), ("delta_vae", 2), ("delta_vae", 10)]


# ---------------------------------------------------------------------- seeds


def test_mean_and_sample_deviation_over_seeds_are_those_computed_by_hand(sweep):
    for seed, rate in enumerate([1.0, 2.0, 6.0]):
        made = sweep(f"seed={seed}", "schedule.beta=1", rate=rate)
    made = sweep("schedule.beta=4", "seed=0", rate=0.5)
    one, other = collect(made).settings
    # Mean 9 / 3; deviations -2, -1, 3: 14 / (3 - 1) = 7.
    assert one.figure("rate") == (3.0, pytest.approx(math.sqrt(7.0)), 3)
    assert other.figure("rate") == (0.5, None, 1)
    assert format_spread(one.figure("rate"), by_key("rate")) == "3.00 ± 2.65"
    assert format_spread(other.figure("rate"), by_key("rate")) == "0.50"


def test_means_are_over_the_runs_that_finished_and_have_the_figure(sweep):
    sweep("seed=0", rate=1.0, log_px=-10.0)
    sweep("seed=1", rate=3.0)
    made = sweep("seed=2", state="diverged", reason="loss is nan at step 7", rate=1e9)
    (setting,) = collect(made).settings
    assert setting.figure("rate") == (2.0, pytest.approx(math.sqrt(2.0)), 2)
    assert setting.figure("nll") == (10.0, None, 1)
    assert format_spread(setting.figure("nll"), by_key("nll"), of=2) == "10.00 (1 of 2)"
    assert setting.statuses == [("HEALTHY", 2), ("diverged", 1)]
    table = comparison_table(collect(made))
    assert "HEALTHY 2, diverged 1" in table
    assert "2 of 3" in table
    assert "diverged: loss is nan at step 7" in table


@pytest.mark.parametrize("bad", [math.nan, math.inf, None, "12", True, [1.0]])
def test_what_is_no_finite_number_is_no_figure(sweep, bad):
    sweep("seed=0", rate=2.0)
    made = sweep("seed=1", rate=bad)
    assert collect(made).settings[0].figure("rate") == (2.0, None, 1)


def test_a_count_that_all_seeds_agree_in_stands_alone_and_a_mean_of_counts_has_a_digit():
    column = by_key("active_dimensions")
    assert format_spread(spread([4.0, 4.0]), column) == "4"
    assert format_spread(spread([3.0, 4.0]), column) == "3.5 ± 0.7"
    assert spread([]) is None


def test_rankings_stay_within_one_beta_and_one_data_set(sweep):
    for data in ("digits", "mnist"):
        for beta in (1, 4):
            for strategy, loss in (("none", 5.0), ("free_bits", 4.0)):
                made = sweep(
                    f"data={data}",
                    f"schedule.beta={beta}",
                    f"strategy={strategy}",
                    validation_loss=loss + beta,
                )
    rankings = collect(made).rankings()
    assert [where for where, _ in rankings] == [
        "data digits, beta 1",
        "data digits, beta 4",
        "data mnist, beta 1",
        "data mnist, beta 4",
    ]
    for where, ranked in rankings:
        assert [s.values["strategy"] for s in ranked] == ["free_bits", "none"]
        assert len({(s.values["data"], s.values["schedule.beta"]) for s in ranked}) == 1, where


def test_losses_of_other_pixels_are_not_compared(sweep):
    for binarise in ("none", "dynamic"):
        for strategy in ("none", "free_bits"):
            made = sweep(
                f"strategy={strategy}",
                f"data.binarise={binarise}",
                config={"data.limit": 100 + len(binarise)},
            )
    groups = collect(made).comparable()
    assert [where for where, _ in groups] == ["data.binarise none", "data.binarise dynamic"]
    assert any("Different data" in caution for caution in cautions(collect(made)))
    assert len(collect(made).rankings()) == 2


@pytest.mark.parametrize("key", ["data.image_size", "data.seed", "data.key", "data.spectrum"])
def test_what_changes_the_density_parts_losses(sweep, key):
    sweep(config={key: 1})
    made = sweep(config={key: 2})
    assert [where for where, _ in collect(made).comparable()] == [f"{key} 1", f"{key} 2"]


@pytest.mark.parametrize(
    "key",
    [
        "data.root",
        "data.download",
        "data.limit",
        "data.memory_limit_gb",
        "data.val_fraction",
        "data.suggested.latent_dim",
    ],
)
def test_where_data_lies_and_how_much_of_it_is_used_leaves_losses_comparable(sweep, key):
    sweep(config={key: 1})
    made = sweep(config={key: 2})
    assert [where for where, _ in collect(made).comparable()] == [""]


def test_a_run_that_left_no_config_and_no_loss_is_no_other_data(sweep):
    sweep("schedule.beta=1")
    made = sweep("schedule.beta=2", state="failed")
    (made[1] / "config.resolved.yaml").unlink()
    assert cautions(collect(made)) == []


def test_what_follows_from_the_data_is_not_said_beside_its_name(sweep):
    for data, size in (("digits", 8), ("mnist", 28)):
        made = sweep(f"data={data}", config={"data.image_size": size})
    assert [where for where, _ in collect(made).comparable()] == ["data digits", "data mnist"]


# ---------------------------------------------------------------------- damaged directories


@pytest.mark.parametrize("content", ["", '{"run_state": "do', "[1, 2]", "\ufffd" * 9, "null"])
def test_a_damaged_summary_is_a_row_with_the_reason(sweep, tmp_path, content):
    made = sweep("schedule.beta=1")
    made = sweep("schedule.beta=2")
    (made[1] / "summary.json").write_text(content)
    assert list(find_runs(tmp_path)) == made
    last = rows_of(collect(made))[1]
    assert last["run_state"] == UNREADABLE
    assert "summary.json" in last["reason"]
    assert last["schedule.beta"] == "2"


@pytest.mark.parametrize("name", ["config.resolved.yaml", "diagnosis.json", "metrics.jsonl"])
@pytest.mark.parametrize("content", [b"{", b"\xff\xfe\x00", b"- 1\n- 2", b"a: [", b"7"])
def test_other_damaged_files_cost_no_more_than_what_was_in_them(sweep, name, content):
    made = sweep("schedule.beta=1")
    made = sweep("schedule.beta=2")
    (made[1] / name).write_bytes(content)
    rows = rows_of(collect(made))
    assert [row["rate"] for row in rows] == ["2", "2"]
    assert [row["schedule.beta"] for row in rows] == ["1", "2"]
    assert isinstance(read_run(made[1], "x").history, list)


def test_a_run_of_which_only_the_summary_is_left_is_a_row(tmp_path):
    run = tmp_path / "0"
    run.mkdir()
    (run / "summary.json").write_text('{"run_state": "running", "overrides": ["schedule.beta=3"]}')
    comparison = collect([run])
    assert comparison.runs[0].state == "running"
    assert "running" in comparison_table(comparison)
    assert "None finished, 1 still running or killed" in introduction(comparison)


def test_runs_are_found_at_any_depth_in_the_order_of_their_numbers(tmp_path):
    wanted = [make_run(tmp_path / "a" / f"{n}_x") for n in (2, 10)] + [make_run(tmp_path / "b/c/d")]
    make_run(wanted[0] / "inside")  # a run is not searched for others
    foreign = tmp_path / "a" / "foreign"
    foreign.mkdir()
    (foreign / "summary.json").write_text('{"loss": 3}')
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "summary.json").write_text("not json, and nothing of ours beside it")
    assert list(find_runs(tmp_path)) == wanted


def test_names_sort_by_the_numbers_in_them():
    names = ["10_b", "9_b", "x", "9_a", "2", "²"]
    assert sorted(names, key=natural) == ["2", "9_a", "9_b", "10_b", "x", "²"]


# ---------------------------------------------------------------------- text


def test_csv_has_a_row_a_run_and_every_figure_in_full(sweep):
    for seed in (0, 1):
        made = sweep(f"seed={seed}", "schedule.beta=1", rate=1 / 3 + seed, log_px=-20.5)
    made = sweep("schedule.beta=2", state="failed", reason='it said "no",\nand left')
    rows = rows_of(collect(made))
    assert [float(row["rate"]) for row in rows[:2]] == [1 / 3, 1 / 3 + 1]
    assert [row["seed"] for row in rows] == ["0", "1", "0"]
    assert rows[0]["nll"] == "20.5"
    assert rows[0]["active_dimensions"] == "3"
    assert rows[2]["run_state"] == "failed"
    assert rows[2]["reason"] == 'it said "no", and left'
    assert rows[2]["rate"] == ""
    assert [row["directory"] for row in rows] == [path.name for path in made]


def test_the_console_shows_settings_where_there_are_seeds_and_else_runs(sweep):
    sweep("schedule.beta=1", "seed=0")
    made = sweep("schedule.beta=2", "seed=0")
    by_run = comparison_table(collect(made)).splitlines()
    assert len([line for line in by_run if "HEALTHY" in line]) == 2
    made = sweep("schedule.beta=2", "seed=1")
    by_setting = comparison_table(collect(made)).splitlines()
    assert [line.split()[:4] for line in by_setting if "HEALTHY" in line] == [
        ["1", "1", "HEALTHY", "3"],
        ["2", "2", "HEALTHY", "2"],
    ]


def test_runs_that_differ_in_their_seed_alone_are_a_row_with_their_seeds(sweep):
    for seed in (3, 1):
        made = sweep(f"seed={seed}")
    head, _, row, *_ = comparison_table(collect(made)).splitlines()
    assert head.startswith("seeds")
    assert row.startswith("3, 1")


def test_runs_are_told_apart_by_their_config_however_their_directories_are_called(tmp_path):
    made = [
        make_run(
            tmp_path / f"{n}_cut",
            "schedule.beta=2",
            f"strategy={strategy}",
            f"seed={seed}",
            state=state,
        )
        for n, (strategy, seed, state) in enumerate(
            [("none", 3, "done"), ("none", 4, "failed"), ("free_bits", 3, "done")]
        )
    ]
    comparison = collect(made)
    found = [(row["strategy"], row["seed"]) for row in rows_of(comparison)]
    assert found == [("none", "3"), ("none", "4"), ("free_bits", "3")]
    for made in (comparison_table, lambda c: comparison_markdown(c, "x"), comparison_latex):
        words = made(comparison)
        assert "strategy=none, seed=4 (1_cut): failed" in words


def test_the_console_keeps_its_width_and_says_what_it_leaves_out(sweep):
    for seed in (0, 1):
        for strategy in ("none", "a" * 90):
            figures = {
                "log_px": -101.5 - seed,
                "gain_over_no_code": 1.5,
                "elbo": -110.25 + seed,
                "distortion": 100.0 + seed,
                "collapsed_at_step": 10 + seed,
            }
            made = sweep(f"seed={seed}", f"strategy={strategy}", **figures)
    lines = comparison_table(collect(made)).splitlines()
    assert max(map(len, lines[:4])) <= WIDTH
    assert "For want of room without: gain" in "\n".join(lines)


def test_columns_that_are_empty_or_always_the_same_are_not_on_the_console(sweep):
    sweep("schedule.beta=1")
    made = sweep("schedule.beta=2", rate=3.0)
    head = comparison_table(collect(made)).splitlines()[0].split()
    assert "active/4" in head
    assert not {"NLL", "of", "enc", "dec", "collapsed"} & set(head)


def test_a_reason_or_a_value_cannot_steer_the_terminal(sweep):
    sweep("schedule.beta=1")
    value = r'"data.path=\x1b]0;title\x07"'  # as yaml writes it
    made = sweep(value, state="failed", reason="\x1b[2Jgone\x07 \u202etxt")
    compared = collect(made)
    for words in (
        comparison_table(compared),
        comparison_csv(compared),
        comparison_markdown(compared, "\x1b[2J"),
        comparison_latex(compared),
    ):
        assert "2Jgone" in words
        assert all(c.isprintable() for c in words.replace("\n", ""))


HOSTILE = "<script>alert(1)</script> | a_b *x* `y` & \"q\" 's' $5 100% #1 ~ ^ \\ {z} [l](http://e)"


def test_markdown_shows_hostile_text_as_it_is(sweep):
    sweep("schedule.beta=1")
    made = sweep("schedule.beta=2", state="failed", reason=HOSTILE)
    text = comparison_markdown(collect(made), HOSTILE)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in rows}) == 1
    assert r"\[l\](http://e)" in text


def test_markdown_leaves_an_underscore_within_a_word_alone():
    assert escaped_markdown("free_bits __init__ _x_") == r"free_bits \_\_init\_\_ \_x\_"


def test_latex_escapes_every_sign_that_it_would_obey():
    assert escaped_latex("100% & $5 #1 a_b {z} ~ ^ \\") == (
        r"100\% \& \$5 \#1 a\_b \{z\} \textasciitilde{} \textasciicircum{} \textbackslash{}"
    )
    assert escaped_latex("é ü β 日 \x07") == "é ü U+03B2 U+65E5 ?"


def test_latex_has_as_many_cells_in_every_row_as_columns(sweep):
    sweep("schedule.beta=1", "strategy=none")
    made = sweep("schedule.beta=2", "strategy=a&b%c_d\\", log_px=-3.0)
    made = sweep("schedule.beta=2", "strategy=none", state="failed", reason="100% & more\n\\end")
    lines = comparison_latex(collect(made)).splitlines()
    opening = next(line for line in lines if line.startswith(r"\begin{tabular}"))
    width = len(opening.removeprefix(r"\begin{tabular}{").removesuffix("}"))
    rows = [line for line in lines if line.endswith(r"\\")]
    assert len(rows) == 1 + 3
    for row in rows:
        assert len(row.replace(r"\&", "").split("&")) == width
    assert lines.index(r"\toprule") < lines.index(r"\midrule") < lines.index(r"\bottomrule")
    after = lines[lines.index(r"\end{tabular}") + 1 :]
    assert len(after) == 1
    assert after[0].startswith("%")


def test_a_latex_row_that_begins_with_a_bracket_is_no_argument_of_the_row_before(sweep):
    sweep("data.classes=[0,1]")
    made = sweep("data.classes=[2,3]")
    rows = [line for line in comparison_latex(collect(made)).splitlines() if "HEALTHY" in line]
    assert [row[:4] for row in rows] == ["{[}0", "{[}2"]


@pytest.mark.parametrize("count", [0, 1])
def test_every_format_stands_with_few_runs(tmp_path, count):
    comparison = collect([make_run(tmp_path / str(n)) for n in range(count)])
    assert len(rows_of(comparison)) == count
    for text in (
        comparison_table(comparison),
        comparison_markdown(comparison, "x"),
        comparison_latex(comparison),
        introduction(comparison),
    ):
        assert text.strip()
    assert findings(comparison) == []


# ---------------------------------------------------------------------- findings


def test_it_says_between_which_betas_active_dimensions_fall_to_0(sweep):
    for beta, active in ((1, 4), (2, 0), (3, 2), (5, 0), (8, 0)):
        made = sweep(f"schedule.beta={beta}", active_dimensions=active)
    (said,) = [s for s in findings(collect(made)) if "fall to 0" in s]
    assert "between beta 3 and 5" in said  # at 2 it is 0 too, but not for good
    assert "critical beta, from which collapse is stable, at 4" in said


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([(0,), (0,)], "No dimension is active in any run that finished, from beta 1 on"),
        ([(4,), (1,)], "Up to beta 2, the highest that finished, every run has active dimensions"),
        ([(4, 4), (2, 0)], "At beta 2, the highest that finished, 1 of 2 runs has active dim"),
        ([(4, 0), (2, 2)], "At beta 2, the highest that finished, every run has active dim"),
        ([(4, 0), (0, 0)], "to 0 in every run between beta 1 and 2, but at 1 only 1 of 2 runs has"),
        ([(4, 4), (0, 0)], "Active dimensions fall to 0 in every run between beta 1 and 2."),
    ],
)
def test_its_sentence_about_the_end_is_true_of_every_run(sweep, counts, words):
    for beta, every in zip((1, 2), counts, strict=True):
        for seed, active in enumerate(every):
            typed = (f"schedule.beta={beta}", f"seed={seed}")
            made = sweep(*typed, active_dimensions=active)
    assert any(words in sentence for sentence in findings(collect(made)))


@pytest.mark.parametrize(
    ("rate", "information", "idle"),
    [(8.0, 0.1, True), (8.0, 4.0, False), (0.1, 0.0, False), (90.0, 7.5, False)],
)
def test_a_rate_without_information_is_named_but_not_one_at_the_ceiling(
    sweep, rate, information, idle
):
    sweep("strategy=none", rate=1.0, mutual_information=0.9)
    made = sweep("strategy=delta_vae", rate=rate, mutual_information=information)
    said = [s for s in findings(collect(made)) if "Rate without information" in s]
    assert bool(said) is idle
    if idle:
        assert "strategy=delta_vae (rate 8.00, mutual information 0.10 nats)" in said[0]


def test_a_rate_without_information_is_counted_by_runs_and_not_hidden_in_their_mean(sweep):
    sweep("seed=0", rate=8.0, mutual_information=6.0)
    made = sweep("seed=1", rate=8.0, mutual_information=0.1)
    (said,) = [s for s in findings(collect(made)) if "Rate without information" in s]
    assert "1 of 2 runs; on average rate 8.00, mutual information 0.10 nats" in said


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_sentence_about_means_says_so(sweep, seeds):
    for latent_dim in (2, 4):
        for strategy in ("none", "free_bits"):
            for seed in range(seeds):
                made = sweep(
                    f"model.latent_dim={latent_dim}",
                    f"strategy={strategy}",
                    f"seed={seed}",
                    validation_loss=20.0 + seed + latent_dim,
                )
    said = [s for s in findings(collect(made)) if "lowest validation" in s or "Active of" in s]
    assert len(said) == 2
    assert all(("mean over runs" in sentence) is (seeds > 1) for sentence in said)


def test_names_with_commas_are_listed_with_semicolons(sweep):
    for strategy, latent_dim in (("none", 2), ("none", 4), ("free_bits", 2), ("free_bits", 4)):
        for beta in (1, 2):
            active = int(strategy == "free_bits" or beta == 1)
            made = sweep(
                f"strategy={strategy}",
                f"model.latent_dim={latent_dim}",
                f"schedule.beta={beta}",
                active_dimensions=active,
            )
    said = " ".join(findings(collect(made)))
    assert "with strategy=none, latent_dim=2; and strategy=none, latent_dim=4." in said


@pytest.mark.parametrize(("gap", "words"), [(0.1, "within the spread"), (5.0, "25.50")])
def test_a_lead_within_the_spread_is_called_so(sweep, gap, words):
    for strategy, loss in (("none", 20.0), ("free_bits", 20.0 + gap)):
        for seed in (0, 1):
            made = sweep(f"strategy={strategy}", f"seed={seed}", validation_loss=loss + seed)
    (said,) = [s for s in findings(collect(made)) if "lowest validation loss" in s]
    assert "strategy=none" in said.split("next")[0]
    assert ("within the spread" in said) is (gap == 0.1)
    assert words in said


def test_nothing_is_ranked_over_different_betas(sweep):
    sweep("schedule.beta=1", validation_loss=1.0)
    made = sweep("schedule.beta=2", validation_loss=2.0)
    assert not [s for s in findings(collect(made)) if "validation loss" in s]


def test_runs_that_were_diagnosed_differently_come_with_a_caution(sweep):
    sweep("schedule.beta=1", "diagnosis.split=test")
    made = sweep("schedule.beta=2", "diagnosis.split=val")
    assert cautions(collect(made)) == [
        "The runs were diagnosed on different splits: diagnosis.split is test and val."
    ]


def test_a_repeated_seed_is_not_passed_off_as_another(sweep):
    sweep("seed=3")
    made = sweep("seed=3")
    assert any("repeats setting and seed" in sentence for sentence in findings(collect(made)))


def test_sorting_puts_what_has_no_figure_last(sweep):
    sweep("schedule.beta=1", rate=2.0)
    sweep("schedule.beta=2", state="failed")
    made = sweep("schedule.beta=3", rate=1.0)
    for key, wanted in (("rate", [3, 1, 2]), ("-rate", [1, 3, 2]), ("-schedule.beta", [3, 2, 1])):
        found = sorted_by(collect(made), key)
        assert [s.values["schedule.beta"] for s in found.settings] == wanted, key
        assert [v["schedule.beta"] for v in found.values] == wanted, key
        assert [run.config["schedule.beta"] for run in found.runs] == wanted, key
