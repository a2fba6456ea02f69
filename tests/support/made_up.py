"""Histories and diagnoses of runs that never happened, for the tests of reporting."""

import math

import torch

from vaecli.evaluation.measures import MEASURES
from vaecli.reporting.plots.run_plots import Pictures


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
    new = {measure.__name__: 0.5 for measure in MEASURES}  # of figures that are not named above
    return [new | row for row in made]


def estimate(value, standard_error=None, estimator="made up", n=360):
    return {
        "value": value,
        "standard_error": standard_error,
        "estimator": estimator,
        "split": "test",
        "n": n,
    }


def groups(kl, *, saturated=False):
    """The groups of a diagnosis of dimensions with these KL_j, as diagnosis.json has them."""
    latent_dim, rate = len(kl), sum(kl)
    rises = [2.0 * v + 0.001 * j for j, v in enumerate(kl)]
    epsilon = [10 ** (-5 + 0.1 * step) for step in range(61)]
    infimum = [3.0 * v for v in kl]
    held = estimate(0.91 * rate, 0.052)
    return {
        "mu_variance_per_dim": [0.8 if v > 0.01 else 0.00017 for v in kl],
        "standard_errors": {"rate": 0.0561, "distortion": 0.237, "elbo": 0.249},
        "patterns": ["saturated estimate"] if saturated else [],
        "notes": ["saturated estimate: read it as a lower bound."] if saturated else [],
        "information": {
            "mutual_information": held,
            "own_included": held if saturated else estimate(0.87 * rate, 0.051),
            "leave_one_out": estimate(0.95 * rate, 0.053),
            "ceiling": math.log(360),
            "saturated": saturated,
            "minibatch": estimate(0.66 * rate, 0.071, "He et al. 2019, batches of 50", 350),
            "minibatch_ceiling": math.log(50),
            "aggregate_kl": estimate(0.09 * rate, 0.012),
            "rate_split": {
                "mutual_information": estimate(0.91 * rate, 0.052),
                "total_correlation": estimate(0.06 * rate, 0.013),
                "marginal_kl": estimate(0.03 * rate, 0.011),
                "residual": estimate(0.00127, 0.014),
            },
            "marginal_kl_per_dim": [0.0312 * v for v in kl],
        },
        "latent_use": {
            "shuffled": estimate(14.27, 0.31, "mean over a derangement", 777),
            "prior": estimate(13.39, 0.29),
            "zeroed": estimate(6.171, 0.15),
            "ablation": {"estimator": "one dimension permuted", "split": "test", "n": 355},
            "rise_per_dim": rises,
            "ranking": sorted(range(latent_dim), key=lambda j: -rises[j]),
        },
        "pruning": {
            "dead_units": sum(v < 0.01 for v in kl),
            "elbo": estimate(-33.23, 0.241),
            "change": estimate(-0.0213, 0.0037),
        },
        "likelihood": {
            "importance_weighted": estimate(-31.47, 0.233),
            "importance_samples": 100,
            "effective_sample_size": estimate(12.61, 0.41),
            "gain_over_elbo": estimate(1.742, 0.063),
        },
        "baseline": {
            "no_code": estimate(41.83, 0.27, "one constant per pixel of the training split"),
            "gain": estimate(8.623, 0.21),
        },
        "inference": {
            "gain": estimate(0.3131, 0.017, n=128),
            "refined_rate": estimate(3.1718, 0.083, n=128),
            "steps": 50,
        },
        "sequences": {
            "tokens_per_sequence": 11.53,
            "cut": 0.0317,
            "unknown": 0.0713,
            "above_source": estimate(2.317, 0.19, n=200),
            "perplexity": estimate(17.83, 0.37, "exp(nats per token)"),
            "perplexity_importance_weighted": estimate(15.37, 0.83, "exp(nats per token)", 99),
            "perplexity_same_sequences": estimate(18.19, 0.71, "exp(nats per token)", 99),
            "perplexity_source": estimate(11.29, 0.61, "exp(nats per token)", 200),
            "perplexity_no_code": estimate(23.61, 0.43, "exp(nats per token)"),
            "rise_by_position": [2.9, 1.7, 0.9, 0.4, 0.1, -0.1],
            "sequences_at_position": [360, 360, 350, 300, 200, 90],
        },
        "latent_space": {
            "knn": estimate(0.7654, 0.032, "10 nearest neighbours", 180),
            "knn_shuffled_labels": estimate(0.1151, 0.024, "10 nearest neighbours", 180),
            "linear_probe": estimate(0.8277, 0.028, "logistic regression", 180),
            "linear_probe_shuffled_labels": estimate(0.0949, 0.022, "logistic regression", 180),
        },
        "collapse_curve": {
            "delta": 0.01,
            "epsilon": epsilon,
            "collapsed_fraction": [sum(v < e for v in infimum) / latent_dim for e in epsilon],
            "collapsed_at_threshold": sum(v < 0.01 for v in infimum) / latent_dim,
            "epsilon_per_dim": infimum,
        },
        "prediction": {
            "critical_beta": 3.917,
            "beta": 1.0,
            "unstable_directions": 5,
            "expected_active": 5,
            "measured_active": sum(v > 0.01 for v in kl),
            "agrees": True,
            "sentence": "Theory: 5 directions can leave collapse; measured: as many, nearly.",
        },
        "settings": {"split": "test", "threshold": 0.01, "tsne_points": 1000},
    }


