"""Families for sequences: padding counts nowhere, a position sees what it may, and no more."""

# N decoded codes, B batch, T positions, V tokens, Z latent

import math

import pytest
import torch

from vaecli.data.files.vocabulary import END, PAD
from vaecli.models.base import Capacity
from vaecli.models.dilated_cnn import DilatedCNN, layers
from vaecli.models.likelihoods.categorical import Categorical
from vaecli.models.lstm import LSTM
from vaecli.models.parts.sequences import Pooling, SequenceVAE
from vaecli.models.transformer import Transformer, windows
from vaecli.objectives.objective import Objective

V, T, Z = 11, 12, 3
FAMILIES = [LSTM, DilatedCNN, Transformer]
families = pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.__name__)


def capacity(family, size="medium", **numbers):
    narrow = {key: value for key, value in vars(family.capacities[size]).items() if value}
    return Capacity(**{**narrow, "width": 16, **numbers})


def model(family, *, pooling=Pooling.mean, **numbers):
    torch.manual_seed(0)
    made = family(latent_dim=Z, embedding=8, encoder_width=16, pooling=pooling)
    vae = SequenceVAE(
        encoder=made.encoder((V, 1, T), 2 * Z),
        decoder=made.decoder((V, 1, T), 1, capacity(family, **numbers)),
        likelihood=Categorical(),
        output_bias=torch.randn(V, 1, 1),
        latent_dim=Z,
        autoregressive=True,
        shape=(V, 1, T),
    )
    with torch.no_grad():
        for p in vae.parameters():
            p.mul_(3)  # far from the start, where everything is small
    return vae


def tokens(lengths=(3, 12, 7, 1)):
    x = torch.full((len(lengths), 1, 1, T), PAD)
    for row, length in zip(x, lengths, strict=True):
        row[..., :length] = torch.randint(2, V, (length,))
        row[..., length - 1] = END
    return x


def longer(x):
    return torch.cat([x, torch.full_like(x, PAD)], dim=-1)


