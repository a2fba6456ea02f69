"""Pictures of the latent space: reconstructions, samples, traversals, t-SNE."""

# N examples, Z latent, C channels, H height, W width

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from vaecli.core.randomness import generator
from vaecli.data.sets.base import Data
from vaecli.evaluation.passes import Encoded, sample_codes
from vaecli.models.vae import VAE

COLUMNS = 10  # originals, reconstructions, samples in a row
TRAVERSED = 6  # dimensions
STEPS = 9  # codes from -3 to 3


def reconstructions(
    vae: VAE, data: Data, encoded: Encoded, *, seed: int, n: int = COLUMNS
) -> tuple[Tensor, Tensor]:
    """Decode a z ~ q(z|x) of the first examples.

    Args:
        vae: the model.
        data: its data.
        encoded: the posteriors.
        seed: the run's.
        n: number of examples.

    Returns:
        The examples and their reconstructions, (n, C, H, W) each.
    """
    n = min(n, len(encoded.mu))
    index = torch.arange(n)
    x = data.batch(getattr(data, encoded.split), index).cpu()
    return x, _draw(vae, sample_codes(encoded, seed)[:n], seed)


def prior_samples(vae: VAE, *, seed: int, n: int = 2 * COLUMNS) -> Tensor:
    """Decode draws from the prior.

    Args:
        vae: the model.
        seed: the run's.
        n: number of draws.

    Returns:
        (n, C, H, W).
    """
    eps = torch.randn(n, vae.latent_dim, generator=generator(seed, "evaluation", index=2))
    return _draw(vae, vae.prior.draws(eps), seed)


def traversals(vae: VAE, encoded: Encoded, *, seed: int) -> tuple[Tensor, list[int]]:
    """One code moved along single dimensions from -3 to 3, those of largest KL first.

    The other coordinates stay at the posterior mean of the first example; all pictures share their
    noise.

    Args:
        vae: the model.
        encoded: the posteriors.
        seed: the run's.

    Returns:
        Pictures (dims, STEPS, C, H, W) and the dimensions.
    """
    dims = encoded.kl_per_dim.mean(0).argsort(descending=True)[:TRAVERSED].tolist()
    z = encoded.mu[0].repeat(len(dims), STEPS, 1)  # (dims, STEPS, Z)
    for row, dim in enumerate(dims):
        z[row, :, dim] = torch.linspace(-3, 3, STEPS)
    pictures = _draw(vae, z.flatten(0, 1), seed, same_noise=True)
    return pictures.unflatten(0, (len(dims), STEPS)), dims


def tsne(encoded: Encoded, *, points: int, seed: int) -> Tensor | None:
    """Place posterior means in the plane by t-SNE.

    Args:
        encoded: the posteriors.
        points: use at most so many.
        seed: of t-SNE.

    Returns:
        (points, 2). None for too few means, or means that are all alike.
    """
    from sklearn.manifold import TSNE

    mu = encoded.mu[:points].double().numpy()
    if len(mu) < 50 or float(mu.std(0).max()) < 1e-6:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        placed = TSNE(
            init="pca" if mu.shape[1] >= 2 else "random", random_state=seed % 2**32
        ).fit_transform(mu)
    return torch.from_numpy(placed)


def _draw(vae: VAE, z: Tensor, seed: int, *, same_noise: bool = False) -> Tensor:
    rows = 1 if same_noise else len(z)
    noise = torch.rand(rows, *vae.shape, generator=generator(seed, "evaluation", index=3))
    # Away from 0 and 1, where inverse distribution functions are infinite.
    noise = noise.clamp(1e-6, 1 - 1e-6).expand(len(z), *vae.shape)
    device = vae.output_bias.device
    return vae.draw(z.to(device), noise.to(device)).float().cpu()
