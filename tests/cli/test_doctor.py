"""`gpucheck doctor`: the findings of a machine and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from tests.running import NAMES, ROOT, document, fixture, run

SCHEMA = json.loads((ROOT / "gpucheck" / "report" / "schemas" / "doctor.json").read_text(encoding="utf-8"))
ILL, WELL = ("--machine", fixture("driver-missing")), ("--machine", fixture("card-rtx-4090"))


@pytest.mark.parametrize("name", NAMES)
def test_json_is_a_part_of_the_report(name: str) -> None:
    """The document is valid by the committed schema, and its findings and issues are the report's."""
    ran = run("doctor", "--machine", fixture(name), "--json")
    assert (ran.code, ran.err) == (0, "")
    found, whole = ran.json, document(name)
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    assert (found["kind"], found["format_version"], found["tool"]) == ("doctor", "1.0", whole["tool"])
    assert found["findings"] == whole["findings"]
    assert found["issues"] == whole["machine"]["issues"]


@pytest.mark.parametrize("name", NAMES)
def test_text_is_a_part_of_the_report(name: str) -> None:
    """The text has the problems in the report's own words, or says that there are none."""
    ran = run("doctor", "--machine", fixture(name), COLUMNS="80")
    assert (ran.code, ran.err) == (0, "")
    head, *lines = ran.out.split("\n")
    whole = run("--machine", fixture(name), COLUMNS="80").out
    _, problems, rest = whole.partition("\n  Problems\n")
    assert lines[: lines.index("")] == (rest.split("\n\n")[0].split("\n") if problems else [])
    assert (head == "No problem found.") is not bool(document(name)["findings"])


@pytest.mark.parametrize("name", NAMES)
def test_list(name: str) -> None:
    """`--list` prints each code once, the worst first, and nothing else; nothing at all where nothing is wrong."""
    ran = run("doctor", "--list", "--machine", fixture(name))
    assert (ran.code, ran.err) == (0, "")
    codes = [finding["code"] for finding in document(name)["findings"]]
    assert ran.out == "".join(f"{code}\n" for code in dict.fromkeys(codes))


def test_list_names_a_code_once() -> None:
    """Two findings of one code are one line."""
    name = "amd-rocr-hip-hidden"
    assert [finding["code"] for finding in document(name)["findings"]] == ["GC402", "GC402"]
    assert run("doctor", "--list", "--machine", fixture(name)).out == "GC402\n"


def test_counts() -> None:
    """The first line counts errors, warnings and remarks."""
    assert run("doctor", *ILL).out.startswith("1 error\n")
    assert run("doctor", "--machine", fixture("amd-rocr-hip-hidden")).out.startswith("2 remarks\n")
    assert run("doctor", "--machine", fixture("torch-cpu-build")).out.startswith("1 warning\n")


def test_verbose() -> None:
    """`-v` adds where each finding is from and what is unknown; without it that is only counted."""
    plain, verbose = run("doctor", *ILL).out, run("doctor", *ILL, "-v").out
    assert "error, told by probe pci" in verbose
    assert "library_missing" in verbose
    assert "library_missing" not in plain
    assert f"{len(document('driver-missing')['machine']['issues'])} notes on what is unknown" in plain


def test_names_the_pages() -> None:
    """The last line is the command that explains these findings, and it works."""
    last = run("doctor", *ILL).out.rstrip("\n").split("\n")[-1].split()
    assert last == ["gpucheck", "explain", "GC201"]
    assert run(*last[1:]).code == 0
    assert "explain" not in run("doctor", *WELL).out


def test_machines() -> None:
    """The options that choose a machine are those of the report."""
    assert run("doctor", "--simulate", "2x RTX 4090").out.startswith("No problem found.\n")
    assert run("doctor", "--list", GPUCHECK_MACHINE=fixture("driver-missing")).out == "GC201\n"
    live = run("doctor", "--json").json
    assert live["findings"] == run("--json").json["findings"]
    issues = run("doctor", "--python", "/no/such/python", "--json").json["issues"]
    assert any("/no/such/python" in issue["source"] + issue["detail"] for issue in issues)


def test_output_to_a_file(tmp_path: Path) -> None:
    """`--output` takes the list, too."""
    path = tmp_path / "codes"
    ran = run("doctor", "--list", *ILL, "--output", str(path))
    assert (ran.code, ran.out, path.read_text(encoding="utf-8")) == (0, "", "GC201\n")


@pytest.mark.parametrize("options", [["--json"], ["--format", "json"]])
def test_list_is_no_json(options: list[str]) -> None:
    """`--list` beside JSON is refused before anything is inspected."""
    ran = run("doctor", "--list", "--machine", "/no/such/file", *options)
    assert ran.code == 2
    assert "one format at a time" in ran.err


@pytest.mark.parametrize("width", ["45", "80", "110"])
@pytest.mark.parametrize("name", ["cuda-compat-older", "secure-boot", "h100-x8-one-lost"])
def test_fits_the_terminal(name: str, width: str) -> None:
    """No line is wider than the terminal or ends in a blank; plain ASCII where there is nothing else."""
    ran = run("doctor", "--machine", fixture(name), "-v", encoding="ascii", COLUMNS=width)
    assert (ran.code, ran.err) == (0, "")
    assert max(map(len, ran.out.split("\n"))) <= int(width)
    assert all(line == line.rstrip() for line in ran.out.split("\n"))
