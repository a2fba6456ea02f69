"""The PixelCNN decoder is autoregressive: proven pixel by pixel, by gradients."""

# N codes, Z latent, C channels, H height, W width, P = H*W pixels in raster order

import pytest
import torch

from vaecli.core.errors import UsageError
from vaecli.models.base import Capacity
from vaecli.models.pixelcnn import PixelCNN

Z = 3
TABLE = PixelCNN.capacities
# Width 16, or at some pixel every feature may fall below the last ReLU and hide its past.
CAPACITIES = [*TABLE.values(), Capacity(16, 0, 3), Capacity(16, 3, 9), Capacity(16, 1, 9)]

capacities = pytest.mark.parametrize("capacity", CAPACITIES, ids=str)


def build(capacity, shape, outputs=1):
    torch.manual_seed(0)
    family = PixelCNN(latent_dim=Z)
    family.validate_capacity(capacity)
    # float64, in which a dependence of any strength at initialisation is far from underflow
    return family.decoder(shape, outputs, capacity).double()


def dependence(decoder, shape, outputs=1):
    """(P, P) summed |d out at pixel (row) / d x at pixel (column)|, over all channels."""
    x = torch.rand(1, *shape).double().requires_grad_()
    out = decoder(torch.randn(1, Z).double(), x)
    assert out.shape == (1, outputs * shape[0], *shape[1:])
    rows = out.flatten(2)[0]  # (outputs*C, P)
    pixels = rows.shape[1]
    # one backward pass per channel for all pixels: row p of the batch asks for pixel p alone
    table = torch.zeros(pixels, pixels, dtype=torch.float64)
    for channel in rows:
        (gradient,) = torch.autograd.grad(
            channel, x, torch.eye(pixels).double(), is_grads_batched=True, retain_graph=True
        )  # (P, 1, C, H, W)
        table += gradient.abs().sum((1, 2)).flatten(1)
    return table


def visible(height, width, capacity):
    """(P, P) which pixels (column) the decoder may read at a pixel (row), from its geometry.

    Independent of the implementation: the union of all paths of one first step and at most
    `depth` later ones, as sets of offsets (dy, dx).
    """
    reach = capacity.receptive_field // 2 - capacity.depth
    offsets = {
        (dy, dx) for dy in range(-reach, 1) for dx in range(-reach, reach + 1) if dy < 0 or dx < 0
    }
    # Layers are residual, so a path may also skip one: (0, 0) is among the steps.
    later = [(dy, dx) for dy in (-1, 0) for dx in (-1, 0, 1) if dy < 0 or dx <= 0]

    table = torch.zeros(height, width, height, width, dtype=torch.bool)
    for y in range(height):
        for x in range(width):
            # Paths must stay inside the image: features outside it are padding.
            here = {(y, x)}
            for _ in range(capacity.depth):
                here = {
                    (a + dy, b + dx)
                    for a, b in here
                    for dy, dx in later
                    if 0 <= a + dy < height and 0 <= b + dx < width
                }
            for a, b in here:
                for dy, dx in offsets:
                    if 0 <= a + dy < height and 0 <= b + dx < width:
                        table[y, x, a + dy, b + dx] = True
    return table.flatten(2).flatten(0, 1)


@capacities
@pytest.mark.parametrize(("channels", "outputs"), [(1, 1), (3, 1), (3, 2)])
def test_no_pixel_depends_on_itself_or_on_any_later_one(capacity, channels, outputs):
    shape = (channels, 8, 9)
    table = dependence(build(capacity, shape, outputs), shape, outputs)
    # Exactly zero: masked weights are multiplied by zero, they are not merely small.
    assert torch.count_nonzero(torch.triu(table)) == 0


@capacities
def test_every_pixel_depends_on_exactly_the_visible_ones(capacity):
    height, width = 9, 11
    table = dependence(build(capacity, (1, height, width)), (1, height, width))
    assert torch.equal(table > 0, visible(height, width, capacity))


