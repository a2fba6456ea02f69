"""diagnose_collapse for models that know nothing of vaecli."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import vaecli


class Foreign(nn.Module):
    """Flat input only; dimension 0 follows the first pixel, the others are the prior."""

    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.9)
        self.linear = nn.Linear(16, 1)

    def encode(self, x):
        mu = torch.zeros(len(x), 4)
        mu[:, 0] = self.drop(x @ torch.ones(16, 1) / 4)[:, 0]
        return mu, torch.zeros(len(x), 4)


@pytest.fixture
def images():
    return torch.randn(60, 1, 4, 4, generator=torch.Generator().manual_seed(0))


def test_a_foreign_model_gets_the_flat_keys_and_its_mode_back(images):
    model = Foreign().train()
    loader = DataLoader(TensorDataset(images, torch.zeros(60)), batch_size=32)
    found = vaecli.diagnose_collapse(model, loader, "cpu")
    assert model.training
    assert found["active_dimensions"] == found["active_units"] == 1
    assert found["status"] == "PARTIAL COLLAPSE"  # 1 of 4
    assert found["examples"] == 60
    expected = ((images.flatten(1).sum(1) / 4) ** 2 / 2).mean().item()
    assert found["kl_per_dim"] == pytest.approx([expected, 0, 0, 0], rel=1e-5)
    assert found["warnings"] == [
        "encode rejected batches of shape (32, 1, 4, 4); they were flattened"
    ]


def test_batches_without_labels_and_plain_objects_work(images):
    class Plain:
        def encode(self, x):
            return x.flatten(1)[:, :2], torch.zeros(len(x), 2)

    found = vaecli.diagnose_collapse(Plain(), [images[:30], images[30:]], "cpu", threshold=0.3)
    assert found["warnings"] == []
    assert found["threshold"] == 0.3
    assert found["active_dimensions"] == 2


def test_the_mode_comes_back_when_encode_fails():
    class Broken(nn.Module):
        def encode(self, x):
            raise RuntimeError("broken")

    model = Broken().train()
    with pytest.raises(RuntimeError, match="broken"):
        vaecli.diagnose_collapse(model, [torch.zeros(3, 2)], "cpu")
    assert model.training


def test_a_frozen_module_inside_a_model_in_training_stays_frozen(images):
    model = Foreign().train()
    model.drop.eval()
    vaecli.diagnose_collapse(model, [images.flatten(1)], "cpu")
    assert model.training
    assert not model.drop.training


def test_a_model_of_nan_is_no_collapse_but_an_error():
    class NotFinite:
        def encode(self, x):
            return x * float("nan"), x

    with pytest.raises(ValueError, match="not finite for 3 of 3"):
        vaecli.diagnose_collapse(NotFinite(), [torch.zeros(3, 2)], "cpu")


def test_an_empty_loader_and_a_wrong_encode_are_named():
    class Wrong:
        def encode(self, x):
            return x.mean(), x.mean()

    with pytest.raises(ValueError, match="no batch"):
        vaecli.diagnose_collapse(Wrong(), [], "cpu")
    with pytest.raises(ValueError, match="must return"):
        vaecli.diagnose_collapse(Wrong(), [torch.zeros(3, 2)], "cpu")


def test_a_run_diagnosed_as_a_foreign_model_gives_the_same_figures(train):
    ran = train("trainer.epochs=1", "diagnosis=quick")
    vae, data, _ = vaecli.load_run(ran.directory)
    found = vaecli.diagnose_collapse(vae, (data.test.x.float() / 255).split(100), "cpu")
    own = ran.json("diagnosis.json")
    for key in ("kl_per_dim", "rate", "mu_variance", "mean_logvar", "active_units"):
        assert found[key] == pytest.approx(own[key], abs=1e-6)
