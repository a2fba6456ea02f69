"""What is typed composes to the config that it composed to when it was recorded."""

import cases
import pytest
from recordings import composed, read, remedy


@pytest.mark.parametrize("name", cases.compositions())
def test_the_text_of_cfg_job_is_the_recorded_one(name, tmp_path):
    recorded = read(f"compositions/{name}").splitlines()
    assert composed(name, tmp_path).splitlines() == recorded, remedy(f"compositions/{name}")
