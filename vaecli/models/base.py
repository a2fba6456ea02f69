"""Model families: an encoder, a decoder, and a table of decoder capacities."""

# B batch, N = K*B decoded codes, C channels, H height, W width, Z latent

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from vaecli.core.errors import require
from vaecli.core.options import option_name
from vaecli.models.vae import VAE

MOST_LATENTS = 10_000  # the diagnosis decomposes their covariance: 0.8 GB

# None is possible, but not for a family that reads the quantity, so it need not ask for it.
Size = int | Any


@dataclass(frozen=True)
class Capacity:
    """The size of a decoder. None marks a quantity that the family does not have."""

    width: Size = None
    depth: Size = None
    receptive_field: Size = None


@dataclass(frozen=True)
class Family(ABC):
    """One family of encoders and decoders; its fields are the keys of its yaml."""

    latent_dim: int

    # The rows behind decoder=small|medium|large; a size that is not listed is refused.
    capacities: ClassVar[dict[str, Capacity]]
    autoregressive: ClassVar[bool] = False
    of_sequences: ClassVar[bool] = False  # its data are tokens, (V, 1, T), and not images
    vae: ClassVar[type[VAE]] = VAE  # that its encoder and decoder are put into

    @property
    def name(self) -> str:
        """The option's name, as in `model=mlp`."""
        return option_name(self)

    def validate(self) -> None:
        """Raise UsageError for keys outside their range."""
        require(
            1 <= self.latent_dim <= MOST_LATENTS,
            "model.latent_dim",
            self.latent_dim,
            f"must be from 1 to {MOST_LATENTS:,}",
            "try model.latent_dim=20",
        )

    def validate_shape(self, shape: tuple[int, int, int]) -> None:  # noqa: B027 - most fit all
        """Raise UsageError if the family cannot be built for images of `shape` (C, H, W)."""

    def validate_capacity(self, capacity: Capacity) -> None:  # noqa: B027 - optional
        """Raise UsageError if the numbers of `capacity` (table or user) do not fit together."""

    @abstractmethod
    def encoder(self, shape: tuple[int, int, int], outputs: int) -> nn.Module:
        """Build the encoder, x (B, C, H, W) -> (B, outputs): the statistics of q(z|x)."""

    @abstractmethod
    def decoder(self, shape: tuple[int, int, int], outputs: int, capacity: Capacity) -> nn.Module:
        """Build the decoder.

        Args:
            shape: (C, H, W) of an example.
            outputs: the likelihood's number of values per data channel.
            capacity: its size.

        Returns:
            A module (z (N, Z), x (N, C, H, W)) -> (N, outputs * C, H, W), laid out as `outputs`
            blocks of C channels. Only autoregressive decoders read x, and only causally. The last
            layer has no bias: the VAE has one per output and pixel.
        """
