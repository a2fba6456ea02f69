"""Probes that read the class of an example from its code, each against shuffled labels."""

# N examples, Z latent

from __future__ import annotations

import warnings

import numpy as np
import torch

from vaecli.core.randomness import generator
from vaecli.evaluation.estimate import Estimate, mean_of
from vaecli.evaluation.passes import Encoded, first_rows, sample_codes

MOST = 4000  # examples; half of them to fit, half to score
NEIGHBOURS = 10
FEWEST = 20


def probes(encoded: Encoded, *, seed: int) -> dict:
    """The group `latent_space`: accuracy of k-NN and of logistic regression on the codes.

    The probes read sampled codes z ~ q(z|x), not means: the means of a collapsed encoder can still
    separate classes at a thousandth of the posterior's noise, and a probe that scales its inputs
    would find that. Fitted on one half of the examples and scored on the other. With shuffled
    training labels the accuracy is what guessing reaches.

    Empty without labels, with a single class, or with fewer than 20 examples.
    """
    part = first_rows(encoded, MOST)
    if part.y is None or len(part.y) < FEWEST or len(part.y.unique()) < 2:
        return {}
    order = torch.randperm(len(part.y), generator=generator(seed, "evaluation", index=8))
    z, y = sample_codes(part, seed)[order].numpy(), part.y[order].numpy()
    half = len(y) // 2
    fit, score = slice(None, half), slice(half, None)
    if len(np.unique(y[fit])) < 2:
        return {}
    shuffled = y[fit][torch.randperm(half, generator=generator(seed, "evaluation", index=9))]
    accuracies = {}
    for name, make in (("knn", _knn), ("linear_probe", _linear)):
        for suffix, labels in (("", y[fit]), ("_shuffled_labels", shuffled)):
            probe = make(half)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # not converged: still a probe
                right = probe.fit(z[fit], labels).predict(z[score]) == y[score]
            accuracies[name + suffix] = _accuracy(right, name, suffix, half, part.split)
    return accuracies


def _accuracy(right: np.ndarray, name: str, suffix: str, fitted: int, split: str) -> Estimate:
    probe = f"{NEIGHBOURS} nearest neighbours" if name == "knn" else "logistic regression"
    how = f"{probe} on sampled codes, fitted to {fitted} other examples"
    labels = ", their labels shuffled" if suffix else ""
    return mean_of(torch.from_numpy(right).double(), how + labels, split)


def _knn(n: int):
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(min(NEIGHBOURS, n))


def _linear(n: int):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=300)
