"""Each yaml has its recording, each recording its yaml."""

import pytest
from recordings import HERE, RECORDERS, close, path_of, remedy


@pytest.mark.parametrize("kind", RECORDERS)
def test_everything_is_recorded_and_no_recording_is_left_over(kind):
    recordings = [f"{kind}/{name}" for name in RECORDERS[kind][0]]
    missing = [recording for recording in recordings if not path_of(recording).exists()]
    assert not missing, remedy(" ".join(missing))
    assert {*(HERE / kind).iterdir()} == {path_of(recording) for recording in recordings}


def test_rounding_is_close_and_a_change_of_a_thousandth_is_not():
    assert close([27.1, None, 3], [27.1001, None, 3])
    assert close([0.01], [0.010005])
    assert not close(27.1, 27.13)
    assert not close([0.1], [0.1001])
    assert not close([1.0], [1.0, 1.0])
    assert not close(3, 4)
    assert not close(None, 0.0)
