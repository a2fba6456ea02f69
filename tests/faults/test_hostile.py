"""A run directory made to do harm: links, pipes, bombs. Each is refused before it does any."""

import json
import os
import re
import shutil
import zipfile
from collections import OrderedDict

import pytest
import torch
import yaml
from doors import compare, diagnose
from doors import train as vae_train

from vaecli import load_run
from vaecli.core.errors import UsageError
from vaecli.training import checkpoint

LINKED = ("train.log", "summary.json.tmp", "checkpoints/last.pt", "tensorboard", "plots")


# Every part of a diagnosis and its page, as small as they can be.
FEW = (
    "--samples",
    "50",
    "diagnosis.importance_samples=2",
    "diagnosis.refine_steps=2",
    "diagnosis.tsne_points=0",
    "diagnosis.plots=false",
)


@pytest.fixture
def run(train, trained, smoke, tmp_path):
    """A finished run in the working directory, its own to be damaged."""
    ran = trained(*smoke).copied(tmp_path / "run")
    assert ran.code == 0
    return ran.directory


def refused_by_every_door(run, train, capsys):
    capsys.readouterr()
    ends = [train("resume=run", "trainer.max_steps=3")[:3]]
    for door in (diagnose, compare):
        ends.append((door([str(run)]), *capsys.readouterr()))
    with pytest.raises(UsageError) as error:
        load_run(run)
    for code, _, err in [*ends, (2, "", str(error.value))]:
        assert code == 2, err
        assert len(err.strip().splitlines()) == 2
        yield err


@pytest.mark.parametrize("name", LINKED)
@pytest.mark.parametrize("target", ["file", "directory"])
def test_a_link_out_of_the_run_is_not_followed(run, train, tmp_path, capsys, name, target):
    precious = tmp_path / "precious"
    if target == "directory":
        precious.mkdir()
    else:
        precious.write_text("mine")
    place = run / name
    if place.is_dir():
        place.rename(tmp_path / "moved")
    place.unlink(missing_ok=True)
    place.symlink_to(precious)
    for told in refused_by_every_door(run, train, capsys):
        assert "is a link out of its directory" in told
        assert name in told
    assert not list(precious.iterdir()) if target == "directory" else precious.read_text() == "mine"


def test_a_link_within_the_run_is_the_users_own_affair(run, train):
    (run / "again.pt").symlink_to("checkpoints/last.pt")
    assert train("resume=run", "trainer.max_steps=3").code == 0


@pytest.mark.parametrize("name", ["overrides.yaml", "metrics.jsonl", "checkpoints/last.pt"])
def test_a_pipe_that_never_ends_is_not_read(run, train, capsys, name):
    (run / name).unlink()
    os.mkfifo(run / name)
    for told in refused_by_every_door(run, train, capsys):
        assert "no plain file" in told


class Evil:
    """An object that means something else when it is unpickled."""

    def __init__(self, *named):
        self.named = named

    def __reduce__(self):
        return self.named


def vast():
    return torch.zeros(1).expand(10**12)  # 4 TB of one number


@pytest.mark.parametrize(
    "content",
    [
        Evil(os.system, ("true",)),
        Evil(bytearray, (10**12,)),
        Evil(vast, ()),
        {"x": Evil(print, ())},
        torch.sparse_coo_tensor(
            torch.zeros(1, 0), torch.zeros(0), (10**12,), check_invariants=False
        ),
        OrderedDict(model=vast()),
    ],
    ids=["system", "bytes", "function", "within", "sparse", "expanded"],
)
def test_a_checkpoint_that_names_or_claims_too_much_is_damaged(tmp_path, content):
    path = tmp_path / "x.pt"
    torch.save({"format": checkpoint.FORMAT, "model": content}, path)
    with pytest.raises(UsageError, match="is no checkpoint of vaecli, or is damaged"):
        checkpoint.load(path)


def test_a_checkpoint_that_unpacks_to_more_than_it_is_is_damaged(tmp_path):
    path, bomb = tmp_path / "x.pt", tmp_path / "bomb.pt"
    checkpoint.save(path, {"model": {"w": torch.zeros(10**6)}})
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in whole.infolist():
            packed.writestr(entry.filename, whole.read(entry))
    assert bomb.stat().st_size < 10**5
    assert torch.load(bomb, weights_only=True)["model"]["w"].numel() == 10**6  # torch unpacks it
    with pytest.raises(UsageError, match="or is damaged"):
        checkpoint.load(bomb)


