"""What bad input gets: exit code 2, at most three lines that name key, value, rule and remedy, no
traceback, nothing left behind."""

import contextlib
import io
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from doors import train
from PIL import Image


def nothing(folder):
    return ()


def empty_folder(folder):
    (folder / "images").mkdir()
    return ("data=image_folder", f"data.path={folder}/images")


def unequal_images(folder):
    (folder / "images").mkdir()
    for i in range(20):
        Image.fromarray(np.zeros((8, 8 + i % 2), np.uint8)).save(folder / "images" / f"{i}.png")
    return ("data=image_folder", f"data.path={folder}/images", "data.channels=1")


def no_such_array(folder):
    np.savez(folder / "a.npz", images=np.zeros((50, 8, 8), np.uint8))
    return ("data=npz", f"data.path={folder}/a.npz")


def nan_pixels(folder):
    x = np.random.default_rng(0).random((50, 8, 8)).astype(np.float32)
    x[3, 2, 1] = np.nan
    np.savez(folder / "a.npz", x=x)
    return ("data=npz", f"data.path={folder}/a.npz")


def truncated_idx(folder):
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, magic in (("images-idx3", 2051), ("labels-idx1", 2049)):
        for part in ("train", "t10k"):
            header = np.array([magic, 100, *([28, 28] if magic == 2051 else [])], ">i4").tobytes()
            (raw / f"{part}-{name}-ubyte").write_bytes(header + b"\0" * 50)
    return ("data=mnist", f"data.root={folder}")


def file_in_the_way(folder):
    (folder / "taken").write_text("a file")
    return (f"hydra.run.dir={folder}/taken/run",)


def no_checkpoint(folder):
    run = folder / "other"
    (run / "checkpoints").mkdir(parents=True)
    (run / "summary.json").write_text("{}")
    (run / "overrides.yaml").write_text("[]\n")
    assert train(["trainer.max_steps=1", "diagnosis=quick", f"hydra.run.dir={folder}/real"]) == 0
    (folder / "real" / "checkpoints" / "last.pt").write_bytes(b"no checkpoint at all")
    return (f"resume={folder}/real",)


def own_config(content):
    def made(folder):
        (folder / "own" / "data").mkdir(parents=True)
        (folder / "own" / "data" / "mine.yaml").write_bytes(content)
        return (f"--config-dir={folder}/own", "data=mine")

    return made


def run_in_the_way(folder):
    (folder / "run").mkdir()
    (folder / "run" / "summary.json").write_text('{"run_state": "done"}')
    return (f"hydra.run.dir={folder}/run",)


def foreign(override):
    def make(folder):
        (folder / "run").mkdir()
        (folder / "run" / "summary.json").write_text("{}")
        (folder / "run" / "overrides.yaml").write_text(f"[{override!r}]\n")
        return (f"resume={folder}/run",)

    return make


