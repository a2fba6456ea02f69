import numpy as np
import pytest
import torch
from made_up import diagnosis, history, old_diagnosis, pictures
from matplotlib._pylab_helpers import Gcf
from PIL import Image

from vaecli.reporting.page.words import CAPTIONS
from vaecli.reporting.plots.heat import (
    LOWEST_NATS,
    NOT_FINITE,
    by_last_kl,
    colour_table,
    heat_image,
    kl_matrix,
)
from vaecli.reporting.plots.latent_plots import kl_per_dim, latent_variance, tsne
from vaecli.reporting.plots.look import MARK
from vaecli.reporting.plots.mosaic import mosaic
from vaecli.reporting.plots.posterior_plots import aggregate_posterior, dimensions_to_show
from vaecli.reporting.plots.run_plots import Pictures, write_plots
from vaecli.reporting.plots.training_plots import active_over_training, rate_distortion
from vaecli.reporting.plots.use_plots import collapse_curve, latent_use, rate_split
from vaecli.training.progress import collapse_step

TRAINING = ["kl_heatmap", "active_over_training", "rate_distortion", "kl_per_dim"]
FROM_NUMBERS = [*TRAINING, "latent_use", "use_by_position", "rate_split", "collapse_curve"]
OF_CODES = ["latent_variance", "aggregate_posterior", "collapse_curve", "tsne"]
OF_IMAGES = ["reconstructions", "samples", "traversals"]
ALL = [*TRAINING, "latent_use", "use_by_position", "rate_split", *OF_CODES, *OF_IMAGES]


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def check(paths):
    """Every file decodes at page width and shows something."""
    for path in paths:
        shown = pixels(path)
        assert 200 <= shown.shape[0] <= 1500, path.name
        assert 700 <= shown.shape[1] <= 900, path.name
        ink = (shown != 255).any(axis=2).mean()
        assert 0.005 < ink < 0.95, f"{path.name}: {ink:.3f} of it is not white"


def grey(shown, value):
    return (shown == value).all(axis=-1)


def test_all_inputs_give_all_plots_with_captions_and_no_other_file(tmp_path):
    paths = write_plots(tmp_path / "plots", history(), diagnosis(), pictures())
    assert [p.stem for p in paths] == ALL
    assert set(ALL) == CAPTIONS.keys()
    assert sorted((tmp_path / "plots").iterdir()) == sorted(paths)
    check(paths)
    assert Gcf.figs == {}  # pyplot holds no figure open


def test_without_pictures_the_plots_of_the_numbers_remain(tmp_path):
    paths = write_plots(tmp_path, history(), diagnosis(), Pictures())
    assert [p.stem for p in paths] == FROM_NUMBERS
    vectors = Pictures(originals=torch.rand(5, 9), reconstructions=torch.rand(5, 9))
    assert [p.stem for p in write_plots(tmp_path, history(), diagnosis(), vectors)] == FROM_NUMBERS


def test_a_diagnosis_from_before_the_groups_gives_the_plots_that_need_none(tmp_path):
    shown = pictures()._replace(codes=None, kl=None)
    paths = write_plots(tmp_path, history(), old_diagnosis(), shown)
    groups = {*FROM_NUMBERS, "aggregate_posterior"} - set(TRAINING)
    assert [p.stem for p in paths] == [name for name in ALL if name not in groups]


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_short_histories_are_drawn(tmp_path, rows):
    check(write_plots(tmp_path, history(rows=rows), diagnosis(), Pictures()))


