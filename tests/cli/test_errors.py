"""Errors: exit 2, one clear line on stderr, candidates below it, and a JSON object where JSON was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

import gpucheck
from tests.running import fixture, run

WRONG: dict[str, tuple[list[str], str]] = {
    "no such command": (["nonsense"], "usage"),
    "no such option": (["--nonsense"], "usage"),
    "a command after options": (["-v", "fit", "7b"], "usage"),
    "no model": (["fit"], "usage"),
    "no such model": (["fit", "nosuchmodel"], "unknown_name"),
    "several such models": (["fit", "llama"], "ambiguous_name"),
    "no such quantization": (["fit", "7b@q99"], "usage"),
    "no such file": (["--machine", "/no/such/file"], "recording"),
    "a directory": (["--machine", "/"], "recording"),
    "no recording": (["--machine", __file__], "recording"),
    "an ambiguous card": (["--simulate", "H100"], "ambiguous_name"),
    "no such card": (["--simulate", "RTX 4091"], "unknown_name"),
    "no card at all": (["--simulate", ""], "usage"),
    "too many cards": (["--simulate", "65x T4"], "usage"),
    "an amount without a unit": (["--simulate", "T4", "--ram", "64"], "usage"),
    "no memory": (["--simulate", "T4", "--ram", "0GiB"], "usage"),
    "too much memory": (["--simulate", "T4", "--ram", "999999999999999GiB"], "usage"),
    "no cores": (["--simulate", "T4", "--cpu-cores", "0"], "usage"),
    "too many cores": (["--simulate", "T4", "--cpu-cores", "1" + "0" * 30], "usage"),
    "cores in letters": (["--simulate", "T4", "--cpu-cores", "many"], "usage"),
    "memory of a real machine": (["--ram", "64GiB"], "usage"),
    "cores of a real machine": (["--cpu-cores", "4"], "usage"),
    "two machines": (["--simulate", "T4", "--machine", fixture("card-t4")], "usage"),
    "no such format": (["--format", "yaml"], "usage"),
    "no such category": (["gpus", "--category", "Best"], "usage"),
    "nowhere to write": (["--simulate", "T4", "--output", "/no/such/folder/file"], "usage"),
    "a folder to write to": (["--simulate", "T4", "--output", "/"], "usage"),
    "no such schema": (["schema", "nonsense"], "unknown_name"),
    "no file to record to": (["record"], "usage"),
    "a path that is no text": (["--machine", "/no/\udcff\udcfe"], "recording"),
    "a card that is no text": (["--simulate", "\udcff"], "unknown_name"),
    "a card in two lines": (["--simulate", "a\nb\x1b[31m"], "unknown_name"),
}


@pytest.mark.parametrize("what", WRONG)
def test_one_line(what: str) -> None:
    """The error is one printable line that begins with the program's name; further lines are candidates."""
    ran = run(*WRONG[what][0])
    assert (ran.code, ran.out) == (2, "")
    first, *more = ran.err.removesuffix("\n").split("\n")
    assert first.startswith("gpucheck: ")
    assert len(first) > len("gpucheck: ")
    assert all(line.startswith("  ") for line in more)
    assert "Traceback" not in ran.err
    assert all(line.isprintable() for line in (first, *more))


@pytest.mark.parametrize("what", WRONG)
def test_json_object(what: str) -> None:
    """With `--json` the same error is an object on stdout too, with its code and candidates."""
    arguments, code = WRONG[what]
    ran = run(*arguments, "--json")
    assert ran.code == 2
    if arguments[0] in {"schema", "record"}:
        code = "usage"  # these take no --json, which is the first thing they see
    found = ran.json
    assert (found["kind"], found["error"]["code"]) == ("error", code)
    assert ran.err.startswith(f"gpucheck: {found['error']['message']}\n")
    assert ran.err.count("\n") == 1 + len(found["error"]["candidates"])


@pytest.mark.parametrize("options", [["--format", "json"], ["--format=json"]])
def test_json_object_by_format(options: list[str]) -> None:
    """`--format json` asks for the object just as `--json` does; text does not."""
    assert run("--simulate", "H100", *options).json["kind"] == "error"
    assert run("--simulate", "H100", "--format", "text").out == ""


def test_two_formats() -> None:
    """`--json` beside another format is refused."""
    ran = run("--simulate", "T4", "--json", "--format", "text")
    assert ran.code == 2
    assert "one format at a time" in ran.err


@pytest.mark.parametrize("name", ["H100", "A100", "RTX 4000"])
def test_candidates_of_an_ambiguous_name(name: str) -> None:
    """An ambiguous name lists just the cards that `gpus NAME` finds, each of which can be simulated."""
    ran = run("--simulate", name, "--json")
    assert ran.code == 2
    candidates = ran.json["error"]["candidates"]
    assert len(candidates) >= 2
    assert candidates == [line.strip() for line in ran.err.split("\n")[1:-1]]
    assert set(candidates) <= {card["name"] for card in run("gpus", name, "--json").json["gpus"]}
    for candidate in candidates:
        assert run("--simulate", candidate, "--json").code == 0


def test_a_truncated_recording(tmp_path: Path) -> None:
    """A recording cut short is exit 2, and the line names the file."""
    path = tmp_path / "cut.json"
    path.write_bytes(Path(fixture("card-t4")).read_bytes()[:5000])
    ran = run("--machine", str(path))
    assert (ran.code, ran.out) == (2, "")
    assert "cut.json" in ran.err
    assert run("--json", GPUCHECK_MACHINE=str(path)).json["error"]["code"] == "recording"


def test_wrong_names_are_told_before_anything_is_inspected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong model is refused without a look at the machine."""

    def never(*_: object) -> None:
        raise AssertionError("the machine was inspected")

    monkeypatch.setattr("gpucheck.api.inspect", never)
    assert run("fit", "llama").code == 2


def test_every_error_class_has_a_code() -> None:
    """The code of an error is its class in small letters."""
    from gpucheck.cli.output import _code

    codes = {
        gpucheck.UsageError(""): "usage",
        gpucheck.RecordingError(""): "recording",
        gpucheck.UnknownNameError(""): "unknown_name",
        gpucheck.AmbiguousNameError(""): "ambiguous_name",
    }
    assert {error: _code(error) for error in codes} == codes
