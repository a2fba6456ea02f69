"""vae-train on a machine whose clock stands still: every run wants the same directory."""

import datetime

import hydra.core.utils


class Frozen(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 1, 2, 3, 4, 5, 678901)


if __name__ == "__main__":
    hydra.core.utils.datetime = Frozen
    from vaecli.train import main

    main()
