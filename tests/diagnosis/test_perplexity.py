"""Perplexity, what a diagnosis does to recurrent modules, and nearest codes."""

# N sequences

import math

import pytest
import torch
from torch import nn

from vaecli.diagnosis.mode import evaluation_mode
from vaecli.diagnosis.sequences import perplexity
from vaecli.diagnosis.texts import _neighbours

LENGTH = torch.randint(1, 30, (400,), generator=torch.Generator().manual_seed(0))


def test_a_model_that_guesses_among_k_words_has_perplexity_k_however_long_the_sequences():
    found = perplexity(LENGTH.double() * math.log(17), LENGTH, "test")
    assert found.value == pytest.approx(17)
    assert found.standard_error == pytest.approx(0, abs=1e-9)
    assert found.n == 400


def test_the_error_of_a_perplexity_is_that_of_sets_drawn_again():
    g = torch.Generator().manual_seed(1)
    nats = LENGTH * 3.0 + 4 * LENGTH.sqrt() * torch.randn(400, generator=g)
    found = perplexity(nats, LENGTH, "test")
    draws = torch.randint(400, (4000, 400), generator=g)
    again = (nats[draws].sum(1) / LENGTH[draws].sum(1)).exp()
    assert found.standard_error == pytest.approx(again.std().item(), rel=0.1)


def test_a_hopeless_model_has_an_infinite_perplexity():
    found = perplexity(LENGTH * 1e5, LENGTH, "test")
    assert found.value == math.inf
    assert perplexity(torch.tensor([2.0]), torch.tensor([2]), "val").standard_error is None


def test_a_recurrent_module_can_pass_gradients_back_in_a_diagnosis_and_drops_nothing():
    plain, dropping = nn.LSTM(2, 3), nn.LSTM(2, 3, num_layers=2, dropout=0.5)
    model = nn.ModuleList([plain, dropping, nn.Dropout()]).eval()
    dropping.train()
    with evaluation_mode(model):
        assert plain.training  # cuDNN refuses a backward pass otherwise
        assert not dropping.training
        assert not model[2].training
    assert [module.training for module in model] == [False, True, False]


def test_the_nearest_codes_are_not_told_by_the_noise_of_a_dead_dimension():
    mu = torch.tensor([[0.0, 0.0], [0.1, 1e-4], [3.0, 1e-9], [-2.9, -1e-4]])
    (first, *_) = _neighbours(mu, list("abcd"))
    assert first == {"text": "a", "nearest": ["b", "d", "c"]}
