"""The loop against a loop written out by hand."""

from copy import deepcopy

import pytest
import torch
from stacks import Rows, fits

from vaecli.config.schema import read
from vaecli.core.randomness import generator
from vaecli.objectives.schedules.linear import Linear
from vaecli.runs.build import build
from vaecli.training.batches import Batches
from vaecli.training.fit import Fit
from vaecli.training.precision import Precision
from vaecli.training.signals import StopRequests
from vaecli.training.stack.stack import Stack


@pytest.fixture
def config():
    from hydra import compose, initialize_config_dir

    from vaecli.config.compose import CONFIGS

    def make(*overrides):
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            return read(compose("config", overrides=list(overrides)))

    return make


def fit(config, data, tmp_path):
    return Fit(
        build(config, data),
        data,
        trainer=config.trainer,
        schedule=config.schedule,
        precision=Precision(torch.device("cpu")),
        seed=config.seed,
        threshold=0.01,
        directory=tmp_path,
    )


def test_training_equals_a_loop_written_out_by_hand(config, tmp_path):
    c = config("trainer.max_steps=25", "schedule=linear", "schedule.beta=2", "data.limit=300")
    data = c.data.load()
    ours = fit(c, data, tmp_path)
    ours.run(StopRequests(), Rows())

    vae = build(c, data).vae
    adam = torch.optim.Adam(vae.parameters(), lr=c.trainer.lr)
    noise, pixels = (generator(0, p) for p in ("noise", "binarisation"))
    per_epoch = len(data.train.x) // 128
    betas = Linear(beta=2.0).curve(25, per_epoch)
    for step in range(25):
        epoch, position = divmod(step, per_epoch)
        order = torch.randperm(len(data.train.x), generator=generator(0, "order", index=epoch))
        index = order[128 * position : 128 * (position + 1)]
        x = torch.bernoulli(data.train.x[index].float() / 255, generator=pixels)
        mu, logvar = vae.encode(x)
        z = mu + (logvar / 2).exp() * torch.randn(1, 128, 10, generator=noise)[0]
        logits = vae.decoder(z, x) + vae.output_bias
        bce = torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum()
        loss = (bce + betas[step] * kl) / 128
        adam.zero_grad()
        loss.backward()
        adam.step()
    found, expected = ours.objective.vae.state_dict(), vae.state_dict()
    for name in expected:
        # The KL is written with expm1 here and exp - 1 there; 25 Adam steps carry that on.
        torch.testing.assert_close(found[name], expected[name], atol=2e-4, rtol=0, msg=name)


def test_encoder_only_updates_leave_the_decoder_as_it_is(config, tmp_path):
    c = config("strategy=encoder_steps", "strategy.encoder_steps=3", "trainer.max_steps=2")
    ours = fit(c, c.data.load(), tmp_path)
    moved = []
    for _ in range(6):
        before = [p.clone() for p in ours.groups["decoder"]]
        ours.update()
        moved.append(
            any(not torch.equal(a, b) for a, b in zip(before, ours.groups["decoder"], strict=True))
        )
    assert moved == [False, False, True] * 2
    assert (ours.progress.step, ours.progress.encoder_updates) == (2, 6)


def test_the_encoder_learning_rate_factor_scales_the_first_step(config, tmp_path):
    # Adam's first step is lr * sign(gradient), so the ratio of step lengths is the factor.
    steps = {}
    for factor in (1.0, 4.0):
        c = config(
            "strategy=encoder_steps",
            "strategy.encoder_steps=1",
            f"strategy.encoder_lr_factor={factor}",
        )
        ours = fit(c, c.data.load(), tmp_path)
        before = [p.detach().clone() for p in ours.groups["encoder"]]
        ours.update()
        steps[factor] = max(
            (a - b).abs().max().item() for a, b in zip(before, ours.groups["encoder"], strict=True)
        )
    assert steps[4.0] == pytest.approx(4 * steps[1.0], rel=1e-3)


