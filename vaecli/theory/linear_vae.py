"""The linear VAE in closed form: its optimum and its exact densities.

p(z) = N(0, I), p(x|z) = N(W z + b, s2 I), q(z|x) Gaussian with a diagonal covariance. Minimising
-E log p(x|z) + beta KL is probabilistic PCA with noise beta s2: with l_j the eigenvalues of the
training split's 1/N covariance and theta = beta s2, dimension j is in use iff l_j > theta.

Sources: Tipping & Bishop 1999, "Probabilistic Principal Component Analysis" (beta = 1); Lucas et
al. 2019, "Don't Blame the ELBO!" (the ELBO's optimum is pPCA's); Wang & Ziyin 2022, "Posterior
Collapse of a Linear Latent Variable Model" (theorem 2: any beta).
"""

# N examples, D = C*H*W pixels, k latent dimensions, J = min(k, D) leading directions; nats per
# example. l, theta and s2 are in squared units of the data.

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from vaecli.models.likelihoods.gaussian import LOG_2PI

# An eigenvalue below this share of the largest is the rounding of zero: a pixel that never varies.
ROUNDING = 1e-12


class Moments(NamedTuple):
    """A split in the training split's principal directions u_j, about the training mean m."""

    mean: Tensor  # (J,) E u_j'(x - m)
    covariance: Tensor  # (J, J) population covariance of the u_j'(x - m)
    total: float  # E |x - m|^2, over all directions


class Optimum(NamedTuple):
    """The figures of the best linear VAE, on the training split or on that of the moments."""

    sigma2: float  # s2, of p(x|z)
    theta: float  # beta s2: only directions of more variance are in use
    active: int
    kl_per_dim: Tensor  # (k,) E_x KL_j, zero where collapsed
    mu_variance: Tensor  # (k,) Var_x[mu_j]
    mutual_information: float  # of x and z if the data is Gaussian; of other data an upper bound
    squared_error: float  # E |x - E[x|z]|^2, z ~ q(z|x)
    distortion: float
    rate: float
    objective: float  # distortion + beta rate
    elbo: float  # -(distortion + rate)
    neg_log_px: float  # -E log p(x) of the model itself, N(b, W W' + s2 I)


# ---------------------------------------------------------------------- the optimum


def optimum(
    eigenvalues: Tensor,
    latent_dim: int,
    *,
    beta: float,
    sigma2: float | None,
    moments: Moments | None = None,
) -> Optimum:
    """The global optimum of E[-log p(x|z)] + beta KL over W, b, q and, if sigma2 is None, s2.

    W_j = sqrt(l_j - theta) u_j; q(z_j|x) has mean sqrt(l_j - theta)/l_j u_j'(x - m) and variance
    theta/l_j. On the training split then KL_j = 1/2 log(l_j/theta), Var_x[mu_j] = 1 - theta/l_j,
    and the residual of a direction in use is theta. On another split the same model is averaged
    over that split's moments.

    Args:
        eigenvalues: (D,) of the training split's 1/N covariance, descending.
        latent_dim: k; may exceed D.
        beta: weight of the KL.
        sigma2: s2 of p(x|z); None: it is learned.
        moments: of another split, to compute the optimum's figures on; None: the training split.

    Returns:
        The optimum.

    Raises:
        ValueError: beta <= 0, or a learned s2 has no unique optimum: with a latent dimension for
            every direction that varies (r of D) and beta <= D/r it falls to zero, or is
            undetermined at equality.
    """
    if not beta > 0:
        raise ValueError(f"beta={beta} must be above 0: without a KL term there is no optimum")
    lam = eigenvalues.double().clamp(min=0)
    d, j = len(lam), min(latent_dim, len(lam))
    s2 = _learned_sigma2(lam, j, beta) if sigma2 is None else sigma2
    theta = beta * s2
    l = lam[:j]
    if moments is None:  # the training split itself: mean zero, variance l_j along direction j
        moments = Moments(torch.zeros_like(l), l.diag(), lam.sum().item())
    # 1. Directions in use: the a leading ones, since l is descending. y_j = u_j'(x - m).
    a = int((l > theta).sum())
    second = (moments.mean.square() + moments.covariance.diagonal())[:a]  # E y_j^2
    l, covariance = l[:a], moments.covariance[:a, :a]
    # 2. The posterior: q(z_j|x) = N(gain_j y_j, noise_j).
    gain = (l - theta).sqrt() / l
    noise = theta / l
    # KL_j = 1/2 (E mu_j^2 + noise_j - 1 - log noise_j), and E mu_j^2 = gain_j^2 E y_j^2.
    kl = torch.zeros(latent_dim, dtype=torch.float64)
    kl[:a] = 0.5 * (gain.square() * second + noise - 1 - noise.log())
    # 3. The aggregate posterior q(z): covariance of the means, plus the noise around each.
    mu_covariance = gain[:, None] * covariance * gain  # (a, a)
    mu_variance = torch.zeros_like(kl)
    mu_variance[:a] = mu_covariance.diagonal()
    aggregate = mu_covariance + noise.diag()
    # 4. The error. Along u_j the decoder writes w_j z_j with w_j = sqrt(l_j - theta), so
    # E (y_j - w_j z_j)^2 = (1 - w_j gain_j)^2 E y_j^2 + w_j^2 noise_j, and 1 - w_j gain_j is
    # theta/l_j = noise_j. Directions that are not in use keep their whole variance.
    unexplained = moments.total - second.sum().item()
    residual = second * noise.square() + (l - theta) * noise
    squared_error = residual.sum().item() + unexplained
    distortion = 0.5 * d * (LOG_2PI + math.log(s2)) + squared_error / (2 * s2)
    rate = kl.sum().item()
    # 5. log p(x) under N(b, W W' + s2 I), which has variance l_j - theta + s2 along a direction in
    # use and s2 along the others.
    model_variance = l - theta + s2  # (a,)
    log_determinant = model_variance.log().sum().item() + (d - a) * math.log(s2)
    distance = (second / model_variance).sum().item() + unexplained / s2
    return Optimum(
        sigma2=s2,
        theta=theta,
        active=a,
        kl_per_dim=kl,
        mu_variance=mu_variance,
        mutual_information=0.5 * (torch.logdet(aggregate) - noise.log().sum()).item() if a else 0.0,
        squared_error=squared_error,
        distortion=distortion,
        rate=rate,
        objective=distortion + beta * rate,
        elbo=-(distortion + rate),
        neg_log_px=0.5 * (d * LOG_2PI + log_determinant + distance),
    )


