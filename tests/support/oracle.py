"""Linear-Gaussian VAEs at their optimum, written down without training: everything is known.

Data x ~ N(0, diag(spectrum)); decoder W = diag(sqrt(l - beta s2)), q(z_j|x) of variance
beta s2 / l_j and mean sqrt(l_j - beta s2) / l_j x_j (oracles A1). Independent of vaecli.theory.
"""

import math
from typing import NamedTuple

import torch

from vaecli.data.sets.base import Data, Kind, Split
from vaecli.models.likelihoods.gaussian import Gaussian
from vaecli.models.linear import Linear
from vaecli.models.vae import VAE


class Truth(NamedTuple):
    kl: torch.Tensor  # (k,) nats; also the mutual information of each dimension
    mu_variance: torch.Tensor  # (k,)
    distortion: float
    log_px: float  # E_x log p(x) of the model, exact

    @property
    def rate(self):
        return self.kl.sum().item()


def linear(spectrum, k, *, beta=1.0, s2=1.0, n=2000, seed=0):
    """(vae, data, truth): the optimal model, n examples in each split, the exact figures."""
    lam = torch.tensor(spectrum, dtype=torch.float64)
    d, theta = len(lam), beta * s2
    active = lam[:k] > theta
    gain = torch.where(active, lam[:k] - theta, 0.0)
    ratio = torch.where(active, theta / lam[:k], 1.0)  # posterior variance
    vae = VAE(
        encoder=Linear(k).encoder((1, 1, d), 2 * k),
        decoder=Linear(k).decoder((1, 1, d), 1, Linear.capacities["medium"]),
        likelihood=Gaussian(sigma=math.sqrt(s2)),
        output_bias=torch.zeros(1, 1, d),
        latent_dim=k,
    )
    with torch.no_grad():
        encoder, decoder = vae.encoder[1], vae.decoder.weight
        for parameter in (*encoder.parameters(), *decoder.parameters()):
            parameter.zero_()
        index = torch.arange(k)
        encoder.weight[index, index] = (gain.sqrt() / lam[:k]).float()
        encoder.bias[k:] = ratio.log().float()
        decoder.weight[index, index] = gain.sqrt().float()
    g = torch.Generator().manual_seed(seed)
    splits = [
        Split((torch.randn(n, d, generator=g) * lam.sqrt().float())[:, None, None])
        for _ in range(3)
    ]
    data = Data("oracle", (1, 1, d), Kind.REAL, *splits)
    kl = -0.5 * ratio.log()
    residual = torch.where(active, theta, lam[:k]).sum() + lam[k:].sum()
    variance = torch.cat([gain + s2, torch.full((d - k,), s2, dtype=torch.float64)])
    return (
        vae,
        data,
        Truth(
            kl,
            1 - ratio,
            (0.5 * d * math.log(2 * math.pi * s2) + residual / (2 * s2)).item(),
            (
                -0.5 * (d * math.log(2 * math.pi) + variance.log().sum() + (lam / variance).sum())
            ).item(),
        ),
    )


# Spectrum, latent dimensions, beta, sigma^2: all active, some collapsed, one at the edge, all dead.
SETTINGS = [
    ((9.0, 4.0, 2.0, 1.5, 0.5, 0.25), 4, 1.0, 1.0),
    ((9.0, 4.0, 2.0, 1.5, 0.5, 0.25), 4, 1.0, 0.375),
    ((9.0, 4.0, 2.0, 1.5, 0.5, 0.25), 4, 3.0, 1.0),
    ((9.0, 4.0, 2.0, 1.5, 0.5, 0.25), 6, 0.5, 1.0),
    ((9.0, 4.0, 2.0, 1.5, 0.5, 0.25), 2, 10.0, 1.0),
    ((30.0, 1.0, 1.0, 1.0), 2, 2.0, 0.2),
    ((5.0, 5.0, 5.0, 0.1), 3, 1.0, 2.0),
]
