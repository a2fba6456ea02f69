import io
import os
import subprocess
import sys
import time
from pathlib import Path

import made_up
import numpy as np
import pytest
import torch
from made_up import diagnosis, history, pictures
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from vaecli.reporting.tensorboard import HEATMAP_EVERY, TensorBoard, as_hparams

HPARAMS = {
    "model": {"latent_dim": 8, "name": "mlp"},
    "lr": 1e-3,
    "amp": True,
    "root": None,
    "layers": [16, 8],
    "lowest": float("-inf"),
}


def read(directory):
    everything = {"scalars": 0, "images": 0, "histograms": 0}  # the default keeps the last only
    events = EventAccumulator(str(directory), size_guidance=everything)
    return events.Reload()


def values(events, tag):
    return [(event.step, event.value) for event in events.Scalars(tag)]


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """A complete run; its directory, rows and events."""
    directory, rows = tmp_path_factory.mktemp("run") / "tensorboard", history(rows=25)
    shown = pictures()
    with TensorBoard(directory, latent_dim=8, hparams=HPARAMS) as board:
        for row in rows:
            board.evaluation(row)
        board.pictures(2400, shown.originals, shown.reconstructions, shown.samples)
        board.embedding(2400, shown.mu, shown.labels.tolist(), torch.rand(200, 1, 8, 8))
        board.final({**diagnosis(), "information": {"mutual_information": {"value": 3.9}}})
    return directory, rows, read(directory)


@pytest.mark.parametrize(
    ("tag", "key"),
    [
        ("train/loss", "train_loss"),
        ("train/elbo", "train_elbo"),
        ("train/distortion", "train_distortion"),
        ("train/rate", "train_rate"),
        ("train/beta", "beta"),
        ("train/images_per_second", "images_per_second"),
        ("val/loss", "loss"),
        ("val/elbo", "elbo"),
        ("val/distortion", "distortion"),
        ("val/rate", "rate"),
        ("val/beta", "beta"),
        ("val/mu_variance", "mu_variance"),
        ("val/mean_logvar", "mean_logvar"),
        ("active/dimensions", "active_dimensions"),
        ("active/units", "active_units"),
    ],
)
def test_each_scalar_is_its_column_of_the_rows(whole_run, tag, key):
    _, rows, events = whole_run
    steps, found = zip(*values(events, tag), strict=True)
    assert list(steps) == [row["step"] for row in rows]
    assert found == pytest.approx([row[key] for row in rows], rel=1e-6)  # event files hold float32


def test_the_tags_stand_in_these_rooms_and_no_other(whole_run):
    _, _, events = whole_run
    tags = events.Tags()
    rooms = {tag.partition("/")[0] for tag in tags["scalars"]}
    assert rooms == {"train", "val", "active", "kl_per_dim", "final"}
    assert tags["histograms"] == ["kl_per_dim"]
    assert sorted(tags["images"]) == ["kl_heatmap", "pictures/reconstructions", "pictures/samples"]


def test_kl_per_dimension_has_zero_padded_curves_and_a_histogram(whole_run):
    _, rows, events = whole_run
    for j in (0, 7):
        found = [value for _, value in values(events, f"kl_per_dim/{j:03d}")]
        assert found == pytest.approx([row["kl_per_dim"][j] for row in rows], rel=1e-6)
    histograms = events.Histograms("kl_per_dim")
    assert [h.step for h in histograms] == [row["step"] for row in rows]
    last = histograms[-1].histogram_value
    assert last.num == 8
    assert last.sum == pytest.approx(rows[-1]["rate"])


def test_one_run_directory_without_sub_runs(whole_run):
    directory, _, _ = whole_run
    with_events = {path.parent for path in directory.rglob("*tfevents*")}
    assert with_events == {directory}
    assert len(list(directory.glob("*tfevents*"))) == 1


def test_hparams_and_layout_are_written_once_to_the_same_file(whole_run):
    _, _, events = whole_run
    start = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    told = plugin_data_pb2.HParamsPluginData.FromString(start).session_start_info.hparams
    assert told["model.latent_dim"].number_value == 8
    assert told["lr"].number_value == 1e-3
    assert told["amp"].string_value == "True"
    assert told["root"].string_value == "None"
    assert told["layers"].string_value == "[16, 8]"
    names = plugin_data_pb2.HParamsPluginData.FromString(
        events.SummaryMetadata("_hparams_/experiment").plugin_data.content
    )
    metrics = [info.name.tag for info in names.experiment.metric_infos]
    assert set(metrics) <= set(events.Tags()["scalars"])
    assert len(events.Tensors("custom_scalars__config__")) == 1