def test_a_run_that_diverged_is_drawn(tmp_path):
    rows, found, shown = history(), diagnosis(), pictures()
    for row in rows[-3:]:
        row |= {"elbo": float("nan"), "rate": None, "distortion": float("inf"), "loss": None}
        row |= {"kl_per_dim": [float("nan"), None] + row["kl_per_dim"][2:]}
        row |= {"active_dimensions": None, "active_units": None, "beta": None}
    found["kl_per_dim"] = [float("nan"), None] + found["kl_per_dim"][2:]
    found["mu_variance"] = None
    found["latent_use"]["rise_per_dim"][:2] = [float("nan"), None]
    found["latent_use"]["shuffled"]["value"] = None
    for part in (shown.mu, shown.codes, shown.kl):
        part[3, 0] = float("nan")
    check(write_plots(tmp_path / "end", rows, found, shown))
    shown = shown._replace(originals=None, samples=None, traversals=None)
    for row in rows:
        row["kl_per_dim"] = [float("nan")] * 8
        row["distortion"] = float("nan")
    found["kl_per_dim"] = [float("nan")] * 8
    found["latent_use"]["rise_per_dim"] = [None] * 8
    found["information"]["rate_split"]["marginal_kl"]["value"] = None
    found["collapse_curve"]["collapsed_at_threshold"] = None
    for part in (shown.mu, shown.codes, shown.kl):
        part[:] = float("nan")
    check(write_plots(tmp_path / "throughout", rows, found, shown))


@pytest.mark.parametrize("latent_dim", [1, 512])
def test_one_and_many_dimensions(tmp_path, latent_dim):
    alive = min(4, latent_dim)
    rows = history(latent_dim=latent_dim, alive=alive)
    shown = pictures(latent_dim=latent_dim, labels=False, channels=3)
    check(write_plots(tmp_path, rows, diagnosis(latent_dim=latent_dim, alive=alive), shown))


@pytest.mark.parametrize("classes", [1, 47])
def test_any_number_of_classes_on_the_map(tmp_path, classes):
    labels = torch.arange(150) % classes
    tsne(torch.randn(150, 2), labels).savefig(tmp_path / "tsne.png")
    check([tmp_path / "tsne.png"])


def test_collapsed_run_has_no_blue_bar_and_a_healthy_one_has():
    def blue(alive):
        canvas = kl_per_dim(diagnosis(alive=alive)).canvas
        canvas.draw()
        shown = np.asarray(canvas.buffer_rgba())[..., :3]
        return int((shown == (0x00, 0x72, 0xB2)).all(axis=-1).sum())

    # The legend's patch is blue in both.
    assert blue(alive=4) > 10 * blue(alive=0)


def test_variance_of_a_collapsed_dimension_is_all_noise():
    mu = torch.stack([torch.tensor([-1.0, 1.0] * 50), torch.zeros(100)], dim=1)  # (100, 2)
    logvar = torch.stack([torch.full((100,), -20.0), torch.zeros(100)], dim=1)
    bars = latent_variance(mu, logvar).axes[0].patches
    heights = [bar.get_height() for bar in bars]
    # signal of dimensions 0, 1; then their noise; exp(-20) is 2e-9
    assert heights == pytest.approx([1, 0, 0, 1], abs=1e-6)


def test_histograms_show_the_most_used_dimensions_and_a_few_collapsed_ones():
    def dimensions(alive, latent_dim):
        kl = diagnosis(latent_dim=latent_dim, alive=alive)["kl_per_dim"]
        return dimensions_to_show(np.array(kl), 0.01)

    assert dimensions(8, 8) == list(range(8))
    assert dimensions(40, 40) == list(range(12))
    assert dimensions(20, 40)[:10] == list(range(10))
    assert [j < 20 for j in dimensions(20, 40)] == [True] * 10 + [False] * 2
    assert len(dimensions(0, 40)) == 4
    assert dimensions_to_show(np.array([np.nan, 0.5]), 0.01) == [1, 0]


def test_histograms_of_codes_have_the_area_of_a_density():
    codes = torch.randn(500, 2, generator=torch.Generator().manual_seed(1))
    codes[0] = 40.0  # far out: counted at the edge, not lost
    drawn = aggregate_posterior(codes, diagnosis(latent_dim=2, alive=1))
    for panel in drawn.axes[0].child_axes:
        density, edges, _ = panel.patches[0].get_data()
        assert (density * np.diff(edges)).sum() == pytest.approx(1.0, abs=1e-9)