CASES = {
    # name: (arguments, or what makes them), words that the message must hold
    "unknown option": ("model=nosuch", ["model", "nosuch", "mlp"]),
    "unknown key": ("trainer.speed=9", ["trainer", "speed"]),
    "added unknown key": ("+trainer.speed=9", ["trainer.speed=9", "epochs"]),
    "added unknown top-level key": ("+speed=9", ["speed=9", "trainer"]),
    "wrong type": ("schedule.beta=abc", ["schedule.beta=abc", "Float"]),
    "wrong enum": ("trainer.amp=fp8", ["trainer.amp=fp8", "bf16"]),
    "wrong seed": ("seed=-1", ["seed=-1", ">= 0"]),
    "negative lambda": ("strategy=free_bits strategy.free_nats=-1", ["strategy.free_nats=-1.0"]),
    "negative beta": ("schedule.beta=-1", ["schedule.beta=-1.0", ">= 0"]),
    "another strategy's key": ("+strategy.delta=3", ["strategy.delta=3", "strategy=none"]),
    "warm-up longer than the run": (
        "schedule=linear schedule.warmup_epochs=99",
        ["schedule.warmup_epochs=99", "trainer.epochs"],
    ),
    "warm-up in steps longer than the run": (
        "schedule=linear schedule.warmup_steps=99999",
        ["schedule.warmup_steps=99999"],
    ),
    "clashing strategies": ("strategy=[free_bits,delta_vae]", ["free_bits", "delta_vae", "loss"]),
    "clashing updates": ("strategy=[aggressive,encoder_steps]", ["aggressive", "updates"]),
    "capacity the family lacks": ("model=linear decoder=large", ["decoder=large", "linear"]),
    "capacity key the family lacks": (
        "decoder.receptive_field=5",
        ["decoder.receptive_field=5", "mlp", "width"],
    ),
    "impossible receptive field": (
        "model=pixelcnn decoder.receptive_field=4",
        ["decoder.receptive_field=4", "odd"],
    ),
    "likelihood for other data": ("likelihood=discretized_logistic", ["likelihood", "binary"]),
    "unknown likelihood": ("likelihood=nosuch", ["likelihood", "bernoulli"]),
    "unknown data root": ("data=mnist data.root=/no/such/place", ["data.root", "data.download"]),
    "truncated IDX file": (truncated_idx, ["train-images-idx3-ubyte"]),
    "empty image folder": (empty_folder, ["data.path", "images"]),
    "images of unequal size": (unequal_images, ["8x8", "data.image_size"]),
    "npz without the array": (no_such_array, ["data.key=x", "images"]),
    "NaN pixels": (nan_pixels, ["data.path", "NaN"]),
    "no GPU when one was asked for": ("device=cuda", ["device=cuda", "device=cpu"]),
    "no such device": ("device=abacus", ["device=abacus", "cpu"]),
    "fp16 on a CPU": ("trainer.amp=fp16 device=cpu", ["trainer.amp=fp16", "bf16"]),
    "batch larger than the data": ("trainer.batch_size=5000", ["trainer.batch_size=5000", "1294"]),
    "unwritable output": (file_in_the_way, ["hydra.run.dir", "taken"]),
    "a run is there already": (run_in_the_way, ["already holds a run", "resume="]),
    "a checkpoint that is not one": (no_checkpoint, ["last.pt", "is no checkpoint"]),
    "resume of nothing": ("resume=nowhere", ["resume=nowhere", "holds no run"]),
    **{
        f"resume of a file that says {override}": (foreign(override), ["is no list of vae-train"])
        for override in (
            "hydra.job.name=x",
            "+hydra.callbacks.x._target_=os.abort",
            "hydra/launcher=joblib",
            "--config-dir=elsewhere",
            "--cfg=job",
            "-m",
            "nonsense",
            "experiment@hydra.x=y",
        )
    },
    "a number that float32 cannot square": (
        "schedule.beta=1e300",
        ["schedule.beta=1e+300", "1e+15"],
    ),
    "a list with a number that float32 cannot square": (
        "data=gaussian data.spectrum=[1e300,1]",
        ["data.spectrum", "1e+15"],
    ),
    "a name too long for any directory": (f"hydra.run.dir={'a' * 300}", ["File name too long"]),
    "images beyond measure": ("data.image_size=100000", ["data.image_size=100000", "1,024"]),
    "latents beyond measure": ("model.latent_dim=1000000", ["model.latent_dim=1000000", "10,000"]),
    "samples beyond measure": (
        "diagnosis.importance_samples=1000000000",
        ["diagnosis.importance_samples", "100,000"],
    ),
    "encoder steps beyond measure": (
        "strategy=encoder_steps strategy.encoder_steps=100000",
        ["encoder_steps=100000", "1,000"],
    ),
    "an infinite number": ("schedule.beta=inf", ["schedule.beta=inf", "finite"]),
    "no room for an encoder update": (
        "strategy=aggressive strategy.aggressive_max_updates=1",
        ["aggressive_max_updates=1", "2"],
    ),
    "a misspelt key": ("modle=cnn", ["modle", "--help"]),
    "unimportable extension": (
        "extend=[nosuchmodule] +strategy.use.nosuchmodule=true",
        ["extend", "nosuch"],
    ),
    "one bad run in a sweep": ("-m seed=0,1 schedule.beta=1,-1", ["schedule.beta=-1.0"]),
    "ambiguous sweep without -m": ("model=mlp,cnn", ["model", "mlp,cnn"]),
    "unresolvable interpolation": ("trainer.lr=${nowhere}", ["nowhere"]),
    "not an override": ("nonsense", ["nonsense"]),
    "an unknown flag": ("--nosuch", ["flags=--nosuch"]),
    "flags that do not go together": ("-m seed=0,1 --cfg=job", ["flags=-m --cfg=job", "Only one"]),
    "a yaml of one's own that is none": (own_config(b"x: ["), ["mine.yaml, line"]),
    "a yaml of one's own in no UTF-8": (own_config(b"\xff\xfe"), ["--config-dir", "UTF-8"]),
    "a search that is no sweep": ("sweep.bisect=0.05", ["sweep.bisect=0.05", "-m"]),
    "a test part that leaves nothing": (
        "data.test_fraction=0.9999",
        ["data.test_fraction=0.9999", "of 1797 examples"],
    ),
}


