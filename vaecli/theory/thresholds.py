"""The beta at which a data set collapses: a spectrum decides it, before any training.

Expand E[-log p(x|z)] + beta KL to second order around the decoder that ignores z (its output bias
at the best constants) and the posterior that equals the prior. A direction v of the whitened score
F^-1/2 d log p(x|out)/d out leaves this point iff its variance over the data exceeds beta: collapse
is locally stable iff beta >= the largest eigenvalue of the score's covariance. For Gaussian pixels
that is l_1 / sigma^2 (Lucas et al. 2019; Wang & Ziyin 2022), for binary pixels the largest
eigenvalue of their correlation matrix (derived here; tested by training toy models on either
side).
"""

# N examples, D = C*H*W scores, R leading eigenvalues

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vaecli.core.errors import require
from vaecli.data.sets.base import Data
from vaecli.data.sets.once import once
from vaecli.data.sets.statistics import pixel_statistics
from vaecli.models.likelihoods.base import Likelihood

DENSE = 2048  # scores up to which the whole D x D covariance is decomposed
LEADING = 64  # eigenvalues that are computed of a larger one
GUARD = 16  # vectors beside them that speed up convergence
CHUNK = 2**21  # elements of x that are converted at once: about the size of a cache
PASSES = 100  # over the data, at most
TOLERANCE = 1e-3  # residual over eigenvalue; the error of the eigenvalue is about its square


class Spectrum(NamedTuple):
    """The leading eigenvalues of the whitened score's covariance."""

    eigenvalues: Tensor  # (R,) float64, descending
    dimensions: int  # D

    @property
    def critical_beta(self) -> float:
        """The beta at and above which collapse is locally stable."""
        return self.eigenvalues[0].item()

    @property
    def complete(self) -> bool:
        """True if these are all eigenvalues."""
        return len(self.eigenvalues) == self.dimensions

    def unstable(self, beta: float) -> tuple[int, bool]:
        """Count the directions that can leave collapse at `beta`; False for a lower bound."""
        count = int((self.eigenvalues > beta).sum())
        return count, self.complete or count < len(self.eigenvalues)


def cost(data: Data) -> float:
    """Multiplications that `spectrum` takes, roughly."""
    d = math.prod(data.shape)
    return len(data.train.x) * d * (d if d <= DENSE else 2 * PASSES * (LEADING + GUARD))


def spectrum(data: Data, likelihood: Likelihood) -> Spectrum | None:
    """The spectrum of the training split; None if the likelihood has no whitened score.

    A dynamically binarised split is averaged over its draws exactly: nothing is drawn. Up to 2,048
    scores all eigenvalues of the covariance are computed. Of more scores, the 64 largest come from
    iterations over the data (LOBPCG), in memory for 80 vectors and a chunk of examples. Computed
    once for each data set and each setting of the likelihood.
    """
    return _spectrum(data, type(likelihood), dataclasses.astuple(likelihood))


@once
def _spectrum(data: Data, kind: type[Likelihood], keys: tuple) -> Spectrum | None:
    # A likelihood is a module and hashed by identity; its class and its keys decide.
    try:
        scores = _Scores(data, kind(*keys))
    except _NoScore:
        return None
    d = scores.dimensions
    eigenvalues = _dense(scores) if d <= DENSE else _leading(scores, LEADING)
    return Spectrum(eigenvalues.clamp(min=0), d)


class _NoScore(Exception):
    """The likelihood has no whitened score."""