def test_final_figures_stand_at_the_last_step(whole_run):
    _, rows, events = whole_run
    step = rows[-1]["step"]
    assert values(events, "final/active_dimensions") == [(step, 4.0)]
    assert values(events, "final/elbo") == [(step, pytest.approx(-33.21))]
    assert values(events, "final/mutual_information") == [(step, pytest.approx(3.9))]


def test_heat_maps_are_cumulative_and_few(whole_run):
    _, rows, events = whole_run
    images = events.Images("kl_heatmap")
    due = [rows[HEATMAP_EVERY - 1], rows[2 * HEATMAP_EVERY - 1], rows[-1]]
    assert [image.step for image in images] == [row["step"] for row in due]
    last = np.asarray(Image.open(io.BytesIO(images[-1].encoded_image_string)))
    assert last.shape == (images[-1].height, images[-1].width, 3)
    # 8 dimensions by 25 evaluations in whole blocks; alive on top, dead at the bottom right
    assert last.shape[0] % 8 == 0
    assert last.shape[1] % 25 == 0
    assert np.ptp(last[0, -1].astype(int)) > 50
    assert np.ptp(last[-1, -1].astype(int)) == 0


def test_pictures_are_one_sheet_each(whole_run):
    _, _, events = whole_run
    (image,) = events.Images("pictures/reconstructions")
    assert (image.step, image.width > image.height) == (2400, True)


def test_embedding_has_codes_labels_and_thumbnails(whole_run):
    directory, _, _ = whole_run
    folder = directory / "02400" / "codes"
    codes = np.loadtxt(folder / "tensors.tsv")
    assert codes == pytest.approx(pictures().mu.numpy(), rel=1e-5)
    assert len((folder / "metadata.tsv").read_text().split()) == 200
    assert (folder / "sprite.png").is_file()
    assert "02400/codes/tensors.tsv" in (directory / "projector_config.pbtxt").read_text()


def test_what_a_model_writes_is_shown_as_it_is(tmp_path):
    written = {
        "reconstructions": [["<b>in</b> *the*\tbeginning", "# was the word"]],
        "samples": ["[a](b)", ""],
    }
    with TensorBoard(tmp_path, latent_dim=2, hparams={}) as board:
        board.texts(7, written)
    events = read(tmp_path)
    shown = {}
    for key in ("reconstructions", "samples", "interpolation"):
        (event,) = events.Tensors(f"texts/{key}/text_summary")
        assert event.step == 7
        shown[key] = event.tensor_proto.string_val[0].decode().splitlines()
    # Four spaces begin a block of code, in which Markdown changes nothing.
    first = ["    <b>in</b> *the* beginning", "    -> # was the word"]
    assert shown["reconstructions"][:2] == first
    assert shown["samples"] == ["    [a](b)", "    "]
    assert shown["interpolation"] == []


def test_a_label_with_tabs_and_newlines_is_one_row_of_one_column(tmp_path):
    with TensorBoard(tmp_path, latent_dim=2, hparams={}) as board:
        board.embedding(1, torch.randn(3, 2), ["a\tb", "c\nd", ""])
    (table,) = tmp_path.glob("*/codes/metadata.tsv")
    assert table.read_text().splitlines() == ["a b", "c d", "(nothing)"]


def test_embedding_takes_at_most_2000_points_and_writes_again_without_a_word(tmp_path, capsys):
    with TensorBoard(tmp_path, latent_dim=2, hparams={}) as board:
        board.embedding(7, torch.randn(2100, 2), None, torch.rand(2100, 9))
        board.embedding(7, torch.randn(2100, 2))
    assert len((tmp_path / "00007" / "codes" / "tensors.tsv").read_text().splitlines()) == 2000
    assert capsys.readouterr().out == ""


def test_nothing_flushed_is_lost_when_the_process_is_killed(tmp_path):
    script = (
        "import os, signal, sys\n"
        f"sys.path.insert(0, {str(Path(made_up.__file__).parent)!r})\n"
        "from made_up import history\n"
        "from vaecli.reporting.tensorboard import TensorBoard\n"
        f"board = TensorBoard({str(tmp_path)!r}, latent_dim=8, hparams={{}})\n"
        "for row in history(rows=7):\n"
        "    board.evaluation(row)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], env=environment, check=False, timeout=120
    )
    assert ended.returncode == -9
    events = read(tmp_path)
    assert len(events.Scalars("val/elbo")) == 7
    assert len(events.Scalars("kl_per_dim/007")) == 7
    assert len(events.Histograms("kl_per_dim")) == 7


