"""One stream of random numbers for each purpose and seed."""

from vaecli.core.randomness import PURPOSES, derive


def test_streams_of_different_purposes_and_seeds_differ():
    seeds = {derive(seed, purpose) for seed in range(3) for purpose in PURPOSES}
    assert len(seeds) == 3 * len(PURPOSES)
