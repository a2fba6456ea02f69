"""Properties that every model family has, whatever its layers."""

# B batch, Z latent, C channels, H height, W width, S stacked runs

import math

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap

from vaecli.core.errors import UsageError
from vaecli.models.base import Capacity
from vaecli.models.cnn import CNN
from vaecli.models.linear import Linear
from vaecli.models.mlp import MLP
from vaecli.models.pixelcnn import PixelCNN
from vaecli.models.resnet import ResNet

Z = 3
FAMILIES = [Linear, MLP, CNN, ResNet, PixelCNN]
SHAPES = [(1, 8, 8), (1, 14, 14), (1, 28, 28), (3, 32, 32), (3, 64, 64), (1, 9, 13), (1, 4, 5)]
SIZED = [(family, size) for family in FAMILIES for size in family.capacities]

families = pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.__name__)
sized = pytest.mark.parametrize(
    ("family", "size"), SIZED, ids=[f"{family.__name__}-{size}" for family, size in SIZED]
)


def build(family, shape, size="medium", outputs=1, seed=0):
    torch.manual_seed(seed)
    model = family(latent_dim=Z)
    capacity = model.capacities[size]
    model.validate()
    model.validate_shape(shape)
    model.validate_capacity(capacity)
    return model.encoder(shape, 2 * Z), model.decoder(shape, outputs, capacity)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


class Both(nn.Module):
    """Encoder and decoder with the mean as the code, as one module to stack."""

    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, x):
        return self.decoder(self.encoder(x)[:, :Z], x)


@sized
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_encoder_and_decoder_return_the_promised_shapes(family, size, shape):
    for outputs in (1, 2):
        encoder, decoder = build(family, shape, size, outputs)
        x = torch.rand(2, *shape)
        with torch.no_grad():
            assert encoder(x).shape == (2, 2 * Z)
            assert decoder(torch.randn(2, Z), x).shape == (2, outputs * shape[0], *shape[1:])


@families
def test_capacity_changes_the_decoder_alone_and_every_size_up_adds_parameters(family):
    for shape in [(1, 8, 8), (3, 32, 32)]:
        built = [build(family, shape, size) for size in family.capacities]
        assert len({count(encoder) for encoder, _ in built}) == 1
        decoders = [count(decoder) for _, decoder in built]
        assert decoders == sorted(set(decoders)), "table rows must go from small to large"


