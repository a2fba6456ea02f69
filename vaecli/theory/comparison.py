"""A trained linear VAE beside its optimum, figure by figure."""

# N examples, D = C*H*W pixels, k latent dimensions, J = min(k, D) leading directions; nats per
# example

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vaecli.data.sets.base import Data
from vaecli.data.sets.once import once
from vaecli.data.sets.statistics import CHUNK
from vaecli.evaluation.passes import examples
from vaecli.models.linear import LinearDecoder
from vaecli.models.posteriors.gaussian import Posterior
from vaecli.models.priors.standard_normal import StandardNormal
from vaecli.models.vae import VAE
from vaecli.theory.linear_vae import Moments, Optimum, log_px, optimum

MOST_PIXELS = 4096  # whose D x D covariance is decomposed: some 20 seconds on two cores
MOST_ROWS = 10  # latent dimensions that are compared one by one


def compare(
    vae: VAE, data: Data, *, split: str, beta: float, diagnosis: dict
) -> list[dict[str, Any]] | None:
    """Compare a diagnosis with the optimum.

    The theory's figures are those of the training split's optimum, averaged over exactly the
    examples of `split` that were diagnosed. So the standard errors (None: unknown) overstate the
    noise: they contain the spread between examples, which both sides share. A strategy that
    changes the loss moves the optimum; the rows then show by how much.

    Args:
        vae: the trained model.
        data: its data.
        split: the split of the diagnosis.
        beta: the run's target.
        diagnosis: of `vae` on `split`, with Estimates or their dicts. A figure that it lacks gets
            no row.

    Returns:
        Rows {figure, theory, measured, standard_error}. None if there is no theory: a model that is
        not linear-Gaussian, beta = 0, a learned sigma without an optimum, more than MOST_PIXELS
        pixels.
    """
    decoder = linear_gaussian(vae)
    if decoder is None or beta <= 0 or math.prod(data.shape) > MOST_PIXELS:
        return None
    n = diagnosis["examples"]
    try:
        best = optimum(
            principal(data).eigenvalues,
            vae.latent_dim,
            beta=beta,
            sigma2=None if decoder.learned else decoder.sigma2,
            moments=moments(data, split, vae.latent_dim, samples=n),
        )
    except ValueError:
        return None
    rows = _flat_rows(best, diagnosis, beta)
    rows += _dimension_rows(best, diagnosis)
    information = diagnosis.get("information", {})
    # A saturated estimate is a bound: nothing to be compared.
    if "mutual_information" in information and not information.get("saturated"):
        measured = information["mutual_information"]
        rows.append(_row("mutual_information", best.mutual_information, measured))
    measured = diagnosis.get("likelihood", {}).get("importance_weighted")
    if measured is not None:
        rows.append(_row("log_px_importance_weighted", -best.neg_log_px, measured))
    exact = torch.cat([log_px(x, *decoder[:3]) for x in _chunks(data, split, n)]).mean().item()
    rows.append(_row("log_px_exact", -best.neg_log_px, exact))  # of the trained weights
    if decoder.learned:
        rows.append(_row("sigma2", best.sigma2, decoder.sigma2))
    return rows


def _flat_rows(best: Optimum, diagnosis: dict, beta: float) -> list[dict[str, Any]]:
    threshold = diagnosis["threshold"]
    above = int((best.kl_per_dim > threshold).sum())
    rows = [_row("active_dimensions", above, diagnosis["active_dimensions"])]
    errors = diagnosis.get("standard_errors", {})
    for key in ("rate", "distortion", "elbo"):
        if key in diagnosis:
            rows.append(_row(key, getattr(best, key), diagnosis[key], errors.get(key)))
    if "distortion" in diagnosis:
        objective = diagnosis["distortion"] + beta * diagnosis["rate"]
        # The error of the ELBO was measured; that of another sum does not follow from its parts.
        error = errors.get("elbo") if beta == 1 else None
        rows.append(_row("objective", best.objective, objective, error))
    return rows


