"""Output for the person at the terminal: a summary, a progress bar, a verdict.

All but the bar are also lines of train.log.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import textwrap
from pathlib import Path
from typing import Any

from tqdm import tqdm

from vaecli.core.errors import printable

NAME = "vaecli"
WIDTH = 100
EVALUATIONS = 12  # lines on the console, about; the files have every evaluation


def open_log(path: Path, *, echo: bool = True) -> logging.Logger:
    """A run's logger: to `path` and, with `echo`, to the console (around the progress bar)."""
    logger = logging.Logger(NAME, logging.INFO)
    if echo:
        shown = _AroundTheBar()
        shown.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(shown)
    file = _File(path, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(file)
    return logger


class _File(logging.FileHandler):
    """Handler of the log's file. A full disk silences it; the console goes on."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass


def close_log(logger: logging.Logger) -> None:
    """Detach and close the handlers of a run's logger."""
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        with contextlib.suppress(OSError):  # what a full disk could not take is lost
            handler.close()


class ProgressBar:
    """One line: step, loss, distortion, rate, beta, active dimensions, images/s.

    Silent where standard error is not a terminal.
    """

    def __init__(self, total: int, start: int):
        look = {"unit": "step", "dynamic_ncols": True, "leave": False}
        self._bar = tqdm(total=total, initial=start, disable=None, file=sys.stderr, **look)
        self._active = ""

    def window(self, step: int, means: dict[str, float]) -> None:
        """Show the means of the last window of updates."""
        self._bar.set_postfix_str(
            f"loss {means['loss']:.2f} D {means['distortion']:.2f} R {means['rate']:.2f} "
            f"beta {means['beta']:.2g}{self._active} {means['images_per_second']:,.0f} examples/s",
            refresh=False,
        )
        self._bar.update(step - self._bar.n)

    def evaluation(self, row: dict[str, Any]) -> None:
        """Keep the number of active dimensions for the next lines."""
        self._active = f" active {row['active_dimensions']}/{row['total_dimensions']}"

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()


class StackBar:
    """A bar for runs that are trained together, and one line for each evaluation of all."""

    def __init__(self) -> None:
        self.runs = 0
        self._bar: ProgressBar | None = None
        self._windows: list[dict[str, float]] = []
        self._rows: list[dict[str, Any]] = []
        self._next_line = 0.0

    def start(self, total: int, start: int, runs: int) -> None:
        """Show the bar of `runs` runs that go on from step `start`."""
        self.runs, self._total = runs, total
        self._bar = ProgressBar(total, start)

    def window(self, step: int, means: dict[str, float]) -> None:
        """Take one run's means; the bar shows the means over all runs."""
        self._windows.append(means)
        if self._bar is not None and len(self._windows) >= self.runs:
            together = {k: sum(w[k] for w in self._windows) / len(self._windows) for k in means}
            self._windows = []
            self._bar.window(step, together)

    def evaluation(self, row: dict[str, Any]) -> None:
        """Take one run's evaluation; a line is printed when all runs have one."""
        self._rows.append(row)
        if len(self._rows) >= self.runs:
            self._tell()

    def drop_run(self) -> None:
        """Expect one run less, as it was taken out of the stack."""
        self.runs -= 1

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()

    def _tell(self) -> None:
        rows, self._rows = self._rows, []
        step = max(row["step"] for row in rows)
        if step < self._next_line and step != self._total:
            return
        self._next_line = step + self._total / EVALUATIONS
        say(
            f"step {step:>7}  epoch {rows[-1]['epoch']:6.1f}  {len(rows)} runs: "
            f"elbo {_range(rows, 'elbo', '.2f')}, R {_range(rows, 'rate', '.2f')}, "
            f"active {_range(rows, 'active_dimensions', 'd')} of {rows[-1]['total_dimensions']}"
        )


def _range(rows: list[dict[str, Any]], key: str, form: str) -> str:
    low, high = (f"{pick(row[key] for row in rows):{form}}" for pick in (min, max))
    return low if low == high else f"{low} to {high}"


def start_lines(facts: dict[str, str]) -> list[str]:
    """The start-up summary, one aligned line a fact."""
    width = max(map(len, facts))
    return [f"{name:<{width}}  {value}" for name, value in facts.items()]


def evaluation_line(row: dict[str, Any]) -> str:
    """A line of the log for one evaluation."""
    return (
        f"step {row['step']:>7}  epoch {row['epoch']:6.1f}  elbo {row['elbo']:10.2f}  "
        f"D {row['distortion']:9.2f}  R {row['rate']:7.2f}  beta {row['beta']:5.2f}  "
        f"active {row['active_dimensions']:>3}/{row['total_dimensions']}  "
        f"units {row['active_units']:>3}"
    )


def verdict_lines(diagnosis: dict[str, Any]) -> list[str]:
    """The verdict in plain words, wrapped for a terminal."""
    decoded = (
        f"ELBO {diagnosis['elbo']:z.2f}, distortion {diagnosis['distortion']:z.2f}, "
        if "elbo" in diagnosis
        else ""
    )
    lines = [
        f"{diagnosis['status']}: {diagnosis['active_dimensions']} of "
        f"{diagnosis['total_dimensions']} dimensions active ({diagnosis['utilization']:.0%}), "
        f"{diagnosis['active_units']} active units",
        f"{decoded}rate {diagnosis['rate']:z.2f} nats per example ({diagnosis['split']} split, "
        f"{diagnosis['examples']} examples)",
        *_information(diagnosis.get("information"), diagnosis["rate"]),
        *_likelihood(diagnosis.get("likelihood")),
    ]
    sentences = [*diagnosis.get("verdict", []), diagnosis.get("prediction", {}).get("sentence", "")]
    for sentence in sentences:
        lines += textwrap.wrap(sentence, WIDTH)
    lines += _theory(diagnosis.get("theory", {}).get("linear_vae"))
    for kind, key in (("Warning", "warnings"), ("Note", "notes")):
        for text in diagnosis.get(key, []):
            lines += textwrap.wrap(f"{kind}: {text}", WIDTH, subsequent_indent="  ")
    commands = diagnosis.get("next_commands", [])
    if commands:
        lines.append("What to try next:")
        lines += [f"  {command}    # {why}" for command, why in commands]
    return list(map(printable, lines))


def _information(group: dict[str, Any] | None, rate: float) -> list[str]:
    if group is None:
        return []
    estimate = group["mutual_information"]
    above = min(group["leave_one_out"]["value"], rate)  # no code holds more than it costs
    ceiling = f"log {estimate['n']} = {group['ceiling']:z.2f}"
    if group["saturated"]:
        words = (
            f"at least {_plus_minus(estimate)} nats (saturated: upper bound {above:z.2f}, "
            f"ceiling {ceiling})"
        )
    else:
        words = (
            f"{_plus_minus(estimate)} nats (between {group['own_included']['value']:z.2f} and "
            f"{above:z.2f}; ceiling {ceiling})"
        )
    return [f"Mutual information {words}"]


def _likelihood(group: dict[str, Any] | None) -> list[str]:
    if group is None:
        return []
    bound = group["importance_weighted"]
    return [
        f"log p(x) >= {_plus_minus(bound)} nats (K = {group['importance_samples']}, effective "
        f"sample size {group['effective_sample_size']['value']:.1f}, {bound['n']} examples)"
    ]


def _plus_minus(estimate: dict[str, Any]) -> str:
    error = estimate["standard_error"]
    return f"{estimate['value']:z.2f}" + ("" if error is None else f" ± {error:z.2f}")


def _theory(rows: list[dict[str, Any]] | None) -> list[str]:
    """Theory beside measurement, where the optimum is known in closed form."""
    if not rows:
        return []
    lines = [f"{'Linear VAE':<28}{'theory':>12}{'measured':>12}"]
    for row in rows:
        error = row["standard_error"]
        within = "" if error is None else f"  ± {error:.2g}"
        lines.append(f"  {row['figure']:<26}{row['theory']:>12.4f}{row['measured']:>12.4f}{within}")
    return lines


def say(text: str) -> None:
    """Print a line, around the progress bar if there is one."""
    try:
        tqdm.write(text, file=sys.stdout)
        sys.stdout.flush()
    except OSError:  # `vae-train | head`, or a full disk: nobody reads on, the run goes on
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


class _AroundTheBar(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))
