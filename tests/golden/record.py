"""Record the golden runs: python tests/golden/record.py [RECORDING ...]

A recording is named as its file, `losses/strategy=free_bits`. Name those that are new or were meant
to change: the others keep what they promise. Without names all is recorded anew but `runs`: these
are run directories of an older version; recorded anew, they no longer test that old runs open.
"""

import platform
import shutil
import sys
import tempfile
from pathlib import Path

from golden_doors import done
from recordings import HERE, RECORDERS, path_of

from vaecli import train

# Linear models on the digits are small: 20 kB a checkpoint.
LINEAR = (
    "model=linear",
    "model.latent_dim=2",
    "data.limit=64",
    "trainer.batch_size=16",
    "trainer.epochs=2",
    "diagnosis=quick",
    "device=cpu",
)
STACK = ("-m", "seed=0,1", "trainer.checkpoint_every=2")
OUTPUTS = ("comparison.*", "*/report.html")  # of the sweep: large, and read by no door


def main(named: list[str]) -> int:
    """Write the recordings that are named, or all; returns the exit code."""
    known = [f"{kind}/{name}" for kind, (names, _) in RECORDERS.items() for name in names]
    unknown = sorted({*named} - {*known, "runs"})
    if unknown:
        print(f"no such recording: {', '.join(unknown)}; there are", *known, "runs", sep="\n  ")
        return 2
    if not named:
        for kind in RECORDERS:
            shutil.rmtree(HERE / kind, ignore_errors=True)
    for recording in named or known:
        print(recording)
        with tempfile.TemporaryDirectory() as temporary:
            directory = Path(temporary).resolve()
            if recording == "runs":
                record_runs(directory)
            else:
                record(recording, directory)
    return 0


def record(recording: str, directory: Path) -> None:
    """Make a recording in `directory` and write its file."""
    kind, _, name = recording.partition("/")
    text = RECORDERS[kind][1](name, directory)
    path = path_of(recording)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")


def record_runs(directory: Path) -> None:
    """Write runs/single and runs/sweep, without what names the machine that made them."""
    done(train, directory, *LINEAR, "hydra.run.dir=single")
    done(train, directory, *STACK, *LINEAR, "hydra.sweep.dir=sweep")
    for path in [path for pattern in OUTPUTS for path in (directory / "sweep").glob(pattern)]:
        path.unlink()
    for path in [path for path in directory.rglob("*") if path.is_file()]:
        if "tfevents" in path.name:  # .TIME.HOST.PROCESS.NUMBER
            path.rename(path.with_name(path.name.replace(f".{platform.node()}.", ".host.")))
        elif path.suffix != ".pt":
            text = path.read_text(encoding="utf-8")
            for named, instead in {
                str(directory): "/golden",
                str(Path(train.__file__).parent.parent): "/vaecli",
                platform.platform(): platform.system(),
            }.items():
                text = text.replace(named, instead)
            path.write_text(text, encoding="utf-8")
    shutil.rmtree(HERE / "runs", ignore_errors=True)
    shutil.copytree(directory, HERE / "runs")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
