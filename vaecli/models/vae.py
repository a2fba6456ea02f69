"""The variational autoencoder: encoder, posterior, prior, decoder and likelihood as plain slots."""

# B batch, K samples, Z latent, C channels, H height, W width; all densities in nats per example

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from vaecli.models.likelihoods.base import Likelihood
from vaecli.models.posteriors.gaussian import Posterior
from vaecli.models.priors.base import Prior
from vaecli.models.priors.standard_normal import StandardNormal


class Terms(NamedTuple):
    """The terms of a batch from which objectives are made, not yet reduced."""

    log_px: Tensor  # (K, B) log p(x|z), summed over pixels
    kl_per_dim: Tensor  # (B, Z) closed form
    mu: Tensor  # (B, Z)
    logvar: Tensor  # (B, Z)
    z: Tensor  # (K, B, Z)


class Reading(nn.Module):
    """The part of x that an autoregressive decoder reads in training: all of it."""

    def noise_shapes(self, B: int, shape: tuple[int, int, int]) -> dict[str, tuple[int, ...]]:
        """The standard normal noise that one pass over B examples consumes, beside that of z."""
        return {}

    def forward(self, x: Tensor, noise: dict[str, Tensor]) -> Tensor:
        """X (B, C, H, W) -> the tensor of the same shape that the decoder reads."""
        return x


class VAE(nn.Module):
    """p(z) p(x|z) with the amortised posterior q(z|x) (Kingma & Welling 2014).

    The decoder's output gets one learned bias per output and pixel, started at the best decoder
    that ignores z. Collapse is then the exact stationary point that theory speaks of; without the
    bias its thresholds are wrong.
    """

    def __init__(
        self,
        *,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        output_bias: Tensor,
        latent_dim: int,
        autoregressive: bool = False,
        shape: tuple[int, int, int] | None = None,
    ):
        """shape: (C, H, W) of an example; None takes that of `output_bias`."""
        super().__init__()
        self.encoder = encoder
        self.posterior: nn.Module = Posterior()
        self.prior: Prior = StandardNormal()
        self.decoder = decoder
        self.reading: Reading = Reading()
        self.likelihood = likelihood
        self.output_bias = nn.Parameter(output_bias.clone())  # (outputs*C, H, W)
        self.latent_dim = latent_dim
        channels, H, W = output_bias.shape
        self.shape = shape or (channels // likelihood.outputs, H, W)
        self.autoregressive = autoregressive

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """X (B, C, H, W) -> mu, logvar of q(z|x), each (B, Z), float32."""
        stats = self.encoder(x)  # (B, 2Z)
        with torch.autocast(x.device.type, enabled=False):
            return self.posterior(stats.float())

    def decode(self, z: Tensor, x: Tensor) -> Tensor:
        """The likelihood's parameters (N, outputs*C, H, W), float32, for codes z (N, Z).

        x (N, C, H, W) is read by autoregressive decoders only, each pixel from the ones before it.
        """
        return self.decoder(z, x).float() + self.output_bias

    def log_px(self, x: Tensor, z: Tensor, read: Tensor | None = None) -> Tensor:
        """Log p(x|z), summed over pixels.

        Args:
            x: examples (B, C, H, W).
            z: codes (K, B, Z).
            read: (B, C, H, W) for the decoder to read in place of x; None: x.

        Returns:
            (K, B) nats.
        """
        K, B, Z = z.shape
        x, given = repeated(x, read, K)
        out = self.decode(z.reshape(K * B, Z), given)  # (K*B, outputs*C, H, W)
        with torch.autocast(x.device.type, enabled=False):
            return self.likelihood.log_prob(out, x).reshape(K, B)

    def noise_shapes(self, B: int) -> dict[str, tuple[int, ...]]:
        """The standard normal noise that one forward pass over B examples consumes."""
        return {"z": (1, B, self.latent_dim), **self.reading.noise_shapes(B, self.shape)}

    def forward(self, x: Tensor, noise: dict[str, Tensor]) -> Terms:
        """The pass of training: x (B, C, H, W), noise["z"] (K, B, Z) standard normal -> Terms."""
        mu, logvar = self.encode(x)
        z = mu + torch.exp(0.5 * logvar) * noise["z"]  # (K, B, Z)
        with torch.autocast(x.device.type, enabled=False):
            kl_per_dim = self.prior.kl_per_dim(mu, logvar)
        log_px = self.log_px(x, z, self.reading(x, noise))
        return Terms(log_px, kl_per_dim, mu, logvar, z)

    # ------------------------------------------------------------------ pictures

    @torch.no_grad()
    def draw(self, z: Tensor, noise: Tensor) -> Tensor:
        """Pictures (N, C, H, W) for codes z (N, Z).

        E[x|z] where pixels are independent given z; an autoregressive decoder draws pixel by pixel
        with uniform noise (N, C, H, W), since its mean image does not exist in closed form.
        """
        x = torch.zeros(len(z), *self.shape, device=z.device)
        if not self.autoregressive:
            return self.likelihood.mean(self.decode(z, x))
        for i in range(self.shape[1]):
            for j in range(self.shape[2]):
                drawn = self.likelihood.sample(self.decode(z, x), noise)
                x[:, :, i, j] = drawn[:, :, i, j]
        return x


def repeated(x: Tensor, read: Tensor | None, K: int) -> tuple[Tensor, Tensor]:
    """Repeat a batch for K samples.

    Args:
        x: (B, ...).
        read: the tensor that the decoder reads in place of x; None: x.
        K: how often.

    Returns:
        x and the tensor to read, (K*B, ...) each.
    """

    def again(part: Tensor) -> Tensor:
        return part if K == 1 else part.expand(K, *part.shape).flatten(0, 1)

    again_x = again(x)
    return again_x, again_x if read is None or read is x else again(read)