def _dimension_rows(best: Optimum, diagnosis: dict) -> list[dict[str, Any]]:
    """One row a dimension, both sides in descending order; of many dimensions sums only."""
    pairs = {
        "kl_per_dim": (best.kl_per_dim.tolist(), diagnosis["kl_per_dim"]),
        "mu_variance": (best.mu_variance.tolist(), diagnosis.get("mu_variance_per_dim")),
    }
    rows = []
    for name, (theory, measured) in pairs.items():
        if measured is None:
            continue
        if len(theory) > MOST_ROWS:
            rows.append(_row(f"{name}_sum", sum(theory), sum(measured)))
            continue
        ranked = zip(sorted(theory, reverse=True), sorted(measured, reverse=True), strict=True)
        rows += [_row(f"{name}[{rank}]", *pair) for rank, pair in enumerate(ranked)]
    return rows


def _row(
    figure: str, theory: float, measured: Any, standard_error: float | None = None
) -> dict[str, Any]:
    """`measured` is a number, or an Estimate with its standard error, or that as a dict."""
    if hasattr(measured, "_asdict"):
        measured = measured._asdict()
    if isinstance(measured, dict):
        measured, standard_error = measured["value"], measured["standard_error"]
    return {
        "figure": figure,
        "theory": theory,
        "measured": measured,
        "standard_error": standard_error,
    }


# ---------------------------------------------------------------------- data and trained models


class Principal(NamedTuple):
    """The training split's mean and its principal directions, float64 on the host."""

    mean: Tensor  # (D,)
    eigenvalues: Tensor  # (D,) of the 1/N covariance, descending
    directions: Tensor  # (D, D) unit columns


@once
def principal(data: Data) -> Principal:
    """The eigendecomposition of the training split's 1/N covariance; computed once a data set."""
    n, d = len(data.train.x), math.prod(data.shape)
    zero = torch.zeros(d, dtype=torch.float64)
    mean = sum((x.sum(0) for x in _chunks(data, "train", n)), zero) / n
    scatter = torch.zeros(d, d, dtype=torch.float64)
    for x in _chunks(data, "train", n):
        centred = x - mean
        scatter.addmm_(centred.T, centred)
    eigenvalues, directions = torch.linalg.eigh(scatter / n)
    return Principal(mean, eigenvalues.flip(0).clamp(min=0), directions.flip(1))


def moments(data: Data, split: str, latent_dim: int, *, samples: int | None = None) -> Moments:
    """Moments of a split in the training split's principal directions, for `optimum`.

    Args:
        data: the data set.
        split: train, val or test.
        latent_dim: k; the min(k, D) leading directions are used.
        samples: use the first N examples only; None: all.

    Returns:
        Mean, covariance and total variance.
    """
    n = len(getattr(data, split).x) if samples is None else samples
    mean, _, directions = principal(data)
    leading = directions[:, :latent_dim]  # (D, J)
    along, total = [], 0.0
    for x in _chunks(data, split, n):
        centred = x - mean
        along.append(centred @ leading)
        total += centred.square().sum().item()
    y = torch.cat(along)  # (N, J)
    mean_along = y.mean(0)
    y -= mean_along
    return Moments(mean_along, y.T @ y / n, total / n)


def _chunks(data: Data, split: str, n: int) -> Iterator[Tensor]:
    """The first n examples, (B, D) float64 on the host at a time."""
    for index in torch.arange(n).split(CHUNK):
        yield examples(data, split, index).flatten(1).cpu().double()


class Decoder(NamedTuple):
    """p(x|z) of a linear-Gaussian VAE as `log_px` and `posterior` take it."""

    weight: Tensor  # (D, k) float64
    bias: Tensor  # (D,) float64
    sigma2: float
    learned: bool  # sigma2 is a parameter


def linear_gaussian(vae: VAE) -> Decoder | None:
    """The decoder of `vae` if it is linear and Gaussian, with plain prior and posterior."""
    plain = type(vae.posterior) is Posterior and type(vae.prior) is StandardNormal
    sigma2 = vae.likelihood.sigma2
    if not plain or type(vae.decoder) is not LinearDecoder or sigma2 is None:
        return None
    weight = vae.decoder.weight.weight.detach().cpu().double()
    bias = vae.output_bias.detach().cpu().double().flatten()
    return Decoder(weight, bias, sigma2, vae.likelihood.learns_sigma)
