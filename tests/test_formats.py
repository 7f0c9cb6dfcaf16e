"""Files of every format that was released: they still load, and what they said is still said in the same place.

`data/formats/` holds one recording and one report of each format version, written by the first gpucheck that had it,
and never written again. A new format version adds files; none is changed or taken away.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator, validate

import gpucheck
from gpucheck.report.document import FORMAT_VERSION, Report, schema
from tests.running import FIXTURES, run

FORMATS = Path(__file__).parent / "data" / "formats"
RECORDINGS = sorted(FORMATS.glob("recording-*.json"))
REPORTS = sorted(FORMATS.glob("report-*.json"))
RECORDING = Draft202012Validator(schema("recording"))


def test_the_present_formats_are_among_them() -> None:
    """There is a file of each format that gpucheck writes now, and each says the version in its name."""
    recordings = {path.stem.partition("-")[2]: json.loads(path.read_text(encoding="utf-8")) for path in RECORDINGS}
    reports = {path.stem.partition("-")[2]: json.loads(path.read_text(encoding="utf-8")) for path in REPORTS}
    assert str(gpucheck.record().format_version) in recordings
    assert FORMAT_VERSION in reports
    assert all(version == str(found["format_version"]) for version, found in {**recordings, **reports}.items())


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_recordings_load(path: Path) -> None:
    """A recording of an older format is the machine that it was."""
    found = gpucheck.load(path)
    assert [gpu.kind for gpu in found.gpus] == ["discrete", "mig", "mig", "mig", "mig"]
    assert [gpu.mig.profile for gpu in found.gpus] == [None, "3g.40gb", "2g.20gb", "1g.10gb", "1g.10gb"]
    assert found.category is not None
    assert found.category.name == "High-end"


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
def test_reports_are_as_the_schema_says(path: Path) -> None:
    """An older report of this major version is a report by today's schema and types."""
    text = path.read_text(encoding="utf-8")
    validate(json.loads(text), schema("report"))
    assert msgspec.json.decode(text, type=Report).kind == "report"


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
def test_nothing_has_gone_or_changed_its_kind(path: Path) -> None:
    """Every key of an older report is in today's report of the same recording, with a value of the same kind.

    A program that was written for the older one finds what it looks for. Null is of any kind.
    """
    before = json.loads(path.read_text(encoding="utf-8"))
    now = run("--machine", str(RECORDINGS[0]), "--json").json
    kinds = {where: kind for where, kind in _kinds(now) if kind is not None}
    there = {where for where, _ in _kinds(now)}
    for where, kind in _kinds(before):
        assert where in there, where
        assert kind is None or kinds.get(where, kind) == kind, where


def _kinds(found: Any, where: str = "") -> Iterator[tuple[str, str | None]]:
    """Each place in a document, the members of a list as one, and the kind of its value; None for null."""
    if isinstance(found, dict):
        yield where, "object"
        for key, value in found.items():
            yield from _kinds(value, f"{where}.{key}")
    elif isinstance(found, list):
        yield where, "list"
        for value in found:
            yield from _kinds(value, f"{where}[]")
    elif found is None:
        yield where, None
    else:
        number = isinstance(found, int | float) and not isinstance(found, bool)
        yield where, "number" if number else type(found).__name__


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.json")), ids=lambda path: path.stem)
def test_recordings_are_as_their_schema_says(path: Path) -> None:
    """Every fixture is a recording by the schema that `gpucheck schema recording` prints."""
    RECORDING.validate(json.loads(path.read_text(encoding="utf-8")))
