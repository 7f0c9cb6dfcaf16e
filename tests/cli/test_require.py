"""`gpucheck require` on the command line: answers, exit codes, formats, and mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import validate

from gpucheck.assess.requirements.vocabulary import VOCABULARY
from gpucheck.report.document import schema
from tests.running import fixture, run

_FILE = """\
min_vram = "24GiB"
min_compute_capability = "8.0"

[profile.small]
min_vram = "8GiB"
min_compute_capability = "7.0"
"""


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """No CI around the test decides the format."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT", "GITHUB_WORKSPACE", "GITLAB_CI"):
        monkeypatch.delenv(name, raising=False)


def test_the_gate() -> None:
    """Each requirement is a line with what was found, and the last line counts and names the exit code."""
    asked = ("--min-vram", "24GiB", "--min-compute-capability", "8.0", "--model", "70b@q4")
    found = run("require", *asked, "--machine", fixture("card-t4"))
    lines = found.out.splitlines()
    assert found.code == 1
    assert lines[0] == "✗ min-vram                24 GiB  found 16 GB nominal, 15.0 GiB reported (Tesla T4)"
    assert lines[1] == "✗ min-compute-capability  8.0     found 7.5 (Tesla T4)"
    assert lines[2].startswith("✗ model 70b@q4            fits    needs 40")
    assert lines[3] == "0 of 3 met. exit 1"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--simulate", "H100 80GB HBM3"), 0), (("--simulate", "T4"), 1),
        (("--machine", fixture("driver-mismatch")), 3),
        (("--machine", fixture("driver-mismatch"), "--unknown-ok"), 0),
        (("--machine", fixture("driver-mismatch"), "--strict"), 1),
        (("--machine", fixture("driver-mismatch"), "--min-ram", "10TiB"), 1), (("--simulate", "T4", "--unknown-ok"), 1),
        (("--simulate", "T4", "--profile", "small"), 0), (("--simulate", "T4", "--profile", "large"), 2),
        (("--simulate", "T4", "--strict", "--unknown-ok"), 2), (("--simulate", "T4", "--min-vram", "24"), 2),
        (("--simulate", "T4", "--format", "junit", "--json"), 2), (("--simulate", "T4", "--gpu", "RTX 9999"), 2),
    ],
)  # fmt: skip
def test_exit_codes(tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    """0 all met, 1 one is not, 2 a mistake, 3 one could not be determined; not met goes before unknown."""
    file = tmp_path / "gpucheck.toml"
    file.write_text(_FILE)
    assert run("require", "--file", str(file), *arguments).code == code


def test_mistakes_of_a_file(tmp_path: Path) -> None:
    """All of them are printed, each on a line of its own, and stand in the JSON of the error."""
    file = tmp_path / "gpucheck.toml"
    file.write_text('min_vrm = "1GiB"\nmin_gpus = 0\n')
    found = run("require", "--file", str(file), "--json")
    assert found.code == 2
    assert found.err.splitlines()[0] == f"gpucheck: {file}: 2 mistakes"
    assert f"  {file}:1: min_vrm: expected a key of the vocabulary" in found.err
    assert f"  {file}:2: min_gpus: expected a whole number" in found.err
    assert found.json["error"]["code"] == "requirements_file"
    assert len(found.json["error"]["candidates"]) == 2
    file.write_text("min_gpus = 0\n")
    assert run("require", "--file", str(file)).err.startswith(f"gpucheck: {file}:1: min_gpus: expected")


def test_the_file_of_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a requirement it is the directory's file, which the last line names; without one that is a mistake."""
    monkeypatch.chdir(tmp_path)
    assert run("require", "--simulate", "T4").code == 2
    Path("gpucheck.toml").write_text(_FILE)
    found = run("require", "--simulate", "T4", "--profile", "small")
    assert (found.code, found.out.splitlines()[-1]) == (0, "2 of 2 met (gpucheck.toml, profile small). exit 0")


def test_json(tmp_path: Path) -> None:
    """The document is that of its schema; places are in it, and the machine with -v alone."""
    file = tmp_path / "gpucheck.toml"
    file.write_text(_FILE)
    asked = ("require", "--file", str(file), "--simulate", "T4", "--json")
    found = run(*asked)
    validate(found.json, schema("require"))
    assert (found.json["kind"], found.json["requirements"]["answer"]) == ("require", "not_met")
    assert found.json["requirements"]["outcomes"][1]["place"] == {"file": str(file), "line": 2}
    assert "machine" not in found.json
    whole = run(*asked, "-v").json
    validate(whole, schema("require"))
    assert whole["machine"]["source"] == "simulated"


@pytest.mark.parametrize("format_", ["junit", "markdown", "github", "gitlab", "nagios", "shell", "json", "text"])
def test_every_format_goes_to_a_file_too(tmp_path: Path, format_: str) -> None:
    """Each format prints, and with --output the same is in the file."""
    asked = ("require", "--min-vram", "8GiB", "--simulate", "T4", "--format", format_)
    printed = run(*asked)
    written = run(*asked, "--output", str(tmp_path / "out"))
    assert (printed.code, written.code, written.out) == (0, 0, "")
    assert (tmp_path / "out").read_text(encoding="utf-8") == printed.out


def test_github_is_the_format_of_its_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a job of GitHub Actions annotations are printed, and the summary and outputs written; --format wins."""
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    Path("gpucheck.toml").write_text(_FILE)
    found = run("require", "--simulate", "T4")
    assert found.code == 1
    assert "::error file=gpucheck.toml,line=1,title=min_vram is not met::" in found.out
    assert "answer=not_met" in (tmp_path / "GITHUB_OUTPUT").read_text()
    assert (tmp_path / "GITHUB_STEP_SUMMARY").exists()
    assert run("require", "--simulate", "T4", "--format", "text").out.startswith("✗ min-vram")


def test_every_key_is_an_option() -> None:
    """The options are the vocabulary's keys with dashes, each with its help."""
    page = run("require", "--help").out
    for key in VOCABULARY.values():
        assert f"{key.option} " in page or f"{key.option}\n" in page, key.option


def test_lists_as_options() -> None:
    """An option of a list may be repeated, or hold several with commas."""
    asked = ("require", "--simulate", "RTX 4090", "--json")
    found = run(
        *asked,
        "--dtypes",
        "bf16",
        "--dtypes",
        "fp8,int8",
        "--vendor",
        "amd,nvidia",
        "--model",
        "8b@q4",
        "--model",
        "3b",
    )
    outcomes = found.json["requirements"]["outcomes"]
    assert [(one["key"], one["answer"]) for one in outcomes] == [
        ("dtypes", "met"), ("vendor", "met"), ("model", "met"), ("model", "met")
    ]  # fmt: skip
    assert outcomes[0]["required"] == "bf16, fp8 and int8"


def test_plain_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is told by colour alone, and colour is asked for."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[31m✗\x1b[0m" in run("require", "--min-vram", "24GiB", "--simulate", "T4").out


def test_remedies_are_told_once() -> None:
    """What mends several requirements stands below the first of them."""
    found = run("require", "--min-vram", "4GiB", "--min-gpus", "1", "--machine", fixture("driver-missing"))
    assert found.out.count("(GC201)") == 1
    assert "→ install the NVIDIA driver" in found.out


def test_schema_of_the_file() -> None:
    """`gpucheck schema requirements` is a JSON schema."""
    found = json.loads(run("schema", "requirements").out)
    assert found["properties"]["min_vram"]["examples"] == ["24GiB"]
