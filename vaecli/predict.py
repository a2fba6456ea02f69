"""The door `vae-predict`: what theory says of a data set before anything is trained."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from vaecli.config.arguments import key_of, split
from vaecli.config.compose import compose
from vaecli.config.help import asks_help, show_help
from vaecli.core.answer import answering
from vaecli.core.errors import UsageError, require

if TYPE_CHECKING:
    from vaecli.config.job import Job
    from vaecli.config.schema import Config
    from vaecli.core.rundir import RunDirectory
    from vaecli.data.sets.base import Data, DataSet
    from vaecli.theory.thresholds import Spectrum

OUTPUT_KEYS = ("hydra.run.dir", "hydra.sweep.dir")
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
    with answering("vae-predict") as answer:
        if asks_help(arguments):
            show_help(arguments, HEADER, FOOTER)
            return answer.code
        jobs = _jobs(arguments)
        loaded: dict[DataSet, Data] = {}
        prepared = [(job, *_prepare(job, loaded)) for job in jobs]
        for number, (job, config, data, spectrum) in enumerate(prepared, 1):
            if len(prepared) > 1:
                print(f"\n=== {number} of {len(jobs)}: {job.directory.name}")
            _predict(job, config, data, spectrum)
    return answer.code


def _jobs(arguments: list[str]) -> list[Job]:
    """The jobs to predict; none if Hydra itself has answered. Raises UsageError."""
    flags, overrides = split(arguments)
    typed = {key_of(override) for override in overrides}
    if "resume" in typed and "resume=null" not in overrides:
        raise UsageError(
            "resume", "DIR", "is for vae-train", "give the run's own overrides to vae-predict"
        )
    ours = [f"{key}='{WHERE}'" for key in OUTPUT_KEYS if key not in typed]
    composition = compose([*flags, *ours, *overrides])
    if composition is None:
        return []
    require(
        composition.here,
        "hydra/launcher",
        composition.launcher,
        "is for vae-train: a prediction takes seconds, and is made here",
        "leave it out",
    )
    return list((composition.jobs or {}).values())


def _prepare(job: Job, loaded: dict[DataSet, Data]) -> tuple[Config, Data, Spectrum]:
    """Everything of a job that can be refused. `loaded`: data sets of the jobs before it."""
    from vaecli.core.rundir import check_writable
    from vaecli.data.sets.sequence_set import SequenceSet
    from vaecli.runs.build import check
    from vaecli.theory.thresholds import spectrum

    config = job.config
    for key, sequences in (
        ("model", config.model.of_sequences),
        ("data", isinstance(config.data, SequenceSet)),
    ):
        require(
            not sequences,
            key,
            config.plain[key]["name"],
            "is of sequences, and theory speaks of decoders whose pixels are independent given z",
            "train it and see: vae-train",
        )
    check_writable(job.directory)
    wanted = _everything(config.data)
    if wanted not in loaded:
        wanted.check_files()
        loaded[wanted] = wanted.load()
    data = loaded[wanted]
    config = check(config, data)
    computed = spectrum(data, config.likelihood)
    require(
        computed is not None,
        "likelihood",
        config.plain["likelihood"]["name"],
        "has no threshold that is known to theory",
        "use bernoulli, gaussian or gaussian_learned",
    )
    return config, data, computed


def _predict(job: Job, config: Config, data: Data, spectrum: Spectrum) -> None:
    from vaecli.core.rundir import RunDirectory
    from vaecli.reporting.prediction import prediction_lines

    name = config.plain["likelihood"]["name"]
    count, exact = spectrum.unstable(config.schedule.beta)
    prediction = {
        "data": data.name,
        "examples": len(data.train.x),
        "likelihood": name,
        "critical_beta": spectrum.critical_beta,
        "beta": config.schedule.beta,
        "latent_dim": config.model.latent_dim,
        "unstable_directions": count,
        "at_least": not exact,
        "expected_active": _expected(config, data, spectrum),
        "table": [
            {"beta": beta, "unstable_directions": n, "at_least": not whole}
            for beta, (n, whole) in ((beta, spectrum.unstable(beta)) for beta in _betas(config))
        ],
        "optimum": _optimum(config, data),
        "dimensions": spectrum.dimensions,
        "eigenvalues": spectrum.eigenvalues.tolist(),
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
    """The options that the prediction does not take into account, in words."""
    from vaecli.theory.prediction import HARMLESS

    limits = []
    if config.model.autoregressive:
        limits.append(
            "It is for decoders whose pixels are independent given z: an autoregressive one needs "
            "z less, and collapses earlier."
        )
    changed = [type(s).__name__ for s in config.strategies if not s.slots <= HARMLESS]
    if changed:
        limits.append(
            f"It is for the plain objective D + beta R, which {' and '.join(changed)} changes on "
            "purpose."
        )
    return limits


def _optimum(config: Config, data: Data) -> dict | None:
    """The optimum itself, where it is known: a linear VAE with Gaussian pixels."""
    from vaecli.models.likelihoods.gaussian import Gaussian
    from vaecli.models.likelihoods.gaussian_learned import GaussianLearned
    from vaecli.models.linear import Linear
    from vaecli.theory.comparison import principal
    from vaecli.theory.linear_vae import optimum

    likelihood = config.likelihood
    known = isinstance(likelihood, Gaussian | GaussianLearned)
    if not (known and isinstance(config.model, Linear)) or config.schedule.beta <= 0:
        return None
    sigma2 = likelihood.sigma**2 if isinstance(likelihood, Gaussian) else None
    try:
        best = optimum(
            principal(data).eigenvalues,
            config.model.latent_dim,
            beta=config.schedule.beta,
            sigma2=sigma2,
        )
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


def _expected(config: Config, data: Data, spectrum: Spectrum) -> int:
    """The number of dimensions that can survive at the configured beta."""
    from vaecli.runs.build import prediction_for

    prediction = prediction_for(data, config)
    count, _ = spectrum.unstable(config.schedule.beta)
    return min(count, config.model.latent_dim) if prediction is None else prediction.expected_active


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
