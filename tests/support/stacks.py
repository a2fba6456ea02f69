"""Runs in training, from overrides, for tests of stacks."""

import functools

import torch
from hydra import compose, initialize_config_dir

from vaecli.config.compose import CONFIGS
from vaecli.config.schema import read
from vaecli.runs.build import build
from vaecli.training.fit import Fit
from vaecli.training.precision import Precision


class Rows:
    """An observer that keeps what it is told."""

    def __init__(self):
        self.rows, self.warnings = [], []

    def window(self, step, means):
        pass

    def evaluation(self, row):
        self.rows.append(row)

    def warn(self, text):
        self.warnings.append(text)


def configs(common, own):
    return [_config((*common, *each)) for each in own]


@functools.cache
def _config(overrides):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return read(compose("config", overrides=list(overrides)))


@functools.cache
def loaded(dataset):
    """The data, which no run changes."""
    return dataset.load()


def fits(common, own, tmp_path, name, device="cpu", dtype=None):
    made = []
    for number, config in enumerate(configs(common, own)):
        data = loaded(config.data).to(torch.device(device))
        fit = Fit(
            build(config, data),
            data,
            trainer=config.trainer,
            schedule=config.schedule,
            precision=Precision(torch.device(device), dtype),
            seed=config.seed,
            threshold=0.01,
            directory=tmp_path / f"{name}{number}",
        )
        (tmp_path / f"{name}{number}").mkdir()
        fit.observer = Rows()
        made.append(fit)
    return made
