"""Gaussian vectors whose covariance is known exactly: the data of the linear oracle."""

# N examples, D dimensions

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vaecli.core.errors import require
from vaecli.core.machine import free_bytes
from vaecli.data.sets.base import Data, DataSet, Kind, Split
from vaecli.data.sets.splits import generator

WORK = 5  # arrays of the size of the data, in float64, while it is made


@dataclass(frozen=True, kw_only=True)
class Gaussian(DataSet):
    """Real vectors (N, 1, 1, D), D the length of `spectrum`, from N(0, Q diag(spectrum) Q').

    Each split is whitened before it is coloured, so that its mean is 0 and its 1/N
    covariance has exactly these eigenvalues, in the same directions Q, to float32's rounding. The
    optimum of a linear VAE then holds for every split without sampling error.
    """

    spectrum: tuple[float, ...] = (9.0, 4.0, 2.0, 1.0, 0.5, 0.25)
    examples: int = 4096
    held_out: int = 1024
    rotate: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        # OmegaConf makes it a list, and data sets are hashed.
        object.__setattr__(self, "spectrum", tuple(self.spectrum))

    @property
    def name(self) -> str:
        """The option's name."""
        return "gaussian"

    def validate(self) -> None:
        """Raise UsageError for keys outside their range."""
        require(
            len(self.spectrum) >= 1 and all(math.isfinite(v) and v > 0 for v in self.spectrum),
            "data.spectrum",
            list(self.spectrum),
            "must list variances, all positive and finite",
            "try data.spectrum=[9,4,2,1]",
        )
        dimensions = len(self.spectrum)
        for key, example in (("examples", 4096), ("held_out", 1024)):
            value = getattr(self, key)
            require(
                value > dimensions,
                f"data.{key}",
                value,
                f"must exceed the {dimensions} dimensions of data.spectrum, or there is no such "
                "covariance",
                f"try data.{key}={max(example, 10 * dimensions)}",
            )
        free = free_bytes(torch.device("cpu"))
        need = WORK * 8 * dimensions * (self.examples + self.held_out)
        require(
            free is None or need <= free,
            "data.examples",
            self.examples,
            f"needs {need / 2**30:.3g} GiB, which are not free",
            "choose fewer",
        )
        require(self.seed >= 0, "data.seed", self.seed, "must be at least 0", "try data.seed=0")

    def load(self) -> Data:
        """Draw the three splits."""
        root = self._root()
        sizes = {"train": self.examples, "val": self.held_out, "test": self.held_out}
        train, val, test = (
            Split((_white(n, len(root), self.seed, part) @ root).float()[:, None, None])
            for part, n in sizes.items()
        )
        return Data(self.name, (1, 1, len(root)), Kind.REAL, train, val, test)

    def _root(self) -> Tensor:
        """diag(sqrt(spectrum)) Q', (D, D) float64; row j is direction j, sqrt(spectrum[j]) long."""
        scale = torch.tensor(self.spectrum, dtype=torch.float64).sqrt()
        if not self.rotate:
            return scale.diag()
        noise = generator(self.seed, "gaussian rotation")
        shape = len(scale), len(scale)
        Q, R = torch.linalg.qr(torch.randn(shape, generator=noise, dtype=torch.float64))
        Q = Q * R.diagonal().sign()  # uniform over the rotations (Mezzadri 2007)
        return scale[:, None] * Q.T


def _white(n: int, dimensions: int, seed: int, part: str) -> Tensor:
    """Normal draws (N, D) float64, moved and mapped to mean 0 and 1/N covariance I."""
    noise = generator(seed, f"gaussian {part}")
    x = torch.randn(n, dimensions, generator=noise, dtype=torch.float64)
    x -= x.mean(0)
    L = torch.linalg.cholesky(x.T @ x / n)
    return torch.linalg.solve_triangular(L, x.T, upper=False).T
