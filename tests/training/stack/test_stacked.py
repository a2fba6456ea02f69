"""A stack against its runs alone: same start, same batches, same losses, same files."""

import dataclasses
import itertools
import signal
from pathlib import Path

import pytest
import torch
from stacks import configs, fits, loaded
from torch.func import functional_call

from vaecli.config.compose import CONFIGS
from vaecli.config.options import find
from vaecli.models.parts.stacked_layers import LayersAsAlone
from vaecli.objectives.strategies.base import Strategy
from vaecli.runs.build import build
from vaecli.training import checkpoint
from vaecli.training.meter import Diverged
from vaecli.training.signals import StopRequests
from vaecli.training.stack.adam import Rates, StackedAdam
from vaecli.training.stack.stack import Stack
from vaecli.training.stack.stackable import agree

STRATEGIES = sorted(path.stem for path in (Path(CONFIGS) / "strategy").glob("*.yaml"))
MODELS = sorted(
    path.stem
    for path in (Path(CONFIGS) / "model").glob("*.yaml")
    if "pooling" not in path.read_text()
)  # those of sequences are not stacked


def losses_of(fit):
    """A list that will hold the loss of every update of the run, once its meter has taken it."""
    seen = []
    take = fit.meter.take
    fit.meter.take = lambda rows, *when: (seen.extend(row[0] for row in rows), take(rows, *when))[1]
    return seen


def losses_alone(fit):
    """The loss of every update, until the run's end."""
    seen = losses_of(fit)
    fit.run(StopRequests(), fit.observer)
    return seen


def losses_stacked(members):
    ended, seen = [], [losses_of(member) for member in members]
    Stack(members, lambda fit, error: ended.append((fit, error))).run(StopRequests())
    return seen, ended


def assert_parity(common, own, tmp_path, *, relative=1e-5, first=100):
    alone = fits(common, own, tmp_path, "alone")
    stacked = fits(common, own, tmp_path, "stacked")
    for one, other in itertools.pairwise(stacked):
        assert agree(one.objective.vae, other.objective.vae)
    for one, other in zip(alone, stacked, strict=True):
        for name, value in one.objective.vae.state_dict().items():
            assert value.equal(other.objective.vae.state_dict()[name]), name
    expected = [losses_alone(fit) for fit in alone]
    found, ended = losses_stacked(stacked)
    assert not ended
    for ours, theirs in zip(found, expected, strict=True):
        assert len(ours) == len(theirs)
        assert ours[:first] == pytest.approx(theirs[:first], rel=relative)
    return alone, stacked


# Runs that differ in all that may differ within a stack: seed, schedule, learning rate, decay.
DIFFERENT = (
    ["seed=0", "schedule.beta=0.5"],
    ["seed=1", "schedule=linear", "schedule.beta=4", "trainer.lr=3e-4"],
    ["seed=1", "schedule=cyclical", "trainer.weight_decay=1e-2"],
)
# aggressive is not stackable; decoder_dropout, not for an MLP, has a test of its own below.
STACKED = sorted(set(STRATEGIES) - {"aggressive", "decoder_dropout"})


def numbers(strategy):
    """Every key of the strategy that is a number, and that a sweep may vary within a stack."""
    fields = dataclasses.fields(find("strategy", strategy, Strategy))
    return [f"strategy.{field.name}" for field in fields if field.type in ("float", float)]


