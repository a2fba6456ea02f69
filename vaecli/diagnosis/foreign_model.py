"""A model of other code, with the interface that the diagnosis needs."""

# B batch, K samples, Z latent, C channels, H height, W width

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from vaecli.models.priors.base import Prior
from vaecli.models.priors.standard_normal import StandardNormal

# Errors of models for a batch of a shape that they do not take.
REJECTIONS = (RuntimeError, ValueError, TypeError, IndexError, AssertionError)


class ForeignModel(nn.Module):
    """Any model with `encode(x) -> (mu, logvar)`.

    q(z|x) = N(mu, diag exp(logvar)), each (B, Z), and the prior is N(0, I). If the model also has
    `log_px(x, z)`, log p(x|z) in nats summed over pixels, x (B, C, H, W), z (B, Z) -> (B,), all
    figures that need a decoder are measured too.

    notes: words about changes to the batches.
    """

    def __init__(self, model: Any):
        super().__init__()
        self.model = model
        self.prior: Prior = StandardNormal()
        self.likelihood = None
        self.autoregressive = False
        self.flatten: bool | None = None  # not known before the first batch
        self.notes: list[str] = []

    @property
    def decodes(self) -> bool:
        """True if the model computes log p(x|z)."""
        return callable(getattr(self.model, "log_px", None))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The model's answer, checked; x is flattened if the first batch was rejected as it is.

        Raises ValueError unless the answer is a pair of finite (B, Z) tensors.
        """
        if self.flatten is None:
            self.flatten, answer = _first_answer(self.model, x)
            if self.flatten:
                shape = tuple(x.shape)
                self.notes.append(f"encode rejected batches of shape {shape}; they were flattened")
        else:
            answer = self.model.encode(x.flatten(1) if self.flatten else x)
        return _checked(answer, len(x))

    def log_px(self, x: Tensor, z: Tensor) -> Tensor:
        """Log p(x|z): x (B, ...), z (K, B, Z) -> (K, B)."""
        K, B, Z = z.shape
        repeated = x.expand(K, *x.shape).flatten(0, 1)  # (K*B, ...)
        if self.flatten:
            repeated = repeated.flatten(1)
        answer = self.model.log_px(repeated, z.reshape(K * B, Z))
        if getattr(answer, "shape", None) != (K * B,):
            raise ValueError(
                f"log_px(x, z) must return one number per example, of shape ({K * B},); got "
                f"{tuple(getattr(answer, 'shape', ()))}"
            )
        return answer.float().reshape(K, B)


def _first_answer(model: Any, x: Tensor) -> tuple[bool, Any]:
    """Encode the first batch; True if it had to be flattened."""
    try:
        return False, model.encode(x)
    except REJECTIONS as error:
        if x.ndim <= 2:
            raise
        try:
            return True, model.encode(x.flatten(1))
        except REJECTIONS:
            raise error from None  # the shape was not the reason


def _checked(answer: Any, n: int) -> tuple[Tensor, Tensor]:
    pair = isinstance(answer, tuple | list) and len(answer) == 2
    shapes = [tuple(getattr(part, "shape", ())) for part in answer] if pair else []
    if len(shapes) != 2 or shapes[0] != shapes[1] or len(shapes[0]) != 2 or shapes[0][0] != n:
        raise ValueError(
            f"encode(x) must return (mu, logvar), each of shape (batch, latent); got {shapes}"
        )
    mu, logvar = (part.float() for part in answer)
    sound = (mu.isfinite() & logvar.isfinite()).all(1)
    if not sound.all():
        raise ValueError(f"encode(x) is not finite for {int((~sound).sum())} of {n} examples")
    return mu, logvar