def test_every_epoch_is_a_permutation_and_the_position_is_restored(config):
    data = config("data.limit=300").data.load()
    batches = Batches(data, 32, seed=1)
    taken = [batches.index("next") for _ in range(batches.per_epoch)]
    epoch = torch.cat(taken)
    assert len(epoch.unique()) == len(epoch) == batches.per_epoch * 32
    assert torch.equal(batches.index("held"), taken[-1])
    state = batches.state_dict()
    expected = [batches.index(which) for which in ("random", "next", "random", "held")]
    other = Batches(data, 32, seed=1)
    other.load_state_dict(state)
    found = [other.index(which) for which in ("random", "next", "random", "held")]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_decoder_of_another_size_does_not_change_the_other_parameters(config):
    data = config().data.load()
    small, large = (build(config(f"decoder={size}"), data).vae for size in ("small", "large"))
    for a, b in zip(small.encoder.parameters(), large.encoder.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_output_bias_starts_at_the_best_decoder_without_a_code(config):
    data = config().data.load()
    vae = build(config(), data).vae
    p = data.train.x.float().mean(0) / 255
    inside = (p > 0.01) & (p < 0.99)
    torch.testing.assert_close(vae.output_bias[inside].sigmoid(), p[inside], atol=1e-4, rtol=0)


def test_moments_are_laid_out_as_the_weights_are(config, tmp_path):
    """A GPU's checkpoint holds them channels-last, and Adam's kernel does not compare strides."""
    c = config("model=cnn", "data.limit=300", "trainer.max_steps=4")
    data = c.data.load()
    first, again = (fit(c, data, tmp_path) for _ in range(2))
    first.observer = Rows()
    first.meter.start()
    for _ in range(2):
        first.update()
    first.read_window()
    state = deepcopy(first.state_dict())
    for moments in state["optimizer"]["state"].values():
        for key in ("exp_avg", "exp_avg_sq"):
            if moments[key].dim() == 4:
                moments[key] = moments[key].to(memory_format=torch.channels_last)
    again.load_state_dict(state)
    first.update()
    again.update()
    for ours, theirs in zip(
        again.objective.parameters(), first.objective.parameters(), strict=True
    ):
        assert torch.equal(ours, theirs)
        assert again.optimizer.state[ours]["exp_avg"].stride() == ours.stride()


@pytest.mark.parametrize("strategy", ["none", "free_bits", "delta_vae", "encoder_steps"])
@pytest.mark.parametrize("stacked", [False, True])
def test_an_update_looks_at_no_value_on_the_device(tmp_path, monkeypatch, strategy, stacked):
    """On a GPU the host would wait. Counters of updates lie on the host, and may be read."""
    common = ["data.limit=300", "trainer.clip=1", f"strategy={strategy}", "schedule=linear"]
    members = fits(common, [["seed=0"], ["seed=1"]], tmp_path, "fit")
    trained = Stack(members, lambda fit, error: pytest.fail(str(error))) if stacked else members[0]
    members[0].meter.start()
    trained.update()

    def of_host():
        return [
            value
            for member in members
            for key, value in member.state.items()
            if key not in member.objective.loss_keys
        ]

    def never(name, original):
        def look(self, *arguments, **more):
            assert any(self is value for value in of_host()), name
            return original(self, *arguments, **more)

        return look

    for name in ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__"):
        monkeypatch.setattr(torch.Tensor, name, never(name, getattr(torch.Tensor, name)))
    for _ in range(10):
        trained.update()


def test_the_device_is_looked_at_once_in_fifty_updates(tmp_path, monkeypatch):
    """However short an epoch is, as long as nothing is due at its end."""
    rare = ["trainer.evaluate_every=60", "trainer.checkpoint_every=60", "trainer.epochs=60"]
    (one,) = fits(["data.limit=300", *rare], [[]], tmp_path, "fit")
    assert one.per_epoch == 2
    looks = []
    read_window = one.meter.read
    monkeypatch.setattr(one.meter, "read", lambda step: looks.append(step) or read_window(step))
    one.run(StopRequests(), one.observer)
    assert looks == [50, 100, 120]
