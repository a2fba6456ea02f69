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
    basic,
    compose,
    existing,
    key_of,
    leave_nothing,
    refused,
    split,
)
from vaecli.errors import UsageError, require

if TYPE_CHECKING:
    from vaecli.config import Config
    from vaecli.data.base import Data, DataSet
    from vaecli.rundir import RunDirectory
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
    jobs: list[Composed] = []
    try:
        _collect(arguments, jobs)
        loaded: dict[DataSet, Data] = {}
        prepared = [(job, *_prepare(job, loaded)) for job in jobs]
        for number, (job, config, data, found) in enumerate(prepared, 1):
            if len(prepared) > 1:
                print(f"\n=== {number} of {len(jobs)}: {job.directory.name}")
            _predict(job, config, data, found)
        return 0
    except REFUSALS as error:
        refused("vae-predict", error, [job.directory for job in jobs], before, full=full_error)
        return WRONG_USE
    except KeyboardInterrupt:
        leave_nothing([job.directory for job in jobs], before)
        return 130


def _collect(arguments: list[str], jobs: list[Composed]) -> None:
    """Append what is to be predicted; under a launcher that is not Hydra's own, predict it now."""
    flags, overrides = split(arguments)
    typed = {key_of(override) for override in overrides}
    if "resume" in typed and "resume=null" not in overrides:
        raise UsageError(
            "resume", "DIR", "is for vae-train", "give the run's own overrides to vae-predict"
        )
    ours = [f"{key}='{WHERE}'" for key in OUTPUT_KEYS if key not in typed]

    def take(composed: Composed) -> None:
        if basic():
            jobs.append(composed)
        else:
            _predict(composed, *_prepare(composed, {}))

    # Hydra's parser wants all overrides in one row.
    compose([*flags, *ours, *HELP, *overrides], take)


def _prepare(job: Composed, loaded: dict[DataSet, Data]) -> tuple[Config, Data, Spectrum]:
    """Everything of a job that can be refused. `loaded`: data sets of the jobs before it."""
    from omegaconf import OmegaConf

    from vaecli.build import check
    from vaecli.config import read
    from vaecli.rundir import check_writable
    from vaecli.theory.thresholds import spectrum

    config = read(OmegaConf.create(job.text))
    check_writable(job.directory)
    wanted = _everything(config.data)
    if wanted not in loaded:
        wanted.check_files()
        loaded[wanted] = wanted.load()
    data = loaded[wanted]
    check(config, data)
    name, likelihood = config.make_likelihood(data)
    found = spectrum(data, likelihood)
    require(
        found is not None, "likelihood", name, "has no threshold that is known to theory",
        "use bernoulli, gaussian or gaussian_learned",
    )  # fmt: skip
    return config, data, found


def _predict(job: Composed, config: Config, data: Data, found: Spectrum) -> None:
    from vaecli.rundir import RunDirectory

    name, _ = config.make_likelihood(data)
    count, exact = found.unstable(config.schedule.beta)
    prediction = {
        "data": data.name,
        "examples": len(data.train.x),
        "likelihood": name,
        "critical_beta": found.critical_beta,
        "beta": config.schedule.beta,
        "latent_dim": config.model.latent_dim,
        "unstable_directions": count,
        "at_least": not exact,
        "expected_active": _expected(config, data, found),
        "table": [
            {"beta": beta, "unstable_directions": n, "at_least": not whole}
            for beta, (n, whole) in ((beta, found.unstable(beta)) for beta in _betas(config))
        ],
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


def _expected(config: Config, data: Data, found: Spectrum) -> int:
    """How many dimensions can survive at the configured beta, as a run is told at its start."""
    from vaecli.build import predict

    told = predict(data, config)
    count, _ = found.unstable(config.schedule.beta)
    return min(count, config.model.latent_dim) if told is None else told.expected_active


def _lines(config: Config, data: Data, name: str, found: Spectrum) -> list[str]:
    from vaecli.theory.prediction import HARMLESS

    beta, k = config.schedule.beta, config.model.latent_dim
    drawn = ", binarised in every batch" if data.dynamic else ""
    held_out = ", none held out for validation" if hasattr(config.data, "val_fraction") else ""
    lines = [
        f"Data         {data.name} {'x'.join(map(str, data.shape))}{drawn}: "
        f"{len(data.train.x):,} training examples{held_out}",
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
    changed = [type(s).__name__ for s in config.strategies if not s.slots <= HARMLESS]
    if changed:
        lines.append(
            f"It is for the plain objective D + beta R, which {' and '.join(changed)} "
            "changes on purpose."
        )
    local = min(found.unstable(beta)[0], k)
    if name == "gaussian_learned" and _expected(config, data, found) > local:
        lines.append(
            "The learned sigma shrinks as dimensions come into use, which lets more follow: in a "
            "linear VAE,"
            f" {_expected(config, data, found)} of {k} at beta {beta:g}."
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


def _draw(directory: RunDirectory, prediction: dict) -> None:
    from vaecli.reporting.spectrum_plot import spectrum_plot

    drawn = spectrum_plot(
        prediction["eigenvalues"],
        complete=len(prediction["eigenvalues"]) == prediction["dimensions"],
        beta=prediction["beta"],
        latent_dim=prediction["latent_dim"],
        betas=BETAS,
        name=f"{prediction['data']}, {prediction['likelihood']}",
    )
    unfinished = directory.path / ".spectrum.png.unfinished"
    with unfinished.open("wb") as file:
        drawn.canvas.print_png(file)
    os.replace(unfinished, directory.path / "spectrum.png")


if __name__ == "__main__":
    main()
