"""Tokens: one of V words at each position."""

# N examples, V tokens, T positions

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from vaecli.data.files.vocabulary import PAD
from vaecli.data.sets.base import Kind
from vaecli.models.likelihoods.base import Likelihood

UNSEEN = 1e-6  # share given to a token that does not occur, as padding never does


@dataclass(eq=False)
class Categorical(Likelihood):
    """p(x|z) = prod_t softmax(out_t)[x_t] over the positions that are not padding.

    The V tokens are the channels: out (N, V, 1, T), x (N, 1, 1, T) numbers of tokens.
    """

    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.TOKENS})
    start_is_best: ClassVar[bool] = True

    def start(self, mean: Tensor, variance: Tensor) -> Tensor:
        """The log share of each token, one constant for all positions: (V, 1, 1)."""
        return torch.where(mean > 0, mean, UNSEEN).log()

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        """Log p(x|z) in nats, summed over positions: (N,)."""
        return self.per_position(out, x).sum(1)

    def per_position(self, out: Tensor, x: Tensor) -> Tensor:
        """Log p(x_t|z, x_before_t), 0 where there is padding: (N, T)."""
        logits = out.movedim(1, -1).flatten(0, 2)  # (N*T, V)
        nll = cross_entropy(logits, x.flatten(), ignore_index=PAD, reduction="none")
        return -nll.view(len(x), -1)

    def mean(self, out: Tensor) -> Tensor:
        """The most probable token: (N, 1, 1, T) int64; tokens have no mean."""
        return out.argmax(1, keepdim=True)

    def sample(self, out: Tensor, noise: Tensor) -> Tensor:
        """The token at which the distribution function passes `noise` (N, 1, 1, T): int64.

        A token of no probability is never it.
        """
        below = torch.softmax(out, 1).cumsum(1) <= noise
        return below.sum(1, keepdim=True).clamp(max=out.shape[1] - 1)
