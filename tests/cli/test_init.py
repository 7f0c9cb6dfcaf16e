"""`gpucheck init`: the machine that wrote a file meets it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import gpucheck
from gpucheck.assess.requirements.draft import draft
from tests.running import NAMES, fixture, machine, run


@pytest.mark.parametrize("name", NAMES)
def test_round_trip(tmp_path: Path, name: str) -> None:
    """Every machine meets the file that is written from it, and demands something."""
    path = tmp_path / "gpucheck.toml"
    path.write_text(draft(machine(name), "a recording"), encoding="utf-8")
    found = gpucheck.require(machine(name), file=str(path))
    assert found.answer == "met", [outcome for outcome in found.outcomes if outcome.answer != "met"]


def test_minimums_of_a_known_machine(tmp_path: Path) -> None:
    """Sizes are nominal, versions cut to their branch; each line says where it is from."""
    path = tmp_path / "new.toml"
    assert run("init", "--output", str(path), "--machine", fixture("card-t4")).code == 0
    text = path.read_text(encoding="utf-8")
    found = tomllib.loads(text)
    keys = ("min_gpus", "min_vram", "min_compute_capability", "min_driver", "min_cuda")
    assert {key: found[key] for key in keys} == {
        "min_gpus": 1, "min_vram": "16GiB", "min_compute_capability": "7.5", "min_driver": "570", "min_cuda": "12.8",
    }  # fmt: skip
    assert "dtypes" not in found
    assert "# here Tesla T4" in text
    assert run("require", "--file", str(path), "--machine", fixture("card-t4"), "--format", "text").code == 0
    assert run("require", "--file", str(path), "--machine", fixture("card-k80"), "--format", "text").code == 1


def test_it_overwrites_nothing(tmp_path: Path) -> None:
    """A file that is there stays, unless --force is given."""
    path = tmp_path / "gpucheck.toml"
    path.write_text("mine")
    found = run("init", "--output", str(path), "--simulate", "T4")
    assert (found.code, path.read_text()) == (2, "mine")
    assert "--force" in found.err
    assert run("init", "--output", str(path), "--simulate", "T4", "--force").code == 0
    assert "min_vram" in path.read_text()


def test_unknown_facts_are_left_out() -> None:
    """What is not known for sure is not demanded: a card that nobody can use is none."""
    found = tomllib.loads(run("init", "--output", "-", "--machine", fixture("driver-mismatch")).out)
    assert "min_gpus" not in found
    assert "min_vram" not in found
    assert found["min_driver"] == "550"


def test_names_cannot_leave_their_comment() -> None:
    """Whatever a driver calls a card, the file stays TOML with the keys that were meant."""
    import msgspec

    found = gpucheck.simulate("T4")
    evil = msgspec.structs.replace(found.gpus[0], name='x\nmin_gpus = 99\n"""')
    text = draft(msgspec.structs.replace(found, gpus=(evil,)), "a\nmin_ram = 1")
    assert tomllib.loads(text)["min_gpus"] == 1
    assert "min_ram" not in tomllib.loads(text)