def test_lists_that_repeat_each_other_take_no_time(tmp_path):
    repeated = []
    for _ in range(100):  # 2**100 leaves
        repeated = [repeated, repeated]
    checkpoint_file = tmp_path / "x.pt"
    torch.save({"format": checkpoint.FORMAT, "model": repeated}, checkpoint_file)
    assert checkpoint.load(checkpoint_file)["format"] == checkpoint.FORMAT


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("model.latent_dim", 10**9, "10,000"),
        ("model.encoder_width", 10**10, "GiB"),
        ("model.encoder_width", 10**15, "GiB"),
        ("model.encoder_depth", 10**9, "at most 1000"),
        ("decoder.width", 10**9, "GiB"),
        ("decoder.depth", 10**9, "at most 1000"),
    ],
)
def test_a_config_of_vast_sizes_is_refused_before_they_are_allocated(
    run, train, capsys, key, value, told
):
    capsys.readouterr()
    typed = train(f"{key}={value}", directory="typed")
    assert (typed.code, told in typed.err, typed.directory.exists()) == (2, True, False), typed.err
    path = run / "config.resolved.yaml"
    plain = yaml.safe_load(path.read_text())
    group, name = key.split(".")
    plain[group][name] = value
    path.write_text(yaml.safe_dump(plain))
    with pytest.raises(UsageError, match=told):
        load_run(run)
    assert diagnose([str(run)]) == 2
    assert told in capsys.readouterr().err


def test_a_data_set_of_vast_size_is_refused_before_it_is_made(train):
    ran = train("data=gaussian", "data.examples=1000000000000")
    assert ran.code == 2
    assert "GiB, which are not free" in ran.err


