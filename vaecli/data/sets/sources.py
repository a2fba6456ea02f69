"""Sources of sequences with known probabilities: a Markov chain, and an LSTM with a code."""

# N sequences, L their length, W words, G points of a grid; nats

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

SPREAD = 1.5  # standard deviation of a chain's logits: some words follow others, none never does
HIDDEN = 100  # units, and size of the embedding
CENTRES = 2.0  # of the four Gaussians that the codes come from, in both coordinates
AT_ONCE = 2**25  # probabilities that sampling holds
REACH, STEP = 6.0, 0.25  # the grid covers [-REACH, REACH]^2
COARSE = 0.5  # step enough for a sum over a density whose parts are of unit variance


class MarkovSource:
    """A stationary chain over W words: p(x) = pi(x_1) prod_t P(x_t | x_t-1)."""

    def __init__(self, words: int, random: torch.Generator):
        logits = SPREAD * torch.randn(words, words, generator=random, dtype=torch.float64)
        self.transition = logits.softmax(1)  # (W, W)
        # pi P = pi and sum(pi) = 1, as one system of full rank.
        system = torch.eye(words, dtype=torch.float64) - self.transition + 1
        self.stationary = torch.linalg.solve(system.T, torch.ones(words, dtype=torch.float64))

    def entropy(self, length: int) -> float:
        """H(x), nats per sequence of `length` words: no model's distortion + rate is below it."""
        first = -(self.stationary * self.stationary.log()).sum()
        each = -(self.transition * self.transition.log()).sum(1)
        return (first + (length - 1) * (self.stationary * each).sum()).item()

    def log_prob(self, x: Tensor) -> Tensor:
        """Log p(x) of words x (N, L): (N,) float64."""
        after = self.transition[x[:, :-1], x[:, 1:]]
        return self.stationary[x[:, 0]].log() + after.log().sum(1)

    def sample(self, n: int, length: int, random: torch.Generator) -> Tensor:
        """Draw sequences.

        Args:
            n: N of them.
            length: L words each.
            random: draws the words.

        Returns:
            Words (N, L) int64 from 0 to W-1.
        """
        x = torch.empty(n, length, dtype=torch.int64)
        for rows in x.split(max(1, AT_ONCE // len(self.stationary))):
            rows[:, 0] = torch.multinomial(
                self.stationary, len(rows), replacement=True, generator=random
            )
            for t in range(1, length):
                share = self.transition[rows[:, t - 1]]
                rows[:, t] = torch.multinomial(share, 1, generator=random)[:, 0]
        return x


class LSTMSource(nn.Module):
    """An LSTM with random weights that reads a two-dimensional code at every step.

    After the synthetic data of He et al. 2019: z comes from four Gaussians of unit variance at
    (+-2, +-2); weights are uniform on [-1, 1], embeddings on [-5, 5].
    """

    def __init__(self, words: int, random: torch.Generator):
        super().__init__()
        with torch.random.fork_rng(devices=[]):  # PyTorch's initial weights are not used
            # The last stands where nothing is written.
            self.embed = nn.Embedding(words + 1, HIDDEN)
            self.lstm = nn.LSTM(HIDDEN + 2, HIDDEN, batch_first=True)
            self.readout = nn.Linear(HIDDEN, words)
        for name, p in self.named_parameters():
            bound = 5.0 if name.startswith("embed") else 1.0
            p.data = bound * (2 * torch.rand(p.shape, generator=random) - 1)
            p.requires_grad_(False)
        self.words = words

    def sample(self, n: int, length: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw sequences and their codes.

        Args:
            n: N of them.
            length: L words each.
            random: draws codes and words.

        Returns:
            Words (N, L) int64 from 0 to W-1, and codes (N, 2).
        """
        corner = CENTRES * (2 * torch.randint(2, (n, 2), generator=random) - 1)
        z = corner + torch.randn(n, 2, generator=random)
        x = torch.empty(n, length, dtype=torch.int64)
        at_once = max(1, AT_ONCE // self.words)
        for rows, codes in zip(x.split(at_once), z.split(at_once), strict=True):
            last, state = torch.full((len(rows), 1), self.words), None
            for t in range(length):
                h, state = self.lstm(torch.cat([self.embed(last), codes[:, None]], dim=-1), state)
                last = torch.multinomial(self.readout(h[:, 0]).softmax(1), 1, generator=random)
                rows[:, t] = last[:, 0]
        return x, z

    def log_px(self, x: Tensor, z: Tensor) -> Tensor:
        """Log p(x|z) of words x (N, L) at each code z (G, 2): (N, G)."""
        before = torch.cat([torch.full((len(x), 1), self.words), x[:, :-1]], dim=1)
        embedded = self.embed(before)  # (N, L, E)
        columns = []
        for code in z:
            beside = code.expand(*x.shape, 2)
            h, _ = self.lstm(torch.cat([embedded, beside], dim=-1))
            log_p = self.readout(h).log_softmax(-1).gather(2, x[..., None])[..., 0]
            columns.append(log_p.sum(1))
        return torch.stack(columns, dim=1)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log p(x) of words x (N, L), the code summed out over a grid: (N,) float64."""
        z = grid(COARSE)
        log_joint = self.log_px(x, z).double() + log_prior(z)
        return log_joint.logsumexp(1) + 2 * math.log(COARSE)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The grid z (G, 2), and p(z|x) of each sequence (N, L) on it, (N, G), which sums to 1."""
        z = grid()
        log_joint = self.log_px(x, z).double() + log_prior(z)
        return z, log_joint.softmax(1)


def grid(step: float = STEP) -> Tensor:
    """The points (G, 2) of the code's plane."""
    along = torch.arange(-REACH, REACH + step / 2, step)
    return torch.cartesian_prod(along, along)


def log_prior(z: Tensor) -> Tensor:
    """Log p(z) of the four Gaussians, (G,) float64."""
    corners = CENTRES * torch.tensor([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    apart = (z[:, None] - corners).double().square().sum(-1)  # (G, 4)
    return (-0.5 * apart).logsumexp(1) - math.log(4 * 2 * math.pi)
