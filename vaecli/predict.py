"""The door `vae-predict`: what theory says of a data set before anything is trained."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from vaecli.config.compose import OUTPUT_KEYS, Composed, answer, basic, compose, key_of, split
from vaecli.config.help import asks_help, show_help
from vaecli.core.errors import UsageError, require

if TYPE_CHECKING:
    from vaecli.config.schema import Config
    from vaecli.core.rundir import RunDirectory
    from vaecli.data.sets.base import Data, DataSet
    from vaecli.theory.thresholds import Spectrum

BETAS = [0.5, 1.0, 2.0, 4.0, 10.0, 20.0, 50.0]
WHERE = "outputs/predict/${now:%Y-%m-%d}/${now:%H-%M-%S-%f}"
HEADER = """\
vae-predict: at which beta does this data collapse, and how many dimensions can survive?
Takes the same groups and keys as vae-train.
"""
FOOTER = "Example: vae-predict data=mnist schedule.beta=10\n"


def main() -> None:
    """Run `vae-predict` with the arguments of this process and exit."""
    sys.exit(_main(sys.argv[1:]))


def _main(arguments: list[str]) -> int:
    def work(jobs: list[Composed]) -> int:
        if asks_help(arguments):
            show_help(arguments, HEADER, FOOTER)
            return 0
        _collect(arguments, jobs)
        loaded: dict[DataSet, Data] = {}
        prepared = [(job, *_prepare(job, loaded)) for job in jobs]
        for number, (job, config, data, found) in enumerate(prepared, 1):
            if len(prepared) > 1:
                print(f"\n=== {number} of {len(jobs)}: {job.directory.name}")
            _predict(job, config, data, found)
        return 0

    return answer("vae-predict", arguments, work)


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
    compose([*flags, *ours, *overrides], take)


def _prepare(job: Composed, loaded: dict[DataSet, Data]) -> tuple[Config, Data, Spectrum]:
    """Everything of a job that can be refused. `loaded`: data sets of the jobs before it."""
    from omegaconf import OmegaConf

    from vaecli.config.schema import read
    from vaecli.core.rundir import check_writable
    from vaecli.data.sets.sequence_set import SequenceSet
    from vaecli.runs.build import check
    from vaecli.theory.thresholds import spectrum

    config = read(OmegaConf.create(job.text))
    for key, sequences in (
        ("model", config.model.of_sequences), ("data", isinstance(config.data, SequenceSet)),
    ):  # fmt: skip
        require(
            not sequences, key, config.plain[key]["name"],
            "is of sequences, and theory speaks of decoders whose pixels are independent given z",
            "train it and see: vae-train",
        )  # fmt: skip
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
    from vaecli.core.rundir import RunDirectory
    from vaecli.reporting.prediction import prediction_lines

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
        "optimum": _optimum(config, data),
        "dimensions": found.dimensions,
        "eigenvalues": found.eigenvalues.tolist(),
    }
    directory = RunDirectory(job.directory)
    directory.path.mkdir(parents=True, exist_ok=True)
    directory.write_json("prediction.json", prediction)
    _draw(directory, prediction)
    facts = {
        "Data": f"{data.name} {'x'.join(map(str, data.shape))}"
        + (", binarised in every batch" if data.dynamic else "")
        + f": {len(data.train.x):,} training examples"
        + (", none held out for validation" if hasattr(config.data, "val_fraction") else ""),
        "Likelihood": name,
    }
    print("\n".join(prediction_lines(facts, prediction, _limits(config))))
    print(f"\nSpectrum       {directory.path / 'spectrum.png'}", flush=True)


def _limits(config: Config) -> list[str]:
    """What of this command line the theory does not speak of."""
    from vaecli.theory.prediction import HARMLESS

    found = []
    if config.model.autoregressive:
        found.append(
            "It is for decoders whose pixels are independent given z: an autoregressive one needs "
            "z less, and collapses earlier."
        )
    changed = [type(s).__name__ for s in config.strategies if not s.slots <= HARMLESS]
    if changed:
        found.append(
            f"It is for the plain objective D + beta R, which {' and '.join(changed)} changes on "
            "purpose."
        )
    return found


def _optimum(config: Config, data: Data) -> dict | None:
    """The optimum itself, where it is known: a linear VAE with Gaussian pixels."""
    from vaecli.models.likelihoods.gaussian import Gaussian
    from vaecli.models.likelihoods.gaussian_learned import GaussianLearned
    from vaecli.models.linear import Linear
    from vaecli.theory.comparison import principal
    from vaecli.theory.linear_vae import optimum

    _, likelihood = config.make_likelihood(data)
    known = isinstance(likelihood, Gaussian | GaussianLearned)
    if not (known and isinstance(config.model, Linear)) or config.schedule.beta <= 0:
        return None
    sigma2 = likelihood.sigma**2 if isinstance(likelihood, Gaussian) else None
    try:
        best = optimum(
            principal(data).eigenvalues, config.model.latent_dim,
            beta=config.schedule.beta, sigma2=sigma2,
        )  # fmt: skip
    except ValueError as error:
        return {"reason": str(error)}
    named = ("active", "rate", "distortion", "elbo", "neg_log_px", "sigma2")
    return {key: getattr(best, key) for key in named}


def _everything(data: DataSet) -> DataSet:
    """The data set without a validation part: nothing is trained, so nothing need be held out."""
    if hasattr(data, "val_fraction"):
        return replace(data, val_fraction=0.0)
    return data


def _betas(config: Config) -> list[float]:
    return sorted({*BETAS, config.schedule.beta})


def _expected(config: Config, data: Data, found: Spectrum) -> int:
    """How many dimensions can survive at the configured beta, as a run is told at its start."""
    from vaecli.runs.build import predict

    told = predict(data, config)
    count, _ = found.unstable(config.schedule.beta)
    return min(count, config.model.latent_dim) if told is None else told.expected_active


def _draw(directory: RunDirectory, prediction: dict) -> None:
    from vaecli.core.atomic import whole
    from vaecli.reporting.plots.spectrum_plot import spectrum_plot

    drawn = spectrum_plot(
        prediction["eigenvalues"],
        complete=len(prediction["eigenvalues"]) == prediction["dimensions"],
        beta=prediction["beta"],
        latent_dim=prediction["latent_dim"],
        betas=BETAS,
        name=f"{prediction['data']}, {prediction['likelihood']}",
    )
    with whole(directory.path / "spectrum.png") as file:
        drawn.canvas.print_png(file)


if __name__ == "__main__":
    main()
