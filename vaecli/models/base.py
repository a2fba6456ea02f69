"""What a model family is: an encoder, a decoder, and a table of decoder capacities."""

# B batch, N = K*B decoded codes, C channels, H height, W width, Z latent

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from vaecli.core.errors import require
from vaecli.core.options import option_name
from vaecli.models.vae import VAE

MOST_LATENTS = 10_000  # the diagnosis decomposes their covariance: 0.8 GB


@dataclass(frozen=True)
class Capacity:
    """What a decoder may do on its own. None marks a quantity that the family does not have."""

    width: int | None = None
    depth: int | None = None
    receptive_field: int | None = None


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
        """A module x (B, C, H, W) -> (B, outputs): the statistics from which q(z|x) is made."""

    @abstractmethod
    def decoder(self, shape: tuple[int, int, int], outputs: int, capacity: Capacity) -> nn.Module:
        """A module (z (N, Z), x (N, C, H, W)) -> (N, outputs * C, H, W).

        `outputs` is the likelihood's number of values per data channel, laid out as that many
        blocks of C channels. x is read only by autoregressive decoders, and only causally. The
        last layer has no bias: the VAE owns one per output and pixel.
        """
