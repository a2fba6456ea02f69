"""Word dropout: a decoder that cannot rely on the tokens before has a use for z."""

# B batch, C channels, H height, W width

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vaecli.core.errors import require
from vaecli.data.files.vocabulary import UNKNOWN
from vaecli.models.base import Family
from vaecli.models.vae import VAE, Reading
from vaecli.objectives.strategies.base import Strategy


@dataclass(frozen=True)
class DecoderDropout(Strategy):
    """Blank a random share `dropped` of the input of an autoregressive decoder, in training.

    Words become the unknown token, pixels become 0. The encoder, the likelihood and every
    evaluation see all of x.

    Example::

        vae-train data=sequences model=lstm strategy=decoder_dropout strategy.dropped=0.3
        vae-train model=pixelcnn strategy=decoder_dropout

    References:
        Bowman et al. 2016, "Generating Sentences from a Continuous Space", section 3.1 (they keep
        62 to 75 % of the words).
    """

    slots: ClassVar[frozenset[str]] = frozenset({"decoder"})

    dropped: float = 0.3

    def validate(self) -> None:
        """Raise UsageError for a share outside (0, 1]; at 1 the decoder reads nothing but z."""
        require(
            0 < self.dropped <= 1,
            "strategy.dropped",
            self.dropped,
            "must be above 0 and at most 1",
            "Bowman et al. 2016 drop 0.25 to 0.38",
        )

    def validate_model(self, model: Family, name: str) -> None:
        """Raise UsageError for a model whose decoder does not read x."""
        require(
            model.autoregressive,
            "strategy",
            self.name,
            f"needs a decoder that reads x, which that of model={name} does not",
            "use model=pixelcnn, or data=text model=lstm",
        )

    def install(self, vae: VAE) -> None:
        """Put the module between x and the decoder."""
        vae.reading = Dropped(self.dropped)


class Dropped(Reading):
    """Blanks each token, or pixel with all its channels, with one probability."""

    threshold: Tensor

    def __init__(self, share: float):
        super().__init__()
        # A standard normal is below it with probability `share`. A buffer, since stacked runs may
        # differ in it; not saved, since it follows from the config.
        at = torch.special.ndtri(torch.tensor(share, dtype=torch.float64)).float()
        self.register_buffer("threshold", at, persistent=False)

    def noise_shapes(self, B: int, shape: tuple[int, int, int]) -> dict[str, tuple[int, ...]]:
        """One number a pixel, or token: (B, 1, H, W)."""
        return {"reading": (B, 1, *shape[1:])}

    def forward(self, x: Tensor, noise: dict[str, Tensor]) -> Tensor:
        """X (B, C, H, W), or tokens (B, 1, 1, L) -> the same with blanks."""
        blank = 0.0 if x.is_floating_point() else UNKNOWN
        dropped = noise["reading"][..., : x.shape[-1]] < self.threshold
        return torch.where(dropped, torch.full((), blank, dtype=x.dtype, device=x.device), x)
