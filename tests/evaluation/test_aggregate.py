"""The aggregate posterior of a batch, and the mutual information that a batch can show."""

import math

import pytest
import torch
from posteriors import gaussian

from vaecli.evaluation.aggregate import mutual_information


@pytest.mark.parametrize(
    ("batch", "cap"), [(32, 3.25), (50, 3.68), (500, 5.03), (2000, 5.44)]
)  # oracle A5: k = 5, A = 0.9, exact 5.756
def test_the_estimator_of_he_et_al_is_capped_by_log_of_the_batch(batch, cap):
    values = [
        mutual_information(gaussian(batch, 5, 0.9, seed), seed=seed).value
        for seed in range(2000 // batch + 3)
    ]
    mean = torch.tensor(values).mean().item()
    assert mean < math.log(batch)
    assert mean == pytest.approx(cap, abs=0.05)  # the printed figures are Monte Carlo themselves


def test_a_single_example_tells_nothing():
    assert mutual_information(gaussian(1, 3, 0.5, 0)).value == 0