def test_a_precise_posterior_is_drawn_to_its_full_height():
    mu = torch.randn(50, 1, generator=torch.Generator().manual_seed(1))
    logvar = torch.full((50, 1), -12.0)  # sigma 0.0025: less than a step of the panel's grid
    drawn = aggregate_posterior(mu, diagnosis(latent_dim=1, alive=1), mu=mu, logvar=logvar)
    *singles, prior = drawn.axes[0].child_axes[0].lines
    heights = [line.get_ydata().max() for line in singles]
    assert heights == pytest.approx([prior.get_ydata().max()] * 5, rel=1e-9)


def test_thin_lines_are_the_share_of_inputs_below_epsilon():
    kl = torch.full((100, 2), 1e-7)
    kl[:30, 1] = 0.5  # dimension 1 is used by 30 of 100 inputs
    drawn = collapse_curve(diagnosis(latent_dim=2, alive=1), kl)
    (lines,) = drawn.axes[0].collections[:1]
    one, other = (np.asarray(segment)[:, 1] for segment in lines.get_segments())
    assert (one == 1.0).all()
    assert sorted(set(other.tolist())) == [0.7, 1.0]


def test_bars_of_use_stand_below_the_bars_of_kl_of_the_same_dimension():
    found = diagnosis(latent_dim=6, alive=3)
    found["kl_per_dim"] = found["kl_per_dim"][::-1]
    upper, lower, whole = latent_use(found).axes[0].child_axes
    order = [5, 4, 3, 0, 1, 2]
    for axes, values in (
        (upper, found["kl_per_dim"]),
        (lower, found["latent_use"]["rise_per_dim"]),
    ):
        assert [bar.get_height() for bar in axes.patches] == [values[j] for j in order]
    assert upper.get_ylim() == lower.get_ylim()  # heights compare
    assert [bar.get_height() for bar in whole.patches] == [14.27, 13.39, 6.171]


def test_the_parts_of_the_bar_add_up_to_the_rate():
    found = diagnosis()
    parts = rate_split(found).axes[0].patches
    assert [bar.get_width() for bar in parts] == pytest.approx(
        [share * sum(found["kl_per_dim"]) for share in (0.91, 0.06, 0.03)]
    )
    ends = [bar.get_x() + bar.get_width() for bar in parts]
    assert [bar.get_x() for bar in parts] == pytest.approx([0, *ends[:-1]])


def test_a_saturated_estimate_is_titled_as_a_bound():
    def title(draw, **shape):
        return draw(diagnosis(**shape)).axes[0].get_title(loc="left")

    assert title(rate_split) == "91% of the rate is information"
    assert title(rate_split, saturated=True) == "At least 91% of the rate is information"
    codes = torch.randn(50, 8, generator=torch.Generator().manual_seed(1))
    for saturated, words in ((False, "are 0."), (True, "are at most 0.")):
        assert words in title(lambda d: aggregate_posterior(codes, d), saturated=saturated)


def collapse_marks(drawn):
    """Epochs at which a figure over training marks a collapse."""
    return [line.get_xdata()[0] for line in drawn.axes[0].lines if line.get_color() == MARK]


def test_the_collapse_is_marked_at_the_epoch_of_its_step():
    rows = history()  # an evaluation each 2.5 epochs and 100 steps
    assert collapse_marks(active_over_training(rows, collapsed_at_step=300)) == [7.5]
    assert collapse_marks(active_over_training(rows)) == []


@pytest.mark.parametrize(
    ("summary", "marked"),
    [
        ({"run_state": "done", "collapsed_at_step": 500}, 500),
        ({"run_state": "done", "collapsed_at_step": None}, None),
        ({"run_state": "done"}, 300),  # recorded before summaries had the step
        ({"run_state": "interrupted", "collapsed_at_step": None}, 300),
        ({}, 300),
    ],
)
def test_a_finished_run_is_marked_where_it_recorded_its_collapse_and_others_by_their_rows(
    tmp_path, summary, marked
):
    rows = [row | {"active_dimensions": 0, "beta": 1.0} for row in history()]
    (tmp_path / "expected").mkdir()
    active_over_training(rows, 0.01, marked).savefig(tmp_path / "expected" / "a.png")
    paths = write_plots(tmp_path / "plots", rows, diagnosis(), Pictures(), summary)
    assert (pixels(paths[1]) == pixels(tmp_path / "expected" / "a.png")).all()


