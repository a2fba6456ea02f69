"""The directory of a run, claimed by one process."""

from pathlib import Path

from vaecli.core.rundir import SUMMARY, RunDirectory


def test_a_directory_that_another_start_clears_away_is_made_again(tmp_path, monkeypatch):
    mkdir, removed = Path.mkdir, []

    def cleared(self, *arguments, **more):
        mkdir(self, *arguments, **more)
        if self.name == "run" and not removed:
            removed.append(self)
            self.rmdir()

    monkeypatch.setattr(Path, "mkdir", cleared)
    RunDirectory.claim(tmp_path / "outputs" / "run", {})
    assert removed
    assert (tmp_path / "outputs" / "run" / SUMMARY).exists()
