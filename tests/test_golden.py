"""What gpucheck prints of every fixture, kept to be read: a change shows in the review of the change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import gpucheck
from tests.running import NAMES, fixture, run

GOLDEN = Path(__file__).resolve().parent / "golden"


@pytest.mark.parametrize("name", NAMES)
def test_text(name: str, update_golden: bool) -> None:
    """The text of a fixture's report, at 80 columns and without colour, is the committed one."""
    ran = run("--machine", fixture(name), COLUMNS="80")
    assert ran.code == 0
    _compare(GOLDEN / f"{name}.txt", ran.out, update_golden)


@pytest.mark.parametrize("name", NAMES)
def test_json(name: str, update_golden: bool) -> None:
    """The JSON of a fixture's report is the committed one, the version of gpucheck apart."""
    ran = run("--machine", fixture(name), "--json")
    assert ran.code == 0
    version = json.dumps(gpucheck.__version__)
    assert ran.out.count(f'"version": {version}') == 1
    _compare(GOLDEN / f"{name}.json", ran.out.replace(f'"version": {version}', '"version": "x.y.z"'), update_golden)


def test_nothing_is_left_over() -> None:
    """Every golden file belongs to a fixture."""
    assert {path.stem for path in GOLDEN.iterdir()} == set(NAMES)
    assert {path.suffix for path in GOLDEN.iterdir()} == {".txt", ".json"}


def _compare(path: Path, printed: str, update: bool) -> None:
    if update:
        path.write_text(printed, encoding="utf-8")
    assert path.exists(), f"no {path.name}: run pytest --update-golden and read what it writes"
    assert printed == path.read_text(encoding="utf-8"), f"{path.name} differs; pytest --update-golden rewrites it"