class _Scores:
    """The whitened scores of the training split; binarising adds to their covariance."""

    def __init__(self, data: Data, likelihood: Likelihood):
        self.data, self.likelihood = data, likelihood
        self.mean, self.variance = (part.to(data.device) for part in pixel_statistics(data))
        self.examples = len(data.train.x)
        self.dimensions = self._of(torch.arange(1)).shape[1]  # D

    @cached_property
    def added(self) -> Tensor:
        """The addition to the covariance's diagonal when binary pixels are drawn from grey: (D,).

        Off the diagonal the covariance of the draws is that of the grey levels; on it the whitened
        variance of a binary pixel is 1, or 0 if it never varies.
        """
        # Var[b] = E[g (1 - g)] + Var[g] for a draw b of grey level g: the diagonal misses the first
        # part. Whitened, Var[b] is 1, so the missing part is 1 less the mean square of the scores.
        if not self.data.dynamic:
            return torch.zeros(self.dimensions, dtype=torch.float64)
        zero = torch.zeros(self.dimensions, dtype=torch.float64)
        squares = (chunk.square().sum(0).double().cpu() for chunk in self.chunks())
        grey = sum(squares, zero) / self.examples
        return (self.variance > 0).flatten().cpu().double() - grey

    def chunks(self) -> Iterator[Tensor]:
        """The scores of all examples, (B, D) at a time, float32; their mean is zero."""
        rows = max(1, CHUNK // math.prod(self.data.shape))
        for index in torch.arange(self.examples).split(rows):
            yield self._of(index)

    def _of(self, index: Tensor) -> Tensor:
        x = self.data.batch(self.data.train, index)
        scores = self.likelihood.whitened_score(x, self.mean, self.variance)
        if scores is None:
            raise _NoScore
        return scores


def _dense(scores: _Scores) -> Tensor:
    """Compute all eigenvalues of the covariance, descending, (D,)."""
    covariance = torch.zeros(scores.dimensions, scores.dimensions, dtype=torch.float64)
    for chunk in scores.chunks():
        chunk = chunk.double()
        covariance += (chunk.T @ chunk).cpu() / scores.examples
    if scores.data.dynamic:  # as in `added`
        varies = (scores.variance > 0).flatten().cpu().double()
        covariance.diagonal().copy_(varies)
    return torch.linalg.eigvalsh(covariance).flip(0)


def _leading(scores: _Scores, count: int) -> Tensor:
    """The `count` largest eigenvalues, descending; fewer if not all converged."""
    from scipy.sparse.linalg import LinearOperator, lobpcg

    device = scores.data.device

    def product(vectors: np.ndarray) -> np.ndarray:
        # C v = diag(added) v + 1/N sum over chunks of S'(S v), S (B, D): C itself, D x D, is never
        # formed. Each chunk is a float32 product; the sum over chunks is float64.
        v = torch.from_numpy(np.ascontiguousarray(vectors)).reshape(len(vectors), -1)  # (D, r)
        right = v.float().to(device)
        out = scores.added[:, None] * v
        for chunk in scores.chunks():
            out += (chunk.T @ (chunk @ right)).cpu().double() / scores.examples
        return out.reshape(vectors.shape).numpy()

    # LOBPCG improves a block of vectors by Rayleigh-Ritz steps and asks for products with the
    # covariance only, one pass over the data each. The GUARD vectors beside the wanted ones carry
    # the eigenvalues just below, so that the last wanted ones converge as fast as the first.
    d = scores.dimensions
    operator = LinearOperator((d, d), matvec=product, matmat=product, dtype=np.float64)  # type: ignore[call-arg]
    start = np.random.default_rng(0).standard_normal((d, count + GUARD))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged: the residuals are looked at below
        values, vectors = lobpcg(operator, start, largest=True, tol=TOLERANCE, maxiter=PASSES)
    # |C v - l v| bounds the distance of l to an eigenvalue. The leading ones are
    # returned up to the first whose residual is large, which has not converged.
    residual = np.linalg.norm(product(vectors) - vectors * values, axis=0)
    order = np.argsort(-values)[:count]
    good = residual[order] <= 10 * TOLERANCE * values[order]
    converged = count if good.all() else int(np.argmin(good))
    require(
        converged > 0,
        "data",
        scores.data.name,
        f"its largest eigenvalue has not converged in {PASSES} passes over the data",
        "try data.image_size, which makes it smaller",
    )
    return torch.from_numpy(values[order][:converged].copy())