def test_nine_lines_that_stand_for_billions_of_values_are_not_read(run, train, capsys):
    """Aliases of aliases: read out, they would fill any memory."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join(9 * [f'*a{i - 1}'])}]" for i in range(1, 12)]
    for name in ("overrides.yaml", "config.resolved.yaml", "config.yaml"):
        (run / name).write_text("\n".join(lines))
    assert train("resume=run", "trainer.max_steps=3").code == 2
    assert diagnose([str(run)]) == 2
    assert compare([str(run)]) == 0  # of a run that cannot be read it says so
    with pytest.raises(UsageError):
        load_run(run)


def moments(content):
    for state in content["optimizer"]["state"].values():
        state["exp_avg"] = torch.ones(3)


CHANGES = {
    "moments of another shape": moments,
    "a step that is no number": lambda c: c["progress"].update(step="2"),
    "a negative step": lambda c: c["progress"].update(step=-1),
    "a place before the data": lambda c: c["batches"].update(taken=-5),
    "a batch beyond the data": lambda c: c["batches"]["held"].fill_(10**6),
    "a strategy's state too many": lambda c: c["strategies"].update(x=torch.ones(2)),
    "half a step": lambda c: c["progress"].update(step=1.5),
    "a best loss of words": lambda c: c["progress"].update(best="x"),
    "no generator": lambda c: c.update(noise=[1, 2]),
    "a meter of words": lambda c: c["meter"].update(totals="abc"),
    "no moments": lambda c: c.update(optimizer={"state": {}, "param_groups": []}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_checkpoint_whose_parts_do_not_fit_is_refused(run, train, what):
    path = run / "checkpoints" / "last.pt"
    content = checkpoint.load(path)
    CHANGES[what](content)
    checkpoint.save(path, content)
    ran = train("resume=run", "trainer.max_steps=3")
    assert ran.code == 2, ran.out
    assert "does not fit the run" in ran.err
    assert ran.json("summary.json")["run_state"] == "done"  # it is left as it was


@pytest.mark.parametrize("file", ["overrides.yaml", "sweep.yaml"])
def test_no_config_of_the_runs_own_is_composed(run, train, tmp_path, file):
    """The name of an option is a path to Hydra, and a config can name what Hydra is to call."""
    torch.save(Evil(os.mkdir, (str(tmp_path / "done"),)), run / "evil.pt")
    target = {"_target_": "torch.load", "f": str(run / "evil.pt"), "weights_only": False}
    own = yaml.safe_dump({"hydra": {"callbacks": {"own": target}}})
    (run / "own.yaml").write_text("# @package _global_\n" + own)
    up = "../" * 30 + str(run / "own")
    for override in (
        f"trainer={up}",
        f"+trainer@seed={up}",
        f"experiment=[{up}]",
        f"data='{up}'",
        f"sweep.inside='experiment=[{up}] seed=1'",
        f"sweep.inside='seed=1','data={up}'",
        f"sweep.inside=choice('model={up}')",
        "sweep.inside='hydra.callbacks=1'",
    ):
        (run / file).write_text(yaml.safe_dump([override]))
        ran = train("resume=run", "trainer.max_steps=3")
        assert ran.code == 2
        assert "is no list of vae-train overrides" in ran.err
        assert not (tmp_path / "done").exists()


def test_files_that_never_end_are_refused(run, train, capsys):
    def refused():
        capsys.readouterr()
        assert diagnose([str(run)]) == 2
        told = capsys.readouterr().err
        assert len(told.strip().splitlines()) == 2, told
        return told

    (run / "loop").symlink_to("loop")
    assert "is a link out of its directory" in refused()
    (run / "loop").unlink()
    rows = run / "metrics.jsonl"
    wrong = ('{"step": 1, "beta": "x"}\n', '{"step": 1, "elbo": 1' + "0" * 400 + "}\n")
    for content in (*wrong, "[" * 10**5 + "]" * 10**5 + "\n", None):
        if content is None:
            with rows.open("w") as file:
                file.truncate(10**11)  # a hole
        else:
            rows.write_text(content)
        assert "metrics.jsonl" in refused()
    doubled = {f"s{i}": f"${{s{i - 1}}}${{s{i - 1}}}" for i in range(1, 40)}
    for text in (yaml.safe_dump({"s0": "x", **doubled}), "[" * 10**5):
        (run / "config.resolved.yaml").write_text(text)
        refused()
        assert compare([str(run)]) == 0


def test_a_run_without_end_is_refused(train):
    ran = train("trainer.epochs=1e12")
    assert ran.code == 2
    assert "updates, more than" in ran.err


def test_what_a_file_writes_to_the_terminal_is_no_command_to_it(run, capsys):
    path = run / "config.resolved.yaml"
    plain = yaml.safe_load(path.read_text())
    plain["device"] = "\x1b]0;title\x07"
    path.write_text(yaml.safe_dump(plain))
    assert diagnose([str(run)]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_a_command_that_is_proposed_is_no_command_to_the_terminal(run, capsys):
    overrides = yaml.safe_load((run / "overrides.yaml").read_text())
    (run / "overrides.yaml").write_text(yaml.safe_dump([*overrides, "data.seed='\x1b]0;t\x07'"]))
    assert diagnose([run, *FEW]) == 0
    told = capsys.readouterr().out
    assert "?]0;t?" in told
    assert "\x1b" not in told


@pytest.mark.parametrize("line", ["true: 1", "1: 2", "null: {2: 3}", "2026-01-01: x"])
@pytest.mark.parametrize("file", ["config.yaml", "config.resolved.yaml"])
def test_a_key_that_is_no_word_is_refused(run, train, tmp_path, capsys, file, line):
    sweep = tmp_path / "sweep"
    for place in (run, sweep / "0_seed=0"):
        if place != run:
            shutil.copytree(tmp_path / "whole", place)
        else:
            shutil.copytree(run, tmp_path / "whole")
        with open(place / file, "a", encoding="utf-8") as config:
            config.write(f"{line}\n")
    (sweep / "sweep.yaml").write_text("- seed=0,1\n- trainer.max_steps=2\n")
    ends = [train("resume=run", "trainer.max_steps=3")[:3]]
    resumed = [f"resume={sweep}"]
    for door, typed in ((diagnose, [run, *FEW]), (compare, [tmp_path]), (vae_train, resumed)):
        ends.append((door(typed), *capsys.readouterr()))
    for code, out, err in ends:
        assert code in (0, 1, 2)
        assert "Traceback" not in out + err


@pytest.mark.parametrize("updates", ['"x"', "null", "[1]", "{}", "1e400", "true"])
def test_a_number_of_updates_that_is_none_is_no_finished_run(
    train, trained, tmp_path, smoke, updates
):
    made = trained("-m", *smoke, "seed=0,1").copied(tmp_path / "sweep")
    assert made.code == 0
    path = tmp_path / "sweep" / "0_seed=0" / "summary.json"
    text = re.sub(r'"decoder_updates": \d+', f'"decoder_updates": {updates}', path.read_text())
    path.write_text(text)
    again = train("resume=sweep", "trainer.max_steps=3")
    assert again.code == 0
    assert "Traceback" not in again.out + again.err
    assert json.loads(path.read_text())["decoder_updates"] == 3
