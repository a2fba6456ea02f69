"""Word dropout: the share that is asked for, unseen by all but the decoder in training."""

import pytest
import torch
from hydra import compose, initialize_config_dir
from sentences import write

from vaecli.config.compose import CONFIGS
from vaecli.config.schema import read
from vaecli.core.errors import UsageError
from vaecli.data.files.vocabulary import UNKNOWN
from vaecli.objectives.strategies.decoder_dropout import Dropped
from vaecli.runs.build import build


def objective(*overrides):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = read(compose("config", ["strategy=decoder_dropout", *overrides]))
    data = config.data.load()
    return build(config, data), data


def noise_of(vae, B):
    return {name: torch.randn(shape) for name, shape in vae.noise_shapes(B).items()}


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_so_many_tokens_are_dropped_and_the_others_are_as_they_were(share):
    torch.manual_seed(0)
    reading, x = Dropped(share), torch.full((500, 1, 1, 40), 7)
    noise = {k: torch.randn(s) for k, s in reading.noise_shapes(500, (9, 1, 40)).items()}
    seen = reading(x, noise)
    assert set(seen.unique().tolist()) <= {7, UNKNOWN}
    # 5 standard errors of 20,000 draws
    assert (seen == UNKNOWN).double().mean().item() == pytest.approx(share, abs=0.018)


def test_a_pixel_is_dropped_with_all_its_channels():
    torch.manual_seed(0)
    reading, x = Dropped(0.5), torch.ones(4, 3, 6, 6)
    noise = {k: torch.randn(s) for k, s in reading.noise_shapes(4, (3, 6, 6)).items()}
    seen = reading(x, noise)
    assert set(seen.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(seen[:, 0], seen[:, 2])


@pytest.mark.parametrize("kind", ["pixels", "words"])
def test_with_everything_dropped_the_decoder_has_z_alone_and_only_in_training(kind, tmp_path):
    own = ["model=pixelcnn"]
    if kind == "words":
        own = ["model=lstm", "data=text", f"data.path={write(tmp_path / 't.txt')}"]
    made, data = objective("strategy.dropped=1", *own)
    vae = made.vae
    x = data.batch(data.train, torch.arange(6))
    blank = torch.full_like(x, UNKNOWN) if kind == "words" else torch.zeros_like(x)
    noise = noise_of(vae, 6)
    with torch.no_grad():
        terms = vae(x, noise)
        expected = vae.log_px(x, terms.z, blank)
        torch.testing.assert_close(terms.log_px, expected)
        assert not torch.allclose(vae.log_px(x, terms.z), expected)  # an evaluation reads x


def test_a_decoder_that_reads_nothing_is_refused():
    with pytest.raises(UsageError, match="model=pixelcnn"):
        objective("model=mlp")