def test_collapse_is_noticed_at_the_third_dead_evaluation_in_a_row_under_positive_beta():
    def rows(active, beta):
        pairs = enumerate(zip(active, beta, strict=True))
        return [{"step": i, "active_dimensions": a, "beta": b} for i, (a, b) in pairs]

    assert collapse_step(rows([0, 0, 0, 0], [0, 0, 0, 1])) is None
    assert collapse_step(rows([3, 0, 0, 1, 0, 0, 0], [1] * 7)) == 6
    assert collapse_step(rows([0, 0, 0], [1] * 3)) is None  # the start is untrained
    assert collapse_step(rows([0, 0, 0, 0], [1] * 4)) == 3
    assert collapse_step(rows([3, 0, 0], [1] * 3)) is None
    assert collapse_step([{"step": 1}, {"active_dimensions": 0, "beta": None}]) is None
    assert collapse_step([]) is None


def test_an_untrained_start_far_off_does_not_flatten_the_path():
    rows = history(rows=20)
    rows[0]["distortion"] = 1e5
    drawn = rate_distortion(rows)
    low, high = drawn.axes[0].get_ylim()
    assert high - low < 30  # nats; the later path spans ten


def test_the_colour_table_steps_from_grey_to_colour_at_the_threshold():
    table = colour_table(1.0, 0.01).astype(int)
    dead = 128  # log10: two of the four decades from 1e-4 to 1 lie below 1e-2
    assert (np.ptp(table[:dead], axis=1) == 0).all()
    assert (np.ptp(table[dead:], axis=1) > 50).all()


def test_heat_image_sorts_dimensions_and_greys_the_dead():
    rows = history(rows=5, latent_dim=3, alive=0)
    for row, kl in zip(rows, ([1, 1, 1], [1, 1, 1], [0, 1, 1], [0, 1, 2], [0, 1, 2]), strict=True):
        row["kl_per_dim"] = [float(v) for v in kl]
    shown = heat_image(rows, 0.01)
    height, width, _ = shown.shape
    assert height >= 256
    assert width >= 400
    blocks = shown[height // 6 :: height // 3, width // 10 :: width // 5]  # (3, 5, 3)
    is_grey = np.ptp(blocks.astype(int), axis=2) == 0
    # most used on top; dimension 0, at the bottom, dies at the third evaluation
    assert is_grey.tolist() == [[False] * 5, [False] * 5, [False, False, True, True, True]]


def test_heat_image_marks_what_is_not_a_number_and_takes_none_for_it():
    rows = history(rows=2, latent_dim=2)
    rows[1]["kl_per_dim"] = [float("nan"), None]
    shown = heat_image(rows, 0.01)
    assert (shown[:, -1] == NOT_FINITE).all()
    assert not (shown[:, 0] == NOT_FINITE).all(axis=-1).any()
    assert heat_image([], 0.01) is None


def test_order_follows_the_last_finite_evaluation():
    _, kl = kl_matrix(
        [
            {"epoch": 0.0, "kl_per_dim": [1.0, 3.0, 2.0]},
            {"epoch": 1.0, "kl_per_dim": [9.0, None, 0]},
        ]
    )
    assert by_last_kl(kl).tolist() == [1, 2, 0]
    assert LOWEST_NATS < 0.01


def test_mosaic_places_pictures_in_reading_order():
    tiles = torch.zeros(3, 1, 8, 8)
    tiles[1] = 1.0
    tiles[2] = 0.5
    sheet = mosaic(tiles, columns=2)
    size = 56  # 8 pixels, each enlarged 7 times; the gap is 4
    assert sheet.shape == (2 * size + 4, 2 * size + 4, 3)
    assert sheet[10, 10].tolist() == [0, 0, 0]
    assert sheet[10, size + 14].tolist() == [255, 255, 255]
    assert sheet[size + 14, 10].tolist() == [128, 128, 128]
    assert sheet[size + 14, size + 14].tolist() == [255, 255, 255]  # no fourth picture