def test_an_exception_closes_the_file_with_the_last_heat_map(tmp_path):
    rows = history(rows=4)

    def fail():
        with TensorBoard(tmp_path, latent_dim=8, hparams={}) as board:
            for row in rows:
                board.evaluation(row)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    events = read(tmp_path)
    assert len(events.Scalars("val/elbo")) == 4
    assert [image.step for image in events.Images("kl_heatmap")] == [300]


def test_purge_step_replaces_what_an_interrupted_run_wrote_from_there_on(tmp_path):
    rows = history(rows=8)
    with TensorBoard(tmp_path, latent_dim=8, hparams=HPARAMS) as board:
        for row in rows[:6]:
            board.evaluation(row | {"elbo": -1.0})
    # Event files are read in the order of their names, which hold whole seconds.
    time.sleep(1.1)
    resumed = TensorBoard(
        tmp_path, latent_dim=8, hparams=HPARAMS, purge_step=rows[4]["step"], history=rows[:4]
    )
    with resumed as board:
        for row in rows[4:]:
            board.evaluation(row | {"elbo": -2.0})
    events = read(tmp_path)
    expected = [(row["step"], -1.0 if row["step"] < 400 else -2.0) for row in rows]
    assert values(events, "val/elbo") == expected
    # The map of the resumed run shows the rows from before, too: 8 columns.
    (image,) = events.Images("kl_heatmap")
    assert image.step == 700
    assert image.width % 8 == 0


def test_rows_of_a_diverged_run_are_written(tmp_path):
    rows = history(rows=3)
    rows[1] |= {"elbo": float("nan"), "rate": None, "kl_per_dim": [None, float("nan")] + [0.0] * 6}
    rows[2] |= {"elbo": float("inf"), "kl_per_dim": [float("nan")] * 8, "active_units": None}
    with TensorBoard(tmp_path, latent_dim=8, hparams={}) as board:
        for row in rows:
            board.evaluation(row)
        board.final({"elbo": None, "rate": float("nan")})
    events = read(tmp_path)
    assert len(events.Scalars("val/elbo")) == 3
    assert len(events.Scalars("val/rate")) == 2  # None is "not measured": no point
    assert len(events.Histograms("kl_per_dim")) == 2
    assert "final/elbo" not in events.Tags()["scalars"]


@pytest.mark.parametrize("latent_dim", [1, 512])
def test_curves_per_dimension_stop_at_64(tmp_path, latent_dim):
    rows = history(rows=2, latent_dim=latent_dim, alive=1)
    with TensorBoard(tmp_path, latent_dim=latent_dim, hparams={}) as board:
        for row in rows:
            board.evaluation(row)
    tags = read(tmp_path).Tags()
    curves = [tag for tag in tags["scalars"] if tag.startswith("kl_per_dim/")]
    assert curves == (["kl_per_dim/000"] if latent_dim == 1 else [])
    assert tags["histograms"] == ["kl_per_dim"]
    assert tags["images"] == ["kl_heatmap"]


def test_closing_twice_is_fine_and_writing_afterwards_is_refused(tmp_path):
    board = TensorBoard(tmp_path, latent_dim=8, hparams={})
    board.close()
    board.close()
    with pytest.raises(RuntimeError, match="closed"):
        board.evaluation(history(rows=1)[0])
    assert len(list(tmp_path.iterdir())) == 1


def test_data_that_are_no_pictures_are_left_out(tmp_path):
    with TensorBoard(tmp_path, latent_dim=8, hparams={}) as board:
        board.pictures(1, torch.rand(4, 9), torch.rand(4, 9), torch.rand(4, 9))
        board.pictures(2)
    assert read(tmp_path).Tags()["images"] == []


def test_hparams_name_settings_with_dots_and_keeps_only_finite_numbers_as_numbers():
    assert as_hparams(HPARAMS) == {
        "model.latent_dim": 8,
        "model.name": "mlp",
        "lr": 1e-3,
        "amp": "True",
        "root": "None",
        "layers": "[16, 8]",
        "lowest": "-inf",
    }
