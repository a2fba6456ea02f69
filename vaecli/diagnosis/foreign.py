"""The same diagnosis for any model that has `encode(x) -> (mu, logvar)`."""

# N examples, B batch, Z latent

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from vaecli.diagnosis import conclude
from vaecli.diagnosis.mode import evaluation_mode
from vaecli.diagnosis.rate import Encoded, figures
from vaecli.models.posterior import StandardNormal


@torch.no_grad()
def diagnose_collapse(
    model: Any, data_loader: Iterable, device: str | torch.device, threshold: float = 0.01
) -> dict:
    """Diagnose posterior collapse of `model` over the batches of `data_loader`.

    model: anything with `encode(x) -> (mu, logvar)`, each (B, Z), of a diagonal Gaussian q(z|x)
        whose prior is N(0, I). A torch module is put into evaluation mode and then back.
    data_loader: yields x, or (x, labels, ...); batches go in as they are, moved to `device`. If
        `encode` rejects their shape they are flattened to (B, -1), and `warnings` says so.
    threshold: nats of mean KL above which a dimension is active.

    Returns the flat keys of diagnosis.json without those that need a decoder (elbo, distortion).
    Raises ValueError for an empty loader, and for an `encode` that does not return two finite
    (B, Z) tensors.
    """
    with evaluation_mode(model):
        encoded, notes = _encode_all(model, data_loader, torch.device(device))
    found = figures(encoded, threshold=threshold)
    diagnosis = conclude(found, threshold=threshold, split="given", examples=len(encoded.mu))
    diagnosis["warnings"] += notes
    return diagnosis


def _encode_all(model: Any, loader: Iterable, device: torch.device) -> tuple[Encoded, list[str]]:
    rows: list[tuple[Tensor, Tensor, Tensor]] = []
    flatten = False
    prior = StandardNormal()
    for batch in loader:
        x = batch[0] if isinstance(batch, list | tuple) else batch
        x = x.to(device)
        if not flatten:
            try:
                found = model.encode(x)
            except (RuntimeError, ValueError) as error:
                if rows or x.ndim <= 2:
                    raise
                found = _flattened(model, x, error)
                flatten = True
        else:
            found = model.encode(x.flatten(1))
        mu, logvar = _checked(found, len(x))
        rows.append((mu, logvar, prior.kl_per_dim(mu, logvar)))
    if not rows:
        raise ValueError("data_loader yielded no batch")
    mu, logvar, kl_per_dim = (torch.cat(column).cpu() for column in zip(*rows, strict=True))
    notes = [f"encode rejected batches of shape {tuple(x.shape)}; they were flattened"]
    return Encoded(mu, logvar, kl_per_dim, None, "given"), notes if flatten else []


def _flattened(model: Any, x: Tensor, error: Exception) -> Any:
    try:
        return model.encode(x.flatten(1))
    except (RuntimeError, ValueError):
        raise error from None  # what was wrong was not the shape


def _checked(found: Any, n: int) -> tuple[Tensor, Tensor]:
    pair = isinstance(found, tuple | list) and len(found) == 2
    shapes = [tuple(getattr(part, "shape", ())) for part in found] if pair else []
    if len(shapes) != 2 or shapes[0] != shapes[1] or len(shapes[0]) != 2 or shapes[0][0] != n:
        raise ValueError(
            f"encode(x) must return (mu, logvar), each of shape (batch, latent); got {shapes}"
        )
    mu, logvar = (part.float() for part in found)
    sound = (mu.isfinite() & logvar.isfinite()).all(1)
    if not sound.all():
        raise ValueError(f"encode(x) is not finite for {int((~sound).sum())} of {n} examples")
    return mu, logvar
