"""Sweeps through joblib, a Ray cluster and submitit end as without them."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.launchers

FOUR = ("schedule.beta=0.5,4", "seed=0,1")
QUICK = ("trainer.max_steps=30", "diagnosis=quick", "diagnosis.samples=100", "data.limit=600")
LONG = ("trainer.epochs=200", "diagnosis=quick")  # some seconds
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
SUBMITIT = ("hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5")


def command(*arguments):
    return [sys.executable, "-m", "vaecli.train", *arguments]


def environment():
    alone = {"OMP_NUM_THREADS": "1", "RAY_AUTH_MODE": "disabled", "VAECLI_DATA": "/no/data"}
    return {**os.environ, **alone}


def sweep(where, *arguments):
    """Exit code and output of a sweep that was typed in `where`; its directory is `sweep` there."""
    where.mkdir(exist_ok=True)
    ended = subprocess.run(
        command(*arguments),
        cwd=where,
        env=environment(),
        timeout=200,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return ended.returncode, ended.stdout


def recorded(run):
    return [json.loads(row) for row in (run / "metrics.jsonl").read_text().splitlines()]


def figures(directory):
    """All figures of all runs, but for times."""
    found = {}
    for path in sorted(directory.glob("**/summary.json")):
        rows = recorded(path.parent)
        for row in rows:
            del row["seconds"], row["images_per_second"]
        diagnosis = json.loads((path.parent / "diagnosis.json").read_text())
        found[path.parent.relative_to(directory).as_posix()] = numbers([rows, diagnosis])
    return found


def numbers(tree, place=""):
    if isinstance(tree, dict | list):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        return {k: v for key, item in items for k, v in numbers(item, f"{place}/{key}").items()}
    timed = isinstance(tree, bool) or not isinstance(tree, int | float) or "seconds" in place
    return {} if timed else {place: tree}


def states(directory):
    return [
        json.loads(p.read_text())["run_state"] for p in sorted(directory.glob("*/summary.json"))
    ]


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    where = tmp_path_factory.mktemp("reference")
    code, out = sweep(where, "-m", *FOUR, *QUICK, "sweep.stack=off", "hydra.sweep.dir=sweep")
    assert code == 0, out
    return figures(where / "sweep")


def listening(port):
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def driver(where, *arguments):
    """A sweep at work; ended with the test."""
    process = subprocess.Popen(
        command(*arguments),
        cwd=where,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def send(number, *words, parent=None):
    """Send a signal to the processes, of this parent only, with all words in their commands."""
    told = [
        "ps",
        "-ww",
        "-o",
        "pid=,args=",
        *(["-e"] if parent is None else ["--ppid", str(parent)]),
    ]
    found = subprocess.run(told, capture_output=True, text=True, check=True).stdout
    pids = [line.split()[0] for line in found.splitlines() if all(w in line for w in words)]
    assert pids, found
    for pid in pids:
        os.kill(int(pid), number)


def wait_for(condition, process):
    deadline = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A Ray cluster of one node, whose workers have another working directory than the driver."""
    where = tmp_path_factory.mktemp("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    head = subprocess.Popen(
        [
            os.path.join(os.path.dirname(sys.executable), "ray"),
            "start",
            "--head",
            "--block",
            "--node-ip-address=127.0.0.1",
            f"--port={port}",
            "--num-cpus=2",
            "--min-worker-port=0",
            "--max-worker-port=0",
            "--include-dashboard=false",
        ],
        cwd=where,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not listening(port):
        assert head.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    yield (
        "hydra/launcher=ray",
        f"hydra.launcher.ray.init.address={address}",
        "+hydra.launcher.ray.init.object_store_memory=null",
    )
    head.terminate()
    try:
        head.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        os.killpg(head.pid, signal.SIGKILL)
        head.communicate()


@pytest.mark.parametrize("name", ["joblib", "ray", "submitit"])
def test_four_runs_come_out_as_without_a_launcher(name, reference, tmp_path, request):
    launcher = {"joblib": JOBLIB, "submitit": SUBMITIT}.get(name)
    launcher = launcher or request.getfixturevalue("cluster")
    code, out = sweep(tmp_path, "-m", *launcher, *FOUR, *QUICK, "hydra.sweep.dir=sweep")
    assert code == 0, out
    found = figures(tmp_path / "sweep")
    assert found.keys() == reference.keys()
    for run, expected in reference.items():
        assert found[run] == pytest.approx(expected, rel=1e-6, abs=1e-9), run
    assert (tmp_path / "sweep" / "comparison.html").exists()
    assert (tmp_path / "sweep" / "sweep.yaml").exists()
    table = out[out.rindex("val loss") :]
    assert "4 runs on cpu" in table
    # submitit hides GPUs unless it is asked for one: said in the table and in every log.
    assert ("CUDA_VISIBLE_DEVICES is set but empty" in table) == (name == "submitit")


def test_a_job_that_fails_is_a_row_and_the_exit_code(tmp_path):
    code, out = sweep(
        tmp_path,
        "-m",
        *JOBLIB,
        "data=digits,mnist",
        *QUICK,
        "trainer.max_steps=2",
        "hydra.sweep.dir=sweep",
    )
    assert code == 1
    assert "Traceback" not in out
    table = out[out.rindex("Did not finish (1 of 2)") :]
    assert "(1_data=mnist): failed: data.root=" in table
    assert states(tmp_path / "sweep") == ["done", "failed"]


def test_killed_workers_are_told_and_a_resume_goes_on_from_their_checkpoints(tmp_path):
    runs = tmp_path / "sweep"
    arguments = ("-m", *JOBLIB, "seed=0,1", *LONG, "hydra.sweep.dir=sweep")
    with driver(tmp_path, *arguments) as process:
        wait_for(lambda: len(list(runs.glob("*/checkpoints/last.pt"))) == 2, process)
        send(signal.SIGKILL, "loky.backend.popen_loky", parent=process.pid)
        out, _ = process.communicate(timeout=100)
    assert process.returncode == 1, out
    assert "The launcher gave up: TerminatedWorkerError" in out
    assert "2 runs are recorded as running" in out
    begun = {run.parent: recorded(run.parent)[0] for run in runs.glob("*/metrics.jsonl")}
    code, out = sweep(tmp_path, "resume=sweep", *JOBLIB)
    assert code == 0, out
    for run, first in begun.items():
        goes_on(run)
        assert recorded(run)[0] == first  # with the seconds it took: it was not made again


def test_a_preempted_job_goes_on_in_its_directory(tmp_path):
    """SIGUSR2 is how a cluster says that the time is up; submitit submits the job again."""
    run = tmp_path / "sweep" / "0"
    arguments = ("-m", *SUBMITIT, "seed=0", *LONG, "hydra.sweep.dir=sweep")
    with driver(tmp_path, *arguments) as process:
        wait_for((run / "checkpoints" / "last.pt").exists, process)
        send(signal.SIGUSR2, "submitit.core._submit", str(tmp_path))
        out, _ = process.communicate(timeout=150)
    assert process.returncode == 0, out
    goes_on(run)


def goes_on(run):
    """Assert that the run was continued, and no part of it made twice."""
    assert "epochs), from step" in (run / "train.log").read_text()
    epochs = [row["epoch"] for row in recorded(run)]
    assert epochs == list(range(201))


def test_a_job_can_be_a_stack(tmp_path):
    code, out = sweep(
        tmp_path,
        "-m",
        *JOBLIB,
        "model.latent_dim=4,6",
        "sweep.inside='seed=0,1'",
        *QUICK,
        "hydra.sweep.dir=sweep",
    )
    assert code == 0, out
    found = {
        p.parent.relative_to(tmp_path / "sweep").as_posix(): json.loads(p.read_text())["stacked"]
        for p in tmp_path.glob("sweep/*/*/summary.json")
    }
    assert found == {
        "0_model.latent_dim=4/0_seed=0": 2,
        "0_model.latent_dim=4/1_seed=1": 2,
        "1_model.latent_dim=6/0_seed=0": 2,
        "1_model.latent_dim=6/1_seed=1": 2,
    }
    assert (tmp_path / "sweep" / "comparison.html").exists()