@families
@pytest.mark.parametrize("pooling", Pooling)
def test_twice_the_padding_changes_no_loss_no_kl_and_no_gradient(family, pooling):
    vae = model(family, pooling=pooling)
    objective, x = Objective(vae), tokens()
    noise = {"z": torch.randn(1, len(x), Z)}
    found = []
    for padded in (x, longer(x)):
        vae.zero_grad()
        terms = vae(padded, noise)
        outcome = objective(padded, noise, torch.tensor(1.0), {})
        outcome.loss.backward()
        found.append((terms, outcome, [p.grad.clone() for p in vae.parameters()]))
    (terms, outcome, gradients), (terms2, outcome2, gradients2) = found
    torch.testing.assert_close(tuple(terms), tuple(terms2), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(tuple(outcome), tuple(outcome2), rtol=1e-5, atol=1e-5)
    for one, other in zip(gradients, gradients2, strict=True):  # sums over more terms, of zeros
        assert (one - other).abs().max() <= 1e-5 * max(one.abs().max().item(), 1)


@families
def test_padding_has_no_share_in_log_px(family):
    vae, x = model(family), tokens()
    z = torch.randn(len(x), Z)
    by_position = vae.log_px_by_position(x, z)
    assert (by_position[x[:, 0, 0] == PAD] == 0).all()
    assert (by_position[x[:, 0, 0] != PAD] < 0).all()
    torch.testing.assert_close(vae.log_px(x, z[None])[0], by_position.sum(1))
    alone = [
        vae.log_px(row[None, ..., :n], z[i][None, None])[0, 0]
        for i, (row, n) in enumerate(zip(x, (3, 12, 7, 1), strict=True))
    ]
    torch.testing.assert_close(by_position.sum(1), torch.stack(alone), rtol=1e-5, atol=1e-5)


@families
def test_a_token_changes_what_comes_after_it_and_nothing_before(family):
    vae, x = model(family), tokens((T,) * 2)
    z = torch.randn(2, Z)
    before = vae.decode(z, x)  # (N, V, 1, T)
    for t in range(T - 1):
        other = x.clone()
        other[..., t] = 2 + (x[..., t] - 1) % (V - 2)
        changed = (vae.decode(z, other) - before).abs().amax((0, 1, 2)) > 1e-7
        assert not changed[: t + 1].any()
        assert changed[t + 1]


@pytest.mark.parametrize("family", [DilatedCNN, Transformer], ids=lambda f: f.__name__)
@pytest.mark.parametrize("field", [1, 2, 3, 5, 8])
def test_the_receptive_field_is_what_it_is_called(field, family):
    vae, x = model(family, receptive_field=field), tokens((T,) * 4)
    z = torch.randn(4, Z)
    before = vae.decode(z, x)
    for t in range(T - 1):
        other = x.clone()
        other[..., t] = 2 + (x[..., t] - 1) % (V - 2)
        changed = (vae.decode(z, other) - before).abs().amax((0, 1, 2)) > 1e-7
        assert changed.tolist() == [t < position <= t + field for position in range(T)]


def test_every_receptive_field_is_tiled_exactly():
    for field in range(1, 300):
        assert [1 + sum(windows(field, depth)) for depth in (1, 2, 4)] == [field] * 3
        assert 1 + sum((taps - 1) * dilation for taps, dilation in layers(field)) == field


@families
def test_z_reaches_every_position(family):
    vae, x = model(family), tokens((T,) * 4)
    here, there = (vae.decode(torch.randn(4, Z), x) for _ in range(2))
    assert ((here - there).abs().amax((0, 1, 2)) > 1e-4).all()


@families
def test_decoding_is_the_decoder_and_the_output_bias(family):
    vae, x = model(family), tokens()
    z = torch.randn(len(x), Z)
    torch.testing.assert_close(vae.decode(z, x), vae.decoder(z, x) + vae.output_bias)


@families
def test_several_codes_of_one_sequence_are_decoded_together(family):
    vae, x = model(family), tokens()
    z = torch.randn(5, len(x), Z)
    one_by_one = torch.stack([vae.log_px(x, code[None])[0] for code in z])
    torch.testing.assert_close(vae.log_px(x, z), one_by_one, rtol=1e-5, atol=1e-5)


@families
def test_what_is_written_ends_and_is_then_padding(family):
    vae = model(family)
    vae.output_bias.data[END] += 10.0
    x = vae.draw(torch.randn(50, Z), torch.rand(50, 1, 1, T))
    ends = 0
    for row in x[:, 0, 0].tolist():
        if END in row:
            ends += 1
            assert set(row[row.index(END) + 1 :]) <= {PAD}
    assert ends > 10


@families
def test_the_most_probable_words_are_those_of_the_model(family):
    vae = model(family)
    z = torch.randn(4, Z)
    x = vae.draw(z, None)
    written = x != PAD
    best = vae.decode(z, x)[:, 1:].argmax(1, keepdim=True) + 1  # padding is never written
    assert torch.equal(best[written], x[written])


@families
@pytest.mark.parametrize("field", [1, 2, 5, 40])
def test_writing_step_by_step_is_reading_what_was_written(family, field):
    vae = model(family, depth=2, receptive_field=field)
    z, x, state = torch.randn(4, Z), tokens(), None
    steps = []
    for t in range(T):
        features, state = vae.decoder.step(z, x[..., : t + 1], state)
        steps.append(features)
    torch.testing.assert_close(torch.cat(steps, dim=1), vae.decoder.features(z, x))


@families
def test_a_drawn_word_is_as_frequent_as_the_model_says(family):
    vae, n = model(family), 20_000
    z = torch.randn(1, Z).expand(n, Z)
    first = vae.draw(z, torch.rand(n, 1, 1, 1).expand(n, 1, 1, T))[:, 0, 0, 0]
    share = torch.bincount(first, minlength=V) / n
    logits = vae.decode(z[:1], tokens((T,)))[0, :, 0, 0]
    expected = logits.index_fill(0, torch.tensor(PAD), -math.inf).softmax(0)
    # 5 standard errors: 5 sqrt(1/4 / 20000)
    torch.testing.assert_close(share, expected, atol=0.018, rtol=0)


@families
def test_capacity_grows_in_weights_or_in_what_is_seen(family):
    shape, made = (V, 1, T), family(latent_dim=Z)
    count = [
        sum(p.numel() for p in made.decoder(shape, 1, capacity).parameters())
        for capacity in family.capacities.values()
    ]
    assert count == sorted(count)
    fields = [capacity.receptive_field for capacity in family.capacities.values()]
    assert len({*zip(count, fields, strict=True)}) == 3


# ---------------------------------------------------------------- the likelihood


def test_categorical_is_a_distribution_over_the_tokens():
    out = 3 * torch.randn(1, V, 1, 1).expand(V - 1, -1, -1, -1)
    every = torch.arange(1, V)[:, None, None, None]  # all but padding
    mass = Categorical().log_prob(out, every).exp().sum() + out[0].softmax(0)[PAD, 0, 0]
    assert mass.item() == pytest.approx(1)


def test_categorical_start_is_the_best_constant():
    x = tokens((T,) * 50)
    share = torch.bincount(x.flatten(), minlength=V) / x.numel()
    start = Categorical().start(share[:, None, None], None).requires_grad_()
    out = start.expand(len(x), V, 1, 1).expand(-1, -1, -1, T)
    nll = -Categorical().log_prob(out, x).mean()
    (gradient,) = torch.autograd.grad(nll, start)
    assert gradient.abs().max() < 1e-4
    entropy = -T * torch.xlogy(share, share).sum()
    assert nll.item() == pytest.approx(entropy.item(), rel=1e-5)


def test_categorical_at_the_edges_of_the_noise_is_a_token():
    out = torch.randn(2, V, 1, 1)
    for edge in (0.0, 1.0):
        out[:, PAD] = -torch.inf  # as `draw` sets it
        drawn = Categorical().sample(out, torch.full((2, 1, 1, 1), edge))
        assert ((drawn > PAD) & (drawn < V)).all()
    assert math.isfinite(Categorical().log_prob(out, drawn).sum().item())


@families
def test_an_evaluation_in_parts_is_the_same(family, monkeypatch):
    vae, x = model(family), tokens()
    z = torch.randn(3, len(x), Z)
    whole = vae.log_px(x, z)
    monkeypatch.setattr(
        "vaecli.models.parts.sequences.LOGITS", 4 * V * T * 2
    )  # two sequences at a time
    decode, seen = vae.decode, []
    monkeypatch.setattr(vae, "decode", lambda z, x: (seen.append(len(x)), decode(z, x))[1])
    with torch.no_grad():
        torch.testing.assert_close(vae.log_px(x, z), whole, rtol=1e-5, atol=1e-5)
    assert seen == [2] * 6


@families
def test_under_autocast_recurrence_and_output_bias_stay_in_float32(family):
    vae, x = model(family).eval(), tokens()
    with torch.no_grad():
        vae.output_bias.add_(1000)  # its fractions are lost in bf16, whose steps are 4 there
        exact = vae.log_px(x, torch.zeros(1, len(x), Z))
        mu, _ = vae.encode(x)
        with torch.autocast("cpu", torch.bfloat16):
            close = vae.log_px(x, torch.zeros(1, len(x), Z))
            assert vae.encode(x)[0].equal(mu)
    assert close.dtype == torch.float32
    torch.testing.assert_close(close, exact, atol=0.5, rtol=0.05)


def test_a_receptive_field_beyond_the_sequence_builds_no_more_than_reaches_its_end():
    wide, whole = (
        DilatedCNN(latent_dim=Z).decoder((V, 1, T), 1, capacity(DilatedCNN, receptive_field=field))
        for field in (10**5, T)
    )
    assert [p.shape for p in wide.parameters()] == [p.shape for p in whole.parameters()]


@pytest.mark.parametrize("family", [DilatedCNN, Transformer], ids=lambda f: f.__name__)
def test_a_step_of_writing_reads_no_more_than_the_decoder_sees(family, monkeypatch):
    vae = model(family, depth=2, receptive_field=3)
    seen = []
    inner = vae.decoder.first.forward
    monkeypatch.setattr(vae.decoder.first, "forward", lambda h: seen.append(h.shape[1]) or inner(h))
    vae.draw(torch.randn(2, Z), torch.rand(2, 1, 1, T))
    assert max(seen) <= 3