TABLE = Path(__file__).resolve().parents[2] / "docs" / "bad_inputs.md"
HEAD = """\
# Bad inputs and their answers

Every refusal below has exit code 2 and leaves nothing behind. The table is what `vae-train` says on
a machine without a GPU; the tests hold each row to it. Written by
`PYTHONPATH=tests/support python tests/config/test_bad_input.py`.

| case | typed | answer |
|---|---|---|
"""


def arguments_of(name, folder):
    made = CASES[name][0]
    return made.split() if isinstance(made, str) else list(made(folder))


def row(name, arguments, answer, folder):
    """A line of the table; `folder` reads DIR."""
    typed = " ".join(arguments).replace(str(folder), "DIR").replace("|", "\\|")
    lines = [line.strip() for line in answer.replace(str(folder), "DIR").strip().splitlines()]
    told = "<br>".join(lines).replace("|", "\\|")
    return f"| {name} | `{typed}` | {told} |"


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_refused_in_three_lines_and_leaves_nothing(
    name, tmp_path, monkeypatch, capsys
):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.chdir(tmp_path)
    arguments = arguments_of(name, tmp_path)
    before = files(tmp_path)
    capsys.readouterr()
    code = train(arguments)
    captured = capsys.readouterr()
    assert code == 2, captured
    lines = captured.err.strip().splitlines()
    assert 1 <= len(lines) <= 3, captured.err
    for word in CASES[name][1]:
        assert word in captured.err
    assert "Traceback" not in captured.err + captured.out
    assert tmp_path.is_dir()
    assert files(tmp_path) == before
    assert row(name, arguments, captured.err, tmp_path) in TABLE.read_text(encoding="utf-8")


def write_table():
    """Ask vae-train for every row."""
    rows = []
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    for name in CASES:
        with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
            told, folder = io.StringIO(), Path(scratch)
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(told):
                arguments = arguments_of(name, folder)
                train(arguments)
            rows.append(row(name, arguments, told.getvalue(), folder))
    TABLE.write_text(HEAD + "\n".join(rows) + "\n", encoding="utf-8")


def files(folder: Path) -> set[Path]:
    found = {p.relative_to(folder) for p in folder.rglob("*")}
    return {p for p in found if p.name != "train.log"}  # a continuation opens the run's log


def test_an_empty_list_of_visible_gpus_is_named_as_the_reason(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert train(["device=cuda"]) == 2
    assert "CUDA_VISIBLE_DEVICES is set but empty" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_auto_without_a_gpu_says_when_the_environment_hides_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert train(["trainer.max_steps=1", "diagnosis=quick"]) == 0
    assert "CUDA_VISIBLE_DEVICES" in capsys.readouterr().out


def test_errors_reach_a_real_shell_as_exit_code_2(tmp_path):
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "vaecli.train", "schedule.beta=oops"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) <= 3


if __name__ == "__main__":
    write_table()