def linear_vae():
    """The group `theory` of a run of a linear Gaussian model."""
    rows = [
        ("active_dimensions", 3, 4, None),
        ("rate", 2.1383, 2.2429, 0.0302),
        ("objective", 10.027, 10.1199, 0.062),
        ("kl_per_dim[0]", 1.0986, 0.9329, None),
        ("log_px_exact", -10.027, -10.0735, None),
    ]
    keys = ("figure", "theory", "measured", "standard_error")
    return {"linear_vae": [dict(zip(keys, row, strict=True)) for row in rows]}


def old_diagnosis(**shape):
    """A diagnosis from before the groups: `latent_use.shuffled` was all there was."""
    found = diagnosis(**shape)
    use = {"latent_use": {"shuffled": found["latent_use"]["shuffled"]}}
    return {key: value for key, value in found.items() if key not in groups([0.0])} | use


def diagnosis(*, latent_dim=8, alive=4, saturated=False):
    kl = [1.5 / (j + 1) + 0.1 if j < alive else 0.0001 for j in range(latent_dim)]
    flat = {
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
    }
    flat = {measure.__name__: 0.5 for measure in MEASURES} | flat  # figures that are new
    return flat | groups(kl, saturated=saturated)


def pictures(*, latent_dim=8, channels=1, labels=True, dims=3, seed=0):
    draw = torch.Generator().manual_seed(seed)
    mu = torch.randn(200, latent_dim, generator=draw)
    logvar = torch.randn(200, latent_dim, generator=draw) - 1
    classes = torch.randint(0, 10, (200,), generator=draw)
    dims = min(dims, latent_dim)
    return Pictures(
        originals=torch.rand(12, channels, 8, 8, generator=draw),
        reconstructions=torch.rand(12, channels, 8, 8, generator=draw),
        samples=torch.rand(20, channels, 8, 8, generator=draw),
        traversals=torch.rand(dims, 7, channels, 8, 8, generator=draw),
        traversed=list(range(dims)),
        mu=mu,
        logvar=logvar,
        codes=mu + (0.5 * logvar).exp() * torch.randn(200, latent_dim, generator=draw),
        kl=0.5 * (mu.square() + logvar.exp() - 1 - logvar),
        labels=classes if labels else None,
        tsne=torch.randn(150, 2, generator=draw),
        tsne_labels=classes[:150] if labels else None,
    )
