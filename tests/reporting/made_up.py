"""Histories and diagnoses of runs that never happened, for the tests of reporting."""

import math

import torch

from vaecli.reporting.plots import Pictures


def history(*, rows=12, latent_dim=8, alive=4):
    """A run in which beta warms up and all but `alive` dimensions die."""
    made = []
    for number in range(rows):
        done = number / max(1, rows - 1)
        kl = [
            1.5 / (j + 1) + 0.1 if j < alive else 0.5 * math.exp(-12 * done)
            for j in range(latent_dim)
        ]
        rate, distortion = sum(kl), 40 - 10 * done
        made.append(
            {
                "step": 100 * number,
                "epoch": 2.5 * number,
                "encoder_updates": 100 * number,
                "decoder_updates": 100 * number,
                "seconds": float(number),
                "beta": min(1.0, 4 * done),
                "loss": rate + distortion,
                "elbo": -(rate + distortion),
                "distortion": distortion,
                "rate": rate,
                "kl_per_dim": kl,
                "active_dimensions": sum(v > 0.01 for v in kl),
                "active_units": sum(v > 0.02 for v in kl),
                "mu_variance": 0.4,
                "mean_logvar": -1.0,
                "images_per_second": 12345.0,
                "train_loss": rate + distortion - 0.5,
                "train_elbo": -(rate + distortion) + 0.5,
                "train_distortion": distortion - 0.5,
                "train_rate": rate,
            }
        )
    return made


def diagnosis(*, latent_dim=8, alive=4):
    kl = [1.5 / (j + 1) + 0.1 if j < alive else 0.0001 for j in range(latent_dim)]
    return {
        "status": "FULL COLLAPSE" if not alive else "HEALTHY",
        "active_dimensions": alive,
        "total_dimensions": latent_dim,
        "utilization": alive / latent_dim,
        "total_kl": sum(kl),
        "mu_variance": 0.4321,
        "mean_logvar": -1.234,
        "kl_per_dim": kl,
        "active_units": alive,
        "elbo": -33.21,
        "distortion": 30.17,
        "rate": 3.04,
        "split": "test",
        "examples": 360,
        "threshold": 0.01,
        "warnings": ["Rate is not information."],
        "verdict": [f"{alive} of {latent_dim} dimensions are active."],
        "next_commands": [["vae-train strategy=free_bits", "keeps a floor under the KL"]],
        "latent_use": {
            "shuffled": {
                "value": 14.27,
                "standard_error": 0.31,
                "estimator": "mean over a derangement",
                "split": "val",
                "n": 777,
            }
        },
    }


def pictures(*, latent_dim=8, channels=1, labels=True, dims=3, seed=0):
    draw = torch.Generator().manual_seed(seed)
    mu = torch.randn(200, latent_dim, generator=draw)
    classes = torch.randint(0, 10, (200,), generator=draw)
    dims = min(dims, latent_dim)
    return Pictures(
        originals=torch.rand(12, channels, 8, 8, generator=draw),
        reconstructions=torch.rand(12, channels, 8, 8, generator=draw),
        samples=torch.rand(20, channels, 8, 8, generator=draw),
        traversals=torch.rand(dims, 7, channels, 8, 8, generator=draw),
        traversed=list(range(dims)),
        mu=mu,
        logvar=torch.randn(200, latent_dim, generator=draw) - 1,
        labels=classes if labels else None,
        tsne=torch.randn(150, 2, generator=draw),
        tsne_labels=classes[:150] if labels else None,
    )
