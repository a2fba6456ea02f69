"""The linear family: affine encoder, linear decoder, a model whose optimum has a closed form."""

# B batch, N decoded codes, C channels, H height, W width, Z latent

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from vaecli.models.base import Capacity, Family


@dataclass(frozen=True)
class Linear(Family):
    """Affine q(z|x), linear p(x|z): with a Gaussian likelihood this is probabilistic PCA.

    Its optimum and its collapsed dimensions have a closed form (Lucas et al. 2019, "Don't
    Blame the ELBO!"), so it is the oracle that training and every metric are held against. A
    linear map has no capacity to vary, hence one size.
    """

    capacities: ClassVar[dict[str, Capacity]] = {"medium": Capacity()}

    def encoder(self, shape: tuple[int, int, int], outputs: int) -> nn.Module:
        """Maps x (B, C, H, W) to (B, outputs), affine."""
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), outputs))

    def decoder(self, shape: tuple[int, int, int], outputs: int, capacity: Capacity) -> nn.Module:
        """Build the decoder.

        Args:
            shape: (C, H, W) of an example.
            outputs: values per data channel.
            capacity: it has none.

        Returns:
            A module (z (N, Z), x) -> (N, outputs*C, H, W), linear in z;
            x is ignored.
        """
        return LinearDecoder(self.latent_dim, shape, outputs)


class LinearDecoder(nn.Module):
    """W z; the VAE adds the bias."""

    def __init__(self, latent_dim: int, shape: tuple[int, int, int], outputs: int):
        super().__init__()
        channels, height, width = shape
        self.out_shape = (outputs * channels, height, width)
        self.weight = nn.Linear(latent_dim, math.prod(self.out_shape), bias=False)

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        """Maps z (N, Z) to (N, outputs*C, H, W); x is ignored."""
        return self.weight(z).unflatten(1, self.out_shape)  # (N, outputs*C, H, W)
