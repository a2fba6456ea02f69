"""Text from the command to the report: trained, diagnosed, resumed, and shown without harm."""

import html
import json
import math

import pytest
import torch
from doors import diagnose
from pairs import pairs
from sentences import lines, write

from vaecli import load_run
from vaecli.config.compose import CONFIGS
from vaecli.core.errors import UsageError
from vaecli.diagnosis.latent_use import shuffled
from vaecli.evaluation.passes import look

FEW = (
    "diagnosis.samples=20",
    "diagnosis.plots=false",
    "diagnosis.tsne_points=0",
    "diagnosis.refine_steps=2",
    "diagnosis.baseline_steps=5",
)
MODELS = ("lstm", "dilated_cnn", "transformer")
SMALL = (
    "model.embedding=16",
    "model.encoder_width=32",
    "model.latent_dim=4",
    "decoder.width=32",
    "trainer.batch_size=32",
    "data.min_count=2",
    "diagnosis.importance_samples=5",
    "diagnosis.autoregressive_examples=20",
    "diagnosis.baseline_steps=5",
    "diagnosis.refine_steps=2",
    "diagnosis.tsne_points=0",
)


@pytest.fixture
def text(tmp_path):
    return ("data=text", f"data.path={write(tmp_path / 'text.txt')}", *SMALL)


@pytest.fixture
def shared(once, trained):
    """A run on a text that all tests read; vae-train with further arguments on the same text."""
    place = once("text", lambda place: write(place / "text.txt"))
    asked = ("model=lstm", "data=text", f"data.path={place / 'text.txt'}", *SMALL)
    return trained(*asked, "trainer.max_steps=2")


def of_sequences():
    found = {p.stem for p in (CONFIGS / "model").glob("*.yaml") if "pooling" in p.read_text()}
    assert found == set(MODELS)
    return sorted(found)


@pytest.mark.parametrize(("model", "decoder"), pairs(of_sequences(), ["small", "medium", "large"]))
def test_every_family_and_size_trains_and_writes(model, decoder, train, text, tmp_path):
    write(tmp_path / "text.txt", lines(160))
    own = [key for key in text if not key.startswith("decoder.width")]
    own += ["diagnosis.plots=false", "trainer.max_steps=2"]
    ran = train(f"model={model}", f"decoder={decoder}", *own)
    assert ran.code == 0
    found = ran.json("diagnosis.json")
    n = len(load_run(ran.directory)[1].test.x)
    sequences = found["sequences"]
    tokens = sequences["tokens_per_sequence"]
    perplexity = math.exp((found["distortion"] + found["rate"]) / tokens)
    assert sequences["perplexity"]["value"] == pytest.approx(perplexity, rel=1e-6)
    assert sequences["perplexity"]["n"] == n
    assert sequences["sequences_at_position"][0] == n
    texts = found["texts"]
    assert {"reconstructions", "samples", "interpolation", "neighbours"} == set(texts)
    assert all(original in lines() for original, _ in texts["reconstructions"])


def test_perplexities_of_few_sequences_stand_beside_the_elbos_of_the_same(shared):
    found = shared.json("diagnosis.json")["sequences"]
    few = {
        key: found[key] for key in ("perplexity_importance_weighted", "perplexity_same_sequences")
    }
    assert {estimate["n"] for estimate in few.values()} == {20}
    bound, elbo = (estimate["value"] for estimate in few.values())
    assert bound < elbo  # the ELBO is the looser bound, and they are of the same sequences
    assert found["cut"] == found["unknown"] == 0
    assert "above_source" not in found


@pytest.mark.parametrize("source", ["markov", pytest.param("lstm", marks=pytest.mark.slow)])
def test_no_model_is_below_the_source_of_its_sequences(source, train):
    ran = train(
        "data=sequences",
        f"data.source={source}",
        "data.words=12",
        "data.examples=6000",
        "model=lstm",
        "decoder=small",
        "model.encoder_width=32",
        "model.embedding=16",
        "trainer.batch_size=64",
        "trainer.epochs=8",
        "trainer.lr=5e-3",
        "diagnosis=quick",
    )
    found = ran.json("diagnosis.json")["sequences"]
    above = found["above_source"]
    assert above["n"] == 200
    assert above["value"] > -3 * above["standard_error"]
    least = -ran.json("diagnosis.json")["elbo"] - above["value"]
    guessing = 10 * math.log(12)
    assert above["value"] < 0.3 * (guessing - least)  # it has learned most of the source
    assert found["perplexity_source"]["value"] < 12


def test_a_model_that_has_learned_the_text_is_far_better_than_its_start(train, text):
    quick = ("diagnosis=quick", "trainer.amp=off")
    ran = train("model=lstm", *text, *quick, "trainer.epochs=15", "trainer.lr=5e-3")
    assert ran.code == 0
    first, last = ran.rows[0], ran.rows[-1]
    assert last["elbo"] > 0.6 * first["elbo"]  # both negative
    # 6 x 5 x 5 x 5 sentences of about 9 words: 6.6 nats if each were as probable.
    assert -last["elbo"] < 15


