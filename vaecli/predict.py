"""The door `vae-predict`: what theory says of a data set before anything is trained."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from vaecli.compose import (
    OUTPUT_KEYS,
    REFUSALS,
    Composed,
    compose,
    existing,
    key_of,
    leave_nothing,
    refused,
)

if TYPE_CHECKING:
    from vaecli.config import Config
    from vaecli.data.base import Data, DataSet
    from vaecli.theory.thresholds import Spectrum

WRONG_USE = 2
BETAS = [0.5, 1.0, 2.0, 4.0, 10.0, 20.0, 50.0]
WHERE = "outputs/predict/${now:%Y-%m-%d}/${now:%H-%M-%S-%f}"
HELP = [
    "hydra.help.app_name=vae-predict",
    "hydra.help.header='vae-predict: at which beta does this data collapse, and how many dimensions"
    " can survive? Takes the same groups and keys as vae-train.'",
    "hydra.help.footer='Example: vae-predict data=mnist schedule.beta=10'",
]


def main() -> None:
    """Run `vae-predict` with the arguments of this process and exit."""
    sys.exit(_main(sys.argv[1:]))


def _main(arguments: list[str]) -> int:
    full_error = os.environ.get("HYDRA_FULL_ERROR") == "1"
    before = existing([*arguments, "hydra.run.dir=outputs/predict"])
    typed = {key_of(argument) for argument in arguments}
    ours = [f"{key}='{WHERE}'" for key in OUTPUT_KEYS if key not in typed]
    jobs: list[Composed] = []
    try:
        # Hydra wants flags with their values first; overrides may follow one another in any order.
        compose([*arguments, *ours, *HELP], jobs.append)
        for job in jobs:
            _predict(job)
        return 0
    except REFUSALS as error:
        refused("vae-predict", error, [job.directory for job in jobs], before, full=full_error)
        return WRONG_USE
    except KeyboardInterrupt:
        leave_nothing([job.directory for job in jobs], before)
        return 130


def _predict(job: Composed) -> None:
    from omegaconf import OmegaConf

    from vaecli.build import check
    from vaecli.config import read
    from vaecli.errors import require
    from vaecli.rundir import RunDirectory
    from vaecli.theory.thresholds import spectrum

    config = read(OmegaConf.create(job.text))
    config.data.check_files()
    data = _everything(config.data).load()
    check(config, data)
    name, likelihood = config.make_likelihood(data)
    found = spectrum(data, likelihood)
    require(
        found is not None, "likelihood", name, "has no threshold that is known to theory",
        "use bernoulli, gaussian or gaussian_learned",
    )  # fmt: skip
    prediction = {
        "data": data.name,
        "likelihood": name,
        "critical_beta": found.critical_beta,
        "beta": config.schedule.beta,
        "latent_dim": config.model.latent_dim,
        "unstable_directions": {f"{beta:g}": found.unstable(beta)[0] for beta in _betas(config)},
        "dimensions": found.dimensions,
        "eigenvalues": found.eigenvalues.tolist(),
    }
    directory = RunDirectory(job.directory)
    directory.path.mkdir(parents=True, exist_ok=True)
    directory.write_json("prediction.json", prediction)
    _draw(directory, prediction)
    print("\n".join(_lines(config, data, name, found)))
    print(f"\nSpectrum     {directory.path / 'spectrum.png'}", flush=True)


def _everything(data: DataSet) -> DataSet:
    """The data set without a validation part: nothing is trained, so nothing need be held out."""
    if hasattr(data, "val_fraction"):
        return replace(data, val_fraction=0.0)
    return data


def _betas(config: Config) -> list[float]:
    return sorted({*BETAS, config.schedule.beta})


def _lines(config: Config, data: Data, name: str, found: Spectrum) -> list[str]:
    beta, k = config.schedule.beta, config.model.latent_dim
    drawn = ", binarised in every batch" if data.dynamic else ""
    lines = [
        f"Data         {data.name} {'x'.join(map(str, data.shape))}{drawn}: "
        f"{len(data.train.x):,} training examples, none held out for validation",
        f"Likelihood   {name}",
        f"Critical beta  {found.critical_beta:.1f}",
        "",
        f"{'beta':>8}  directions that can leave collapse   of {k} latents at most",
    ]
    for level in _betas(config):
        count, exact = found.unstable(level)
        shown = f"{count}" if exact else f"at least {count}"
        mark = "  <- schedule.beta" if level == beta else ""
        lines.append(f"{level:>8g}  {shown:>34}   {min(count, k):>19}{mark}")
    lines += [
        "",
        f"At beta {found.critical_beta:.1f} and above, a VAE that ignores its code is stable: "
        "training that gets there stays",
        "there. Below it, so many directions of the data can leave collapse. The theory is local: "
        "away from the",
        "collapsed point a nonlinear decoder may keep more dimensions, or find that fewer pay.",
    ]
    if config.model.autoregressive:
        lines.append(
            "It is for decoders whose pixels are independent given z: an autoregressive one needs "
            "z less, and collapses earlier."
        )
    return lines + _closed_form(config, data)


def _closed_form(config: Config, data: Data) -> list[str]:
    """The optimum itself, where it is known: a linear VAE with Gaussian pixels."""
    from vaecli.models.likelihoods.gaussian import Gaussian
    from vaecli.models.likelihoods.gaussian_learned import GaussianLearned
    from vaecli.models.linear import Linear
    from vaecli.theory.linear_vae import optimum, principal

    _, likelihood = config.make_likelihood(data)
    known = isinstance(likelihood, Gaussian | GaussianLearned)
    if not (known and isinstance(config.model, Linear)) or config.schedule.beta <= 0:
        return []
    sigma2 = likelihood.sigma**2 if isinstance(likelihood, Gaussian) else None
    try:
        best = optimum(
            principal(data).eigenvalues, config.model.latent_dim,
            beta=config.schedule.beta, sigma2=sigma2,
        )  # fmt: skip
    except ValueError as error:
        return ["", f"Closed form: {error}"]
    return [
        "",
        f"Optimum of the linear VAE in closed form at beta {config.schedule.beta:g} (training "
        f"split): {best.active} active dimensions,",
        f"rate {best.rate:.3f}, distortion {best.distortion:.3f}, ELBO {best.elbo:.3f}, "
        f"log p(x) {-best.neg_log_px:.3f} nats, sigma^2 {best.sigma2:.5g}.",
    ]


def _draw(directory, prediction: dict) -> None:
    from vaecli.reporting.spectrum_plot import spectrum_plot

    drawn = spectrum_plot(
        prediction["eigenvalues"],
        beta=prediction["beta"],
        latent_dim=prediction["latent_dim"],
        betas=BETAS,
        name=f"{prediction['data']}, {prediction['likelihood']}",
    )
    with (directory.path / "spectrum.png").open("wb") as file:
        drawn.canvas.print_png(file)


if __name__ == "__main__":
    main()