@pytest.mark.parametrize("updates", [30, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.parametrize("strategy", STACKED)
def test_every_stackable_strategy_trains_in_a_stack_as_it_does_alone(strategy, updates, tmp_path):
    """To the bit: an MLP on one thread sums in one order, stacked or not."""
    own = [
        [*one, *(f"{key}={0.2 + 0.3 * i}" for key in numbers(strategy))]
        for i, one in enumerate(DIFFERENT)
    ]
    common = [f"strategy={strategy}", f"trainer.max_steps={updates}", "data.limit=400"]
    common += ["trainer.evaluate_every=4"]
    alone, stacked = assert_parity(common, own, tmp_path, relative=0)
    for one, other in zip(alone, stacked, strict=True):
        assert len(one.observer.rows) == len(other.observer.rows) > 2
        for ours, theirs in zip(other.observer.rows, one.observer.rows, strict=True):
            for figure in ("elbo", "rate", "distortion", "mutual_information", "loss", "beta"):
                assert ours[figure] == pytest.approx(theirs[figure], rel=1e-4, abs=1e-4)
            assert ours["encoder_updates"] == theirs["encoder_updates"]


def test_runs_that_drop_different_shares_of_the_pixels_train_in_a_stack_as_alone(tmp_path):
    common = ["model=pixelcnn", "strategy=decoder_dropout", "data.limit=300", "trainer.max_steps=4"]
    own = [["strategy.dropped=0.1"], ["strategy.dropped=0.9"], ["seed=1", "strategy.dropped=0.5"]]
    assert_parity([*common, "trainer.batch_size=64"], own, tmp_path)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian_learned"])
def test_every_model_and_likelihood_trains_in_a_stack_as_it_does_alone(model, likelihood, tmp_path):
    common = [f"model={model}", f"likelihood={likelihood}", "trainer.max_steps=4"]
    common += ["data.limit=300", "data.binarise=none", "trainer.batch_size=64"]
    assert_parity(common, [["seed=0"], ["seed=1", "schedule.beta=2"]], tmp_path)


@pytest.mark.parametrize(
    "extra",
    [
        ["trainer.clip=2"],
        ["trainer.optimizer=adamw", "trainer.weight_decay=0.1", "trainer.lr_schedule=cosine"],
        ["data.binarise=none", "likelihood=gaussian"],
        ["strategy=[free_bits,encoder_steps]"],
    ],
    ids=["clip", "adamw", "gaussian", "combined"],
)
def test_every_way_of_training_is_the_same_in_a_stack(extra, tmp_path):
    own = [[*one] for one in DIFFERENT]
    if "trainer.clip=2" in extra:
        own[2].append("trainer.clip=0.5")
    assert_parity([*extra, "trainer.max_steps=20", "data.limit=400"], own, tmp_path)


@pytest.mark.parametrize("decoupled", [False, True])
def test_stacked_adam_is_torchs_adam_for_each_run_to_the_bit(decoupled):
    torch.manual_seed(0)
    shapes = {"encoder": [(7, 5), (5,)], "decoder": [(3, 4, 2)]}
    lrs = [{"encoder": e, "decoder": d} for e, d in ((1e-3, 1e-3), (5e-2, 0.1), (5e-2, 0.1))]
    rates = [
        Rates(tuple(lr.items()), decay) for lr, decay in zip(lrs, (0.0, 0.2, 0.2), strict=True)
    ]
    leaves = {g: [torch.randn(3, *shape).requires_grad_() for shape in shapes[g]] for g in shapes}
    alone = [
        {g: [leaf[s].detach().clone().requires_grad_() for leaf in leaves[g]] for g in leaves}
        for s in range(3)
    ]
    cls = torch.optim.AdamW if decoupled else torch.optim.Adam
    theirs = [
        cls(
            [{"params": alone[s][g], "lr": lrs[s][g]} for g in leaves],
            weight_decay=rates[s].weight_decay,
            fused=True,
        )
        for s in range(3)
    ]
    ours = StackedAdam(leaves, rates, decoupled=decoupled)
    for step in range(40):
        for optimizer in theirs:
            for group in optimizer.param_groups:
                group["lr"] *= 0.9
        resting = "decoder" if step % 3 == 1 else None
        for group, place, leaf in every(leaves):
            gradient = torch.randn_like(leaf) * 10 ** torch.randn(3, *[1] * (leaf.dim() - 1))
            for s in range(3):
                alone[s][group][place].grad = None if group == resting else gradient[s].clone()
            leaf.grad = None if group == resting else gradient
        ours.step(0.9 ** (step + 1))
        for optimizer in theirs:
            optimizer.step()
    for group, place, leaf in every(leaves):
        for s in range(3):
            expected = alone[s][group][place]
            # their rate was multiplied step by step: the last bits of the rate differ
            assert torch.allclose(leaf[s], expected, rtol=1e-6, atol=1e-6)
            for key, value in ours.state(leaf, s).items():
                assert value.equal(theirs[s].state[expected][key]), key


def every(leaves):
    return [(group, place, leaf) for group in leaves for place, leaf in enumerate(leaves[group])]


def test_a_run_that_diverges_leaves_and_the_others_do_not_notice(tmp_path):
    common = ["trainer.max_steps=60", "data.limit=400"]  # the losses are looked at after 50
    own = [["seed=0"], ["seed=1", "trainer.lr=1e15"], ["seed=2", "schedule.beta=4"]]
    sound = fits(common, [own[0], own[2]], tmp_path, "alone")
    expected = [losses_alone(fit) for fit in sound]
    members = fits(common, own, tmp_path, "stacked")
    ended = []
    stack = Stack(members, lambda fit, error: ended.append((fit, error)))
    stack.run(StopRequests())
    assert [fit for fit, _ in ended] == [members[1]]
    assert isinstance(ended[0][1], Diverged)
    assert set(stack.fits) == {members[0], members[2]}
    for fit, theirs, losses in zip(members[::2], sound, expected, strict=True):
        assert fit.progress.step == 60
        assert len(losses) == 60
        ours = fit.objective.vae.state_dict()
        for name, value in theirs.objective.vae.state_dict().items():
            assert torch.allclose(ours[name], value, atol=1e-3), name
    assert not (tmp_path / "stacked1" / "last.pt").exists()


def test_a_run_that_raises_while_it_is_recorded_leaves_alone(tmp_path):
    members = fits(
        ["trainer.max_steps=12", "data.limit=600"], [["seed=0"], ["seed=1"]], tmp_path, "s"
    )

    def refuse(row):
        raise OSError("no space left")

    members[0].observer.evaluation = refuse
    ended = []
    stack = Stack(members, lambda fit, error: ended.append(str(error)))
    stack.run(StopRequests())
    assert ended == ["no space left"]
    assert stack.fits == [members[1]]
    assert members[1].progress.step == 12


def test_a_checkpoint_of_a_stacked_run_goes_on_alone_as_if_it_had_always_been(tmp_path):
    common = ["data.limit=400", "strategy=encoder_steps", "trainer.lr_schedule=linear"]
    own = [["seed=0"], ["seed=0", "schedule.beta=3"], ["seed=5"]]
    members = fits([*common, "trainer.epochs=5"], own, tmp_path, "stacked")
    stack = Stack(members, lambda fit, error: pytest.fail(str(error)))
    half = members[0].per_epoch * 2

    class Halfway(StopRequests):
        received = property(
            lambda self: signal.SIGTERM if stack.step == half else None, lambda self, v: None
        )

    with pytest.raises(Exception, match="SIGTERM"):
        stack.run(Halfway())
    alone = fits([*common, "trainer.epochs=5"], own, tmp_path, "alone")
    resumed = fits([*common, "trainer.epochs=5"], own, tmp_path, "resumed")
    for number, (fit, again) in enumerate(zip(alone, resumed, strict=True)):
        again.load_state_dict(checkpoint.load(tmp_path / f"stacked{number}" / "last.pt"))
        assert again.progress.step == half
        fit.run(StopRequests(), fit.observer)
    for member in resumed[1:]:
        member.run(StopRequests(), member.observer)
    # the first goes on in a stack of one: what a stack writes, a stack can read
    Stack(resumed[:1], lambda fit, error: pytest.fail(str(error))).run(StopRequests())
    for fit, again in zip(alone, resumed, strict=True):
        assert again.progress.encoder_updates == fit.progress.encoder_updates
        assert again.observer.rows[-1]["elbo"] == pytest.approx(
            fit.observer.rows[-1]["elbo"], rel=1e-4
        )


def test_a_checkpoint_holds_one_run_and_not_the_stack_behind_it(tmp_path):
    own = [[f"seed={s}"] for s in range(8)]
    members = fits(["trainer.max_steps=2", "data.limit=300"], own, tmp_path, "s")
    alone = fits(["trainer.max_steps=2", "data.limit=300"], own[:1], tmp_path, "alone")[0]
    Stack(members, lambda fit, error: pytest.fail(str(error))).run(StopRequests())
    alone.run(StopRequests(), alone.observer)
    size = (tmp_path / "s0" / "last.pt").stat().st_size
    assert size == pytest.approx((tmp_path / "alone0" / "last.pt").stat().st_size, rel=0.05)


def test_models_that_differ_in_a_plain_number_do_not_agree():
    common = ["data=gaussian", "likelihood=gaussian"]
    own = [["likelihood.sigma=1"], ["likelihood.sigma=2"], ["likelihood.sigma=1", "seed=3"]]
    made = configs(common, own)
    data = loaded(made[0].data)
    first, other, same = (build(config, data).vae for config in made)
    assert not agree(first, other)
    assert agree(first, same)
    wider = configs(["data=gaussian", "model.encoder_width=7"], [[]])[0]
    assert not agree(first, build(wider, data).vae)


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_bf16_stacks_agree_with_bf16_runs(model, tmp_path):
    """Sums of 64 pixels and 128 examples: far closer than bf16's rounding of one number, 4e-3."""
    own = [["seed=0"], ["seed=1", "schedule.beta=4"]]
    common = ["trainer.max_steps=10", "data.limit=600", f"model={model}"]
    alone = fits(common, own, tmp_path, "alone", dtype=torch.bfloat16)
    expected = [losses_alone(fit) for fit in alone]
    found, _ = losses_stacked(fits(common, own, tmp_path, "stacked", dtype=torch.bfloat16))
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3)


def test_every_kind_of_layer_computes_in_bf16_under_vmap_too():
    """vmap alone takes affine layers and convolutions past autocast."""
    layers = [
        (torch.nn.Linear(4, 3), (5, 4)),
        (torch.nn.Linear(4, 3, bias=False), (5, 4)),
        (torch.nn.Conv2d(2, 3, 3), (5, 2, 8, 8)),
        (torch.nn.ConvTranspose2d(2, 3, 3), (5, 2, 8, 8)),
    ]
    for layer, shape in layers:
        weights = {k: torch.stack([v, v]).detach() for k, v in layer.named_parameters()}
        with torch.autocast("cpu", dtype=torch.bfloat16), LayersAsAlone():
            mapped = torch.vmap(lambda w, x, layer=layer: functional_call(layer, w, (x,)))
            out = mapped(weights, torch.randn(2, *shape))
        assert out.dtype is torch.bfloat16, layer
