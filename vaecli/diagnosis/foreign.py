"""The same diagnosis for models of other code, from Python."""

# B batch, Z latent

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from vaecli.diagnosis.diagnose import describe, judged
from vaecli.diagnosis.figures import DEFAULT_THRESHOLD
from vaecli.diagnosis.foreign_model import ForeignModel
from vaecli.diagnosis.mode import evaluation_mode
from vaecli.diagnosis.settings import DiagnosisConfig
from vaecli.evaluation.passes import Encoded


@torch.no_grad()
def diagnose_collapse(
    model: Any,
    data_loader: Iterable,
    device: str | torch.device,
    threshold: float = DEFAULT_THRESHOLD,
) -> dict:
    """Diagnose posterior collapse of `model` over the batches of `data_loader`.

    Args:
        model: any object with `encode(x) -> (mu, logvar)`, each (B, Z), of a diagonal Gaussian
            q(z|x) whose prior is N(0, I). A torch module is put into evaluation mode and then back.
        data_loader: yields x, or (x, labels, ...); batches go in as they are, moved to `device`. If
            `encode` rejects their shape they are flattened to (B, -1), and `warnings` says so.
        device: where the model is.
        threshold: nats of mean KL above which a dimension is active.

    Returns:
        diagnosis.json without the figures of a decoder (elbo, distortion, use of z, likelihood):
        the flat keys, `information` and `collapse_curve`.

    Raises:
        ValueError: the loader is empty, or `encode` does not return two finite (B, Z) tensors.
    """
    foreign = ForeignModel(model)
    with evaluation_mode(model):
        encoded = _encode_all(foreign, data_loader, torch.device(device))
    diagnosis = describe(encoded, DiagnosisConfig(threshold=threshold), seed=0)
    diagnosis["warnings"] += foreign.notes
    return judged(diagnosis, beta=None)


def _encode_all(model: ForeignModel, loader: Iterable, device: torch.device) -> Encoded:
    rows: list[tuple[Tensor, Tensor, Tensor]] = []
    for batch in loader:
        x = batch[0] if isinstance(batch, list | tuple) else batch
        mu, logvar = model.encode(x.to(device))
        rows.append((mu, logvar, model.prior.kl_per_dim(mu, logvar)))
    if not rows:
        raise ValueError("data_loader yielded no batch")
    mu, logvar, kl_per_dim = (torch.cat(column).cpu() for column in zip(*rows, strict=True))
    return Encoded(mu, logvar, kl_per_dim, None, "given")