def test_the_rises_by_position_add_up_to_the_rise_under_shuffled_codes(train, text):
    learned = ("trainer.epochs=10", "trainer.lr=5e-3", "schedule.beta=0.1")
    ran = train("model=lstm", *text, *learned, "diagnosis.plots=false")
    found = ran.json("diagnosis.json")
    sequences = found["sequences"]
    by_position = torch.tensor(sequences["rise_by_position"], dtype=torch.float64)
    count = torch.tensor(sequences["sequences_at_position"], dtype=torch.float64)
    vae, data, config = load_run(ran.directory)
    encoded, per_example = look(vae, data, "test", seed=config.seed)
    whole = shuffled(vae, data, encoded, per_example, seed=config.seed).value
    assert whole == pytest.approx(found["latent_use"]["shuffled"]["value"], rel=1e-4)
    assert whole > 0.5
    # Positions that few sequences have are left out; here they hold less than a hundredth.
    total = (by_position * count).sum().item() / len(data.test.x)
    assert total == pytest.approx(whole, rel=0.05, abs=0.05)


@pytest.mark.parametrize("strategy", ["none", "aggressive", "encoder_steps"])
def test_a_resumed_run_ends_as_if_it_had_not_been_stopped(strategy, train, text):
    own = (
        "model=lstm",
        f"strategy={strategy}",
        *text,
        "diagnosis=quick",
        "trainer.evaluate_every=0.5",
    )
    if strategy == "aggressive":
        own += ("strategy.aggressive_max_updates=3", "strategy.aggressive_window=1")
    whole = train(*own, "trainer.max_steps=14", directory="whole")
    train(*own, "trainer.max_steps=7", directory="part")
    part = train("resume=part", "trainer.max_steps=14", directory="part")
    assert part.code == 0
    for one, other in zip(whole.rows, [r for r in part.rows if r["step"] != 7], strict=True):
        for key in ("elbo", "rate", "loss", "kl_per_dim"):
            assert one[key] == other[key], key


def test_a_sweep_over_text_trains_each_run_alone_and_says_why(train, text, tmp_path):
    ran = train(
        "-m",
        "schedule.beta=0,1",
        "model=lstm",
        *text,
        "diagnosis=quick",
        "trainer.max_steps=2",
        f"hydra.sweep.dir={tmp_path}/sweep",
        directory=None,
    )
    assert ran.code == 0
    assert "batches of sequences differ in length" in ran.out
    assert (tmp_path / "sweep" / "comparison.html").exists()


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (("data=text", "model=mlp"), "model=lstm"),
        (("data=digits", "model=lstm"), "model=mlp"),
        (("data=text", "model=lstm", "likelihood=gaussian"), "likelihood=auto"),
        (("data=digits", "likelihood=categorical"), "likelihood=auto"),
    ],
)
def test_images_and_sequences_are_not_mixed(arguments, remedy, train, tmp_path):
    write(tmp_path / "text.txt")
    path = ["data.path=text.txt"] if "data=text" in arguments else []
    ran = train(*arguments, *path, "trainer.max_steps=1")
    assert ran.code == 2
    assert remedy in ran.err
    assert not ran.directory.exists()


def test_what_a_text_says_is_no_html_on_the_page(train, tmp_path):
    evil = [f"<script>alert({n % 7})</script> & so on" for n in range(60)]
    path = write(tmp_path / "text.txt", evil)
    ran = train(
        "data=text",
        f"data.path={path}",
        "model=lstm",
        *SMALL,
        "data.level=char",
        "data.max_length=60",
        "trainer.max_steps=1",
    )
    assert ran.code == 0
    page = (ran.directory / "report.html").read_text()
    shown = json.loads((ran.directory / "diagnosis.json").read_text())["texts"]
    original = shown["reconstructions"][0][0]
    assert original.startswith("<script>")
    assert html.escape(original) in page
    assert "<script" not in page


def test_word_vectors_are_shown_with_their_sentences_in_tensorboard(shared):
    (labels,) = shared.directory.glob("tensorboard/*/codes/metadata.tsv")
    shown = labels.read_text().splitlines()
    assert len(shown) == 40  # those of the test split
    assert set(shown) <= set(lines())


def test_the_words_are_kept_with_the_run_and_another_text_is_refused(train, text, tmp_path, capsys):
    ran = train("model=lstm", *text, "trainer.max_steps=1", "diagnosis=quick")
    words = ran.json("vocabulary.json")["words"]
    _, data, _ = load_run(ran.directory)
    assert words == list(data.vocabulary.words)
    write(tmp_path / "text.txt", [line.replace("cat", "cow") for line in lines()])
    with pytest.raises(UsageError, match="other words"):
        load_run(ran.directory)
    assert diagnose([str(ran.directory)]) == 2
    assert "other words" in capsys.readouterr().err
    resumed = train("resume=run", "trainer.max_steps=2")
    assert resumed.code == 2
    write(tmp_path / "text.txt")
    load_run(ran.directory)
    (ran.directory / "vocabulary.json").unlink()
    with pytest.raises(UsageError, match="other words"):  # a foreign run could name any file
        load_run(ran.directory)


def test_another_text_of_the_same_bytes_is_refused(train, text, tmp_path, capsys):
    ran = train("model=lstm", *text, "data.level=byte", "trainer.max_steps=1", "diagnosis=quick")
    assert ran.code == 0
    write(tmp_path / "other.txt", [line.replace("cat", "cow") for line in lines()])
    assert diagnose([str(ran.directory), f"data.path={tmp_path}/other.txt"]) == 2
    assert "does not hold the data that" in capsys.readouterr().err
    (tmp_path / "text.txt").rename(tmp_path / "moved.txt")
    write(tmp_path / "text.txt", [line.replace("cat", "cow") for line in lines()])
    with pytest.raises(UsageError, match="does not hold the data that"):
        load_run(ran.directory)
    assert diagnose([ran.directory, f"data.path={tmp_path}/moved.txt", *FEW]) == 0
