"""The prediction of `vae-predict`: from a job to prediction.json, the spectrum and its words."""

from __future__ import annotations

from dataclasses import is_dataclass, replace
from typing import NamedTuple

from matplotlib.backends.backend_agg import FigureCanvasAgg

from vaecli.config.job import Job
from vaecli.config.schema import Resolved
from vaecli.core.atomic import whole
from vaecli.core.errors import UsageError, require
from vaecli.core.rundir import RunDirectory, check_writable
from vaecli.data.sets.base import Data, DataSet
from vaecli.data.sets.sequence_set import SequenceSet
from vaecli.models.linear import Linear
from vaecli.reporting.plots.spectrum_plot import spectrum_plot
from vaecli.reporting.prediction import prediction_lines
from vaecli.runs.build import check, prediction_for
from vaecli.theory.comparison import principal
from vaecli.theory.linear_vae import optimum
from vaecli.theory.prediction import HARMLESS
from vaecli.theory.thresholds import Spectrum, spectrum

BETAS = [0.5, 1.0, 2.0, 4.0, 10.0, 20.0, 50.0]


class Asked(NamedTuple):
    """A job that can be predicted."""

    job: Job
    config: Resolved
    data: Data
    spectrum: Spectrum


def prepare(job: Job, loaded: dict[DataSet, Data]) -> Asked:
    """Load the job's data and compute its spectrum. loaded: data sets of the jobs before it.

    Raises UsageError for all that can be refused.
    """
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
    resolved = check(config, data)
    computed = spectrum(data, resolved.likelihood)
    if computed is None:
        raise UsageError(
            "likelihood",
            resolved.plain["likelihood"]["name"],
            "has no threshold that is known to theory",
            "use bernoulli, gaussian or gaussian_learned",
        )
    return Asked(job, resolved, data, computed)


def predict(asked: Asked) -> None:
    """Write prediction.json and the picture of the spectrum; print the prediction."""
    job, config, data, spectrum = asked

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


def _limits(config: Resolved) -> list[str]:
    """The options that the prediction does not take into account, in words."""
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


def _optimum(config: Resolved, data: Data) -> dict | None:
    """The optimum itself, where it is known: a linear VAE with Gaussian pixels."""
    likelihood = config.likelihood
    known = likelihood.sigma2 is not None or likelihood.learns_sigma
    if not (known and isinstance(config.model, Linear)) or config.schedule.beta <= 0:
        return None
    sigma2 = None if likelihood.learns_sigma else likelihood.sigma2
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
    if is_dataclass(data) and hasattr(data, "val_fraction"):
        return replace(data, val_fraction=0.0)
    return data


def _betas(config: Resolved) -> list[float]:
    return sorted({*BETAS, config.schedule.beta})


def _expected(config: Resolved, data: Data, spectrum: Spectrum) -> int:
    """The number of dimensions that can survive at the configured beta."""
    prediction = prediction_for(data, config)
    count, _ = spectrum.unstable(config.schedule.beta)
    return min(count, config.model.latent_dim) if prediction is None else prediction.expected_active


def _draw(directory: RunDirectory, prediction: dict) -> None:

    drawn = spectrum_plot(
        prediction["eigenvalues"],
        complete=len(prediction["eigenvalues"]) == prediction["dimensions"],
        beta=prediction["beta"],
        latent_dim=prediction["latent_dim"],
        betas=BETAS,
        name=f"{prediction['data']}, {prediction['likelihood']}",
    )
    with whole(directory.path / "spectrum.png") as file:
        FigureCanvasAgg(drawn).print_png(file)