def _learned_sigma2(lam: Tensor, j: int, beta: float) -> float:
    """The root s2 of sum_{i<=j} min(l_i/s2, beta) + sum_{i>j} l_i/s2 = D, for lam (D,).

    With a directions in use it is sum_{i>a} l_i / (D - beta a). Directions are added as long as the
    next one exceeds beta s2, which keeps the denominator positive and lowers s2 each time.
    """
    d = len(lam)
    # Directions that do not vary cost nothing to explain, so they do not hold sigma up.
    varying = int((lam > ROUNDING * lam[0]).sum())
    if j >= varying and beta * varying <= d:
        raise ValueError(
            f"a learned sigma has no unique optimum: {j} latent dimensions can explain all "
            f"{varying} directions of the data, and beta={beta:g} is too low to stop them"
        )
    # Take directions in, largest first. With a of them s2 = sum_{i>a} l_i / (D - beta a); the next
    # one is in use as well if its variance exceeds theta = beta s2.
    rest = lam.flip(0).cumsum(0).flip(0)  # (D,) rest[a] = sum_{i>a} l_i, i from 1
    a = 0
    while True:
        s2 = rest[a].item() / (d - beta * a)
        if a == j or lam[a].item() <= beta * s2:
            return s2
        a += 1


# ---------------------------------------------------------------------- exact densities


def log_px(x: Tensor, weight: Tensor, bias: Tensor, sigma2: float) -> Tensor:
    """Log N(x; bias, W W' + sigma2 I), exact for any linear-Gaussian decoder.

    Args:
        x: examples (N, D).
        weight: W (D, k).
        bias: (D,).
        sigma2: variance of p(x|z).

    Returns:
        (N,) float64 nats.
    """
    # Woodbury with the k x k matrix M = W'W + sigma2 I = L L':
    #   (W W' + sigma2 I)^-1 = (I - W M^-1 W') / sigma2,   det = det(M) sigma2^(D - k)
    x, weight, bias = x.double(), weight.double(), bias.double()
    d, k = weight.shape
    L = _cholesky(weight, sigma2)
    error = x - bias  # (N, D)
    explained = torch.linalg.solve_triangular(L, weight.T @ error.T, upper=False)  # (k, N)
    distance = (error.square().sum(1) - explained.square().sum(0)) / sigma2
    log_determinant = 2 * L.diagonal().log().sum() + (d - k) * math.log(sigma2)
    return -0.5 * (d * LOG_2PI + log_determinant + distance)


def posterior(x: Tensor, weight: Tensor, bias: Tensor, sigma2: float) -> tuple[Tensor, Tensor]:
    """The exact p(z|x) of a linear-Gaussian decoder.

    Args:
        x: examples (N, D).
        weight: W (D, k).
        bias: (D,).
        sigma2: variance of p(x|z).

    Returns:
        Mean (N, k), and the covariance (k, k), the same for every x. Both float64.
    """
    x, weight, bias = x.double(), weight.double(), bias.double()
    L = _cholesky(weight, sigma2)
    mean = torch.cholesky_solve(weight.T @ (x - bias).T, L).T
    return mean, sigma2 * torch.cholesky_inverse(L)


def _cholesky(weight: Tensor, sigma2: float) -> Tensor:
    """The lower Cholesky factor of W'W + sigma2 I, (k, k)."""
    k = weight.shape[1]
    return torch.linalg.cholesky(weight.T @ weight + sigma2 * torch.eye(k).to(weight))
