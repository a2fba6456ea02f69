"""Does the decoder use z? What happens to the distortion when z is taken from another example."""

# N examples, Z latent; nats per example

from __future__ import annotations

import torch
from torch import Tensor

from vaecli.data.base import Data
from vaecli.diagnosis.estimate import Estimate, mean_of
from vaecli.diagnosis.rate import Encoded, distortion, sample_codes
from vaecli.models.vae import VAE
from vaecli.randomness import generator


def shuffled(vae: VAE, data: Data, encoded: Encoded, per_example: Tensor, *, seed: int) -> Estimate:
    """The rise of the distortion when every example gets another one's code.

    per_example (N,): the distortion with the right codes. For a decoder that is the true
    conditional p(x|z) the rise is I(x; z) + L(x; z), with L >= 0 the lautum information
    (Palomar & Verdu 2008): it cannot be smaller than the information that is used.
    """
    z = sample_codes(encoded, seed)
    rise = distortion(vae, data, encoded.split, z[derangement(len(z), seed)]) - per_example
    return mean_of(rise, "one z per example, codes permuted without fixed points", encoded.split)


def derangement(n: int, seed: int) -> Tensor:
    """A random permutation of 0..n-1 that leaves nothing in place (one random cycle), (n,)."""
    cycle = torch.randperm(n, generator=generator(seed, "evaluation", index=1))
    other = torch.empty_like(cycle)
    other[cycle] = cycle.roll(1)
    return other
