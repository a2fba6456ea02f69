"""Screenshots of report.html, comparison.html and TensorBoard for the README.

`python docs/scripts/screenshots.py [DIRECTORY]` trains the demo (three runs on the embedded digits,
half a minute) in a temporary directory, opens its pages in headless Chromium and writes
report.png, comparison.png and tensorboard.png. DIRECTORY: docs/pictures unless given.
Needs Chromium on the PATH, or CHROMIUM=/its/path.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

PICTURES = Path(__file__).resolve().parent.parent / "pictures"
SWEEP = Path("outputs", "demo")
WINDOW = 1040, 1720  # of the browser, in pixels
WIDTH = 780  # of the picture
COLOURS = 256
TAGS = "^(active|val)/"  # the curves that TensorBoard shows
DEADLINE = 60.0  # seconds until TensorBoard has to answer


def main(pictures: Path) -> None:
    """Train, photograph, write the pictures."""
    pictures.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as made:
        directory = Path(made)
        train = ["-m", "vaecli.train", "-m", "schedule.beta=1,2,4", f"hydra.sweep.dir={SWEEP}"]
        subprocess.run([sys.executable, *train], cwd=directory, check=True)
        pages = (directory / SWEEP).absolute()
        report = (pages / "0_schedule.beta=1" / "report.html").as_uri()
        photograph(report, pictures / "report.png", directory)
        photograph((pages / "comparison.html").as_uri(), pictures / "comparison.png", directory)
        with tensorboard(directory) as address:
            page = f"{address}/#scalars&_smoothingWeight=0&tagFilter={TAGS}"
            photograph(page, pictures / "tensorboard.png", directory)


def photograph(address: str, picture: Path, directory: Path) -> None:
    """Write the top of a page as a small PNG; the browser's own files go to `directory`."""
    taken = directory / picture.name
    subprocess.run(
        [
            browser(),
            "--headless",
            "--no-sandbox",  # a container's root may not start one
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={directory / 'browser'}",
            f"--window-size={WINDOW[0]},{WINDOW[1]}",
            "--virtual-time-budget=20000",  # ms of the page's clock: TensorBoard loads late
            f"--screenshot={taken}",
            address,
        ],
        check=True,
        stderr=subprocess.DEVNULL,
        timeout=120,
    )
    with Image.open(taken) as image:
        height = round(image.height * WIDTH / image.width)
        small = image.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
    small.quantize(COLOURS, dither=Image.Dither.NONE).save(picture, optimize=True)


def browser() -> str:
    """The path of Chromium. Exits if there is none."""
    names = (os.environ.get("CHROMIUM", "chromium"), "chromium-browser", "google-chrome")
    paths = [path for path in map(shutil.which, names) if path is not None]
    if not paths:
        sys.exit("screenshots.py needs Chromium: install it, or name it by CHROMIUM=PATH")
    return paths[0]


@contextmanager
def tensorboard(directory: Path) -> Iterator[str]:
    """Serve the runs in `directory`; yields the address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "tensorboard.main",
        "--logdir",
        str(SWEEP),
        "--port",
        str(port),
    ]
    server = subprocess.Popen(command, cwd=directory, stderr=subprocess.DEVNULL)
    address = f"http://localhost:{port}"
    try:
        wait_for(f"{address}/data/runs", "beta=4")
        yield address
    finally:
        server.terminate()
        server.wait(timeout=30)


def wait_for(address: str, words: str) -> None:
    """Return once a page holds `words`. Raises TimeoutError after DEADLINE seconds."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=5) as page:
                if words in page.read().decode():
                    return
        except OSError:  # it does not listen yet
            pass
        time.sleep(0.5)
    raise TimeoutError(f"TensorBoard has not answered in {DEADLINE:g} seconds")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES)