@capacities
def test_receptive_field_is_reached_on_three_sides_and_not_exceeded(capacity):
    side = capacity.receptive_field
    reach = side // 2
    height, width = reach + 2, side + 2  # one pixel of margin above, left and right
    shape = (1, height, width)
    decoder = build(capacity, shape)
    x = torch.rand(1, *shape).double().requires_grad_()
    decoder(torch.randn(1, Z).double(), x)[0, 0, -1, reach + 1].backward()
    seen = x.grad[0, 0] != 0  # (H, W) from the middle pixel of the last row
    rows, columns = seen.nonzero().unbind(1)
    assert (rows.min(), columns.min(), columns.max()) == (1, 1, side)

    # The window's causal half but for the blind spot of a single stack, d(d+1)/2 pixels.
    half = (side * side - 1) // 2
    assert seen.sum() == half - capacity.depth * (capacity.depth + 1) // 2


@capacities
def test_every_pixel_depends_on_the_code(capacity):
    shape = (1, 8, 9)
    decoder = build(capacity, shape)
    x = torch.rand(1, *shape).double()
    # At one code the last ReLU may silence all channels of a pixel; not at all of twenty.
    seen = sum(
        torch.autograd.functional.jacobian(
            lambda z: decoder(z, x)[0, 0].flatten(), torch.randn(1, Z).double()
        ).abs()
        for _ in range(20)
    )  # (P, 1, Z)
    assert (seen > 0).all()


def test_code_reaches_every_layer():
    """With the past and the other layers' codes silenced, each layer alone carries z."""
    decoder = build(TABLE["medium"], (1, 6, 6))
    layers = [decoder.first, *decoder.later]
    x = torch.zeros(2, 1, 6, 6).double()
    z = torch.randn(2, Z).double()
    for chosen in layers:
        saved = [layer.code.weight.detach().clone() for layer in layers]
        for layer in layers:
            if layer is not chosen:
                torch.nn.init.zeros_(layer.code.weight)
        one, other = decoder(z, x)
        assert not torch.equal(one, other)
        for layer, weight in zip(layers, saved, strict=True):
            layer.code.weight.data.copy_(weight)


def test_code_is_a_bias_so_it_says_the_same_wherever_the_past_is_the_same():
    decoder = build(TABLE["small"], (1, 6, 6))
    x = torch.zeros(2, 1, 6, 6).double()
    one, other = decoder(torch.randn(2, Z).double(), x)
    shift = (one - other)[0, 2:4, 2:4].flatten()  # inner pixels, away from the padding
    assert shift[0] != 0
    torch.testing.assert_close(shift, shift[:1].expand(4))  # float64 rounding


def test_sampling_pixel_by_pixel_is_consistent_with_one_parallel_pass():
    """Filling raster order from a wrong start gives the output that the finished image gives."""
    shape = (2, 5, 6)
    decoder = build(TABLE["medium"], shape)
    z, target = torch.randn(1, Z).double(), torch.rand(1, *shape).double()
    x = torch.full_like(target, 0.5)
    for i in range(shape[1]):
        for j in range(shape[2]):
            torch.testing.assert_close(decoder(z, x)[..., i, j], decoder(z, target)[..., i, j])
            x[..., i, j] = target[..., i, j]


def test_mask_is_not_saved_with_the_weights():
    assert not [key for key in build(TABLE["small"], (1, 5, 5)).state_dict() if "mask" in key]


def test_sizes_go_up_in_what_they_see():
    fields = [capacity.receptive_field for capacity in TABLE.values()]
    assert fields == sorted(set(fields))


@pytest.mark.parametrize(
    ("depth", "field", "remedy"), [(2, 6, 7), (2, 5, 7), (0, 1, 3), (5, 11, 13), (1, -3, 5)]
)
def test_receptive_field_that_leaves_no_first_kernel_is_refused(depth, field, remedy):
    family = PixelCNN(latent_dim=Z)
    with pytest.raises(UsageError, match=rf"decoder\.receptive_field={field}:") as refusal:
        family.validate_capacity(Capacity(8, depth, field))
    assert f"try decoder.receptive_field={remedy}," in str(refusal.value)
    family.validate_capacity(Capacity(8, depth, remedy))


def test_family_and_decoder_say_that_they_are_autoregressive():
    assert PixelCNN.autoregressive
    assert build(TABLE["small"], (1, 5, 5)).autoregressive