@sized
def test_gradient_reaches_every_parameter(family, size):
    shape = (1, 9, 13)
    model = Both(*build(family, shape, size))
    model(torch.rand(8, *shape)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@families
def test_decoder_without_a_code_or_past_is_left_to_the_output_bias(family):
    """The last layer has no bias: scaling its weight to zero silences the decoder altogether."""
    shape = (1, 8, 8)
    _, decoder = build(family, shape)
    last = [module for module in decoder.modules() if hasattr(module, "weight")][-1]
    assert last.bias is None
    nn.init.zeros_(last.weight)
    assert decoder(torch.randn(2, Z), torch.rand(2, *shape)).abs().max() == 0


@pytest.mark.parametrize("family", [Linear, MLP, CNN, ResNet], ids=lambda f: f.__name__)
def test_decoder_that_is_not_autoregressive_ignores_x(family):
    shape = (1, 8, 8)
    _, decoder = build(family, shape)
    z = torch.randn(2, Z)
    assert not family.autoregressive
    assert torch.equal(decoder(z, torch.zeros(2, *shape)), decoder(z, torch.rand(2, *shape)))


@families
def test_examples_of_a_batch_do_not_influence_each_other(family):
    shape = (1, 8, 8)
    model = Both(*build(family, shape))
    x = torch.rand(4, *shape)
    with torch.no_grad():
        # float32 rounding of sums over some hundred terms, in another order for another batch
        torch.testing.assert_close(model(x)[:2], model(x[:2]), rtol=1e-4, atol=1e-6)


# A convolution whose weights are stacked has no direct kernel; vmap says so, and stacking knows.
@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
@sized
def test_two_stacked_copies_compute_what_each_computes_alone(family, size):
    shape = (1, 9, 13)
    models = [Both(*build(family, shape, size, seed=seed)) for seed in (0, 1)]
    x = torch.rand(2, 4, *shape)  # (S, B, C, H, W)
    parameters, buffers = stack_module_state(models)
    skeleton = models[0]

    def loss(parameters, buffers, x):
        return functional_call(skeleton, (parameters, buffers), (x,)).square().sum()

    out = vmap(lambda p, b, x: functional_call(skeleton, (p, b), (x,)))(parameters, buffers, x)
    gradients = vmap(grad(loss))(parameters, buffers, x)
    for run, model in enumerate(models):
        alone = model(x[run])
        # float32 rounding: stacked convolutions are grouped ones, which add in another order
        torch.testing.assert_close(out[run], alone, rtol=1e-4, atol=1e-5)
        alone.square().sum().backward()
        for name, parameter in model.named_parameters():
            scale = parameter.grad.abs().max().item()
            error = (gradients[name][run] - parameter.grad).abs().max().item()
            assert error <= 1e-4 * scale, name


@families
def test_family_survives_the_way_through_omegaconf(family):
    merged = OmegaConf.merge(OmegaConf.structured(family), {"latent_dim": Z})
    assert OmegaConf.to_object(merged) == family(latent_dim=Z)


@pytest.mark.parametrize("family", [CNN, ResNet, PixelCNN], ids=lambda f: f.__name__)
@pytest.mark.parametrize("shape", [(1, 1, 12), (1, 3, 8), (6, 1, 1)], ids=str)
def test_data_without_two_sides_is_refused_with_the_remedy(family, shape):
    with pytest.raises(UsageError, match="model=mlp") as refusal:
        family(latent_dim=Z).validate_shape(shape)
    assert f"model={family.__name__.lower()}" in str(refusal.value)


@pytest.mark.parametrize("family", [Linear, MLP], ids=lambda f: f.__name__)
def test_fully_connected_families_accept_vectors(family):
    encoder, decoder = build(family, (1, 1, 12))
    x = torch.rand(2, 1, 1, 12)
    assert decoder(encoder(x)[:, :Z], x).shape == x.shape


@families
def test_latent_dim_below_one_is_refused(family):
    with pytest.raises(UsageError, match=r"model\.latent_dim=0"):
        family(latent_dim=0).validate()


@pytest.mark.parametrize("family", [MLP, CNN, ResNet, PixelCNN], ids=lambda f: f.__name__)
@pytest.mark.parametrize("key", ["encoder_width", "encoder_depth"])
def test_encoder_without_units_is_refused(family, key):
    with pytest.raises(UsageError, match=rf"model\.{key}=-1"):
        family(latent_dim=Z, **{key: -1}).validate()


@pytest.mark.parametrize("family", [MLP, CNN, ResNet, PixelCNN], ids=lambda f: f.__name__)
@pytest.mark.parametrize("key", ["width", "depth"])
def test_decoder_without_units_or_with_negative_depth_is_refused(family, key):
    numbers = {"width": 8, "depth": 1, "receptive_field": 5} | {key: -1}
    with pytest.raises(UsageError, match=rf"decoder\.{key}=-1"):
        family(latent_dim=Z).validate_capacity(Capacity(**numbers))


def test_linear_decoder_is_linear_and_encoder_affine():
    """f(a + b) = f(a) + f(b) - f(0), with f(0) = 0 for the decoder, in float64 up to rounding."""
    shape = (2, 3, 4)
    encoder, decoder = (module.double() for module in build(Linear, shape))
    x, z = torch.rand(2, 1, *shape).double(), torch.randn(2, 1, Z).double()
    nothing = torch.zeros(1, *shape).double()
    torch.testing.assert_close(encoder(x.sum(0)), encoder(x[0]) + encoder(x[1]) - encoder(nothing))
    torch.testing.assert_close(
        decoder(z.sum(0), nothing), decoder(z[0], nothing) + decoder(z[1], nothing)
    )


def test_linear_has_one_size():
    assert Linear.capacities == {"medium": Capacity()}


def test_mlp_has_the_parameter_counts_of_its_table():
    _, decoder = build(MLP, (1, 28, 28), "medium")
    assert count(decoder) == (Z + 1) * 400 + 400 * math.prod((28, 28))
