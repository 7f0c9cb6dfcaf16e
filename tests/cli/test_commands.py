"""The commands: what they print, where, and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

import gpucheck
from gpucheck import api
from gpucheck.cli.group import COMMANDS
from gpucheck.report.document import SCHEMAS, schema
from tests.running import NAMES, fixture, run

DOCUMENT = {
    **dict.fromkeys(("A100", "H100", "H200", "GH200", "MI250", "MI300X"), "High-end"),
    **dict.fromkeys(("A40", "A30", "A6000", "V100", "L4", "T4"), "Mid-range"),
    **dict.fromkeys(("K80", "M60", "P100", "A4000"), "Budget"),
    **dict.fromkeys(("RTX 3070", "RTX 4090", "RTX 4000"), "Consumer"),
}
T4 = ("--machine", fixture("card-t4"))


def test_report_is_the_default() -> None:
    """`gpucheck` and `gpucheck report` are the same, with and without options."""
    for options in ((), ("--json",), ("-v",)):
        short, long = run(*options, GPUCHECK_MACHINE=fixture("card-t4")), run("report", *T4, *options)
        assert short == long
        assert (short.code, short.err) == (0, "")


@pytest.mark.parametrize("name", NAMES)
def test_every_fixture_is_a_report(name: str) -> None:
    """Whatever is wrong with a machine, its report is no failure: exit 0 and nothing on stderr."""
    ran = run("--machine", fixture(name), "-v")
    assert (ran.code, ran.err) == (0, "")
    assert " machine: " in ran.out


def test_version_and_help() -> None:
    """`--version` prints one line; `--help` lists every command; each command has a help page."""
    assert run("--version").out == f"gpucheck {gpucheck.__version__}\n"
    page = run("--help")
    assert page.code == 0
    assert all(name in page.out for name in COMMANDS)
    for name in COMMANDS:
        ran = run(name, "-h")
        assert (ran.code, ran.err) == (0, "")
        assert f"gpucheck {name}" in ran.out


@pytest.mark.parametrize("name", DOCUMENT)
def test_gpus_lists_the_documents_cards(name: str) -> None:
    """Under its name in the document every card is listed, with the document's category on its authority."""
    found = run("gpus", *name.split(), "--json").json["gpus"]
    listed = [card for card in found if card["basis"] == "document"]
    assert listed
    assert {card["category"] for card in listed} == {DOCUMENT[name]}
    assert all(card["reasons"] for card in found)
    text = run("gpus", name).out
    assert all(card["name"] in text for card in found)


@pytest.mark.parametrize("name", DOCUMENT)
def test_simulate_the_documents_cards(name: str) -> None:
    """Every variant that `gpus` lists can be simulated by its own name and keeps its category."""
    for card in run("gpus", name, "--json").json["gpus"]:
        if card["basis"] == "document":
            ran = run("--simulate", card["name"], "--json")
            assert ran.code == 0, ran.err
            assert ran.json["category"]["name"] == DOCUMENT[name]
            assert ran.json["category"]["basis"] == "document"


def test_gpus_compares_whole_words() -> None:
    """H200 finds no GH200, A10 no A100; case and vendor do not matter."""
    assert not any("GH200" in card["name"] for card in run("gpus", "H200", "--json").json["gpus"])
    assert not any("A100" in card["name"] for card in run("gpus", "A10", "--json").json["gpus"])
    assert run("gpus", "nvidia", "h100").out == run("gpus", "H100").out != ""


def test_gpus_without_a_name_lists_all() -> None:
    """The whole catalogue has every category of cards, and `--category` picks from it in any case of letters."""
    everything = run("gpus", "--json").json["gpus"]
    assert len(everything) > 100
    for category in {card["category"] for card in everything}:
        picked = run("gpus", "--category", category.upper(), "--json").json["gpus"]
        assert picked == [card for card in everything if card["category"] == category]


def test_gpus_of_no_card() -> None:
    """A name that no card has is exit 2, with near names."""
    ran = run("gpus", "RTX", "4091")
    assert (ran.code, ran.out) == (2, "")
    assert "RTX 409" in ran.err


def test_schema() -> None:
    """`schema` lists the documents; `schema NAME` prints the schema of one; a wrong name is exit 2."""
    assert run("schema").out.split() == list(SCHEMAS)
    for name in SCHEMAS:
        found = run("schema", name).json
        assert found == json.loads(json.dumps(schema(name)))
        jsonschema.Draft202012Validator.check_schema(found)
    ran = run("schema", "nonsense")
    assert (ran.code, ran.out) == (2, "")
    assert all(name in ran.err for name in SCHEMAS)


def test_record_to_a_file(tmp_path: Path) -> None:
    """`record FILE` writes a recording that replays, and says on stderr that it is redacted."""
    path = tmp_path / "box.json"
    ran = run("record", str(path), "--origin", "a test")
    assert (ran.code, ran.out) == (0, "")
    assert "redacted" in ran.err
    assert ran.err.count("\n") == 1
    found = json.loads(path.read_bytes())
    assert (found["kind"], found["origin"], found["redacted"]) == ("recorded", "a test", True)
    replayed = run("--machine", str(path), "--json").json
    assert replayed["machine"]["source"] == "recording"
    assert replayed["machine"]["cpu"] == run("--json").json["machine"]["cpu"]


def test_record_to_standard_output() -> None:
    """`record -` prints the recording and nothing else; `--no-redact` is said in the file."""
    ran = run("record", "-", "--no-redact")
    assert (ran.code, ran.err) == (0, "")
    assert ran.json["redacted"] is False
    assert ran.json["made_by"] == f"gpucheck {gpucheck.__version__}"


def test_record_cannot_write(tmp_path: Path) -> None:
    """A file that cannot be written is exit 2 with one line."""
    ran = run("record", str(tmp_path / "no" / "such" / "folder.json"))
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    ("models", "machine", "code"),
    [
        (["8b@q4"], "card-rtx-4090", 0),
        (["8b@q4", "14b@q4"], "card-rtx-4090", 0),
        (["70b@q4"], "card-a40", 0),  # tight is met
        (["70b@q4"], "card-rtx-4090", 1),  # partly on the CPU is not
        (["8b@q4", "405b@bf16"], "card-rtx-4090", 1),
        (["3b@q4"], "container-4gib", 0),
        (["8b@q4"], "container-4gib", 1),
    ],
)
def test_fit_check(models: list[str], machine: str, code: int) -> None:
    """`--check` is 0 if every model fits and 1 if one does not; without it the answer is always exit 0."""
    ran = run("fit", *models, "--machine", fixture(machine), "--check")
    assert (ran.code, ran.err) == (code, "")
    plain = run("fit", *models, "--machine", fixture(machine))
    assert (plain.code, plain.out) == (0, ran.out)


def test_fit_check_of_the_unknown() -> None:
    """What cannot be told is exit 3, unless another model fails for certain."""
    unknown = ("--simulate", "T4")  # of unknown RAM: what exceeds the card may or may not fit with its help
    assert run("fit", "32b@q4", *unknown, "--check").code == 3
    assert run("fit", "32b@q4", *unknown, "--json").json["fit"][0]["fits"] == "unknown"
    assert run("fit", "3b@q4", *unknown, "--check").code == 0
    assert run("fit", "3b@q4", "32b@q4", *unknown, "--check").code == 3
    assert run("fit", "32b@q4", "--simulate", "T4", "--ram", "4GiB", "--check").code == 1


def test_fit_context() -> None:
    """A longer context needs more; one that is no positive number is a usage error."""
    short, long = (run("fit", "8b", *T4, "--context", tokens, "--json").json["fit"][0] for tokens in ("512", "32768"))
    assert short["memory"]["kv_cache_bytes"] < long["memory"]["kv_cache_bytes"]
    assert [short["context"], long["context"]] == [512, 32768]
    for wrong in ("0", "-1", "many"):
        assert run("fit", "8b", *T4, "--context", wrong).code == 2


def test_simulate() -> None:
    """Cards, memory and cores are as the options say, and the report says that it is simulated."""
    found = run("--simulate", "2x RTX 4090", "--ram", "64GiB", "--cpu-cores", "16", "--json").json["machine"]
    assert found["source"] == "simulated"
    assert [gpu["name"] for gpu in found["gpus"]] == ["NVIDIA GeForce RTX 4090"] * 2
    assert found["memory"]["total_bytes"] == 64 << 30
    assert found["cpu"]["logical_cores"] == 16
    assert "simulated" in run("--simulate", "T4").out


def test_simulate_wins_over_the_environment() -> None:
    """`--simulate` on the command line comes before GPUCHECK_MACHINE; beside --machine it is an error."""
    ran = run("--simulate", "T4", "--json", GPUCHECK_MACHINE=fixture("card-a100"))
    assert ran.json["machine"]["source"] == "simulated"
    assert run("--simulate", "T4", *T4).code == 2


def test_machine_option_wins_over_the_environment() -> None:
    """`--machine` on the command line comes before GPUCHECK_MACHINE, which comes before this machine."""
    ran = run(*T4, "--json", GPUCHECK_MACHINE=fixture("card-a100"))
    assert ran.json["machine"]["gpus"][0]["name"] == "Tesla T4"
    assert run("--json", GPUCHECK_MACHINE="").json["machine"]["source"] == "live"


def test_output_to_a_file(tmp_path: Path) -> None:
    """`--output FILE` writes there what would have been printed, text without colour; nothing is printed."""
    text, data = tmp_path / "report.txt", tmp_path / "report.json"
    for path, options in ((text, ()), (data, ("--json",))):
        ran = run(*T4, *options, "--output", str(path), FORCE_COLOR="1")
        assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert data.read_text(encoding="utf-8") == run(*T4, "--json").out
    assert "Tesla T4" in text.read_text(encoding="utf-8")
    assert "\x1b" not in text.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "options", [("--json",), ("--format", "json"), ("--format=json",), ("--json", "--format", "json")]
)
def test_ways_to_ask_for_json(options: tuple[str, ...]) -> None:
    """`--json` is short for `--format json`."""
    assert run(*T4, *options).out == run(*T4, "--json").out


def test_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GPUCHECK_ROOT reads a copied tree: its processor and memory, and nothing of this machine."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n")
    (tmp_path / "proc" / "cpuinfo").write_text(
        "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Example CPU\ncore id\t: 0\nflags\t: avx2\n\n"
    )
    device = tmp_path / "sys" / "bus" / "pci" / "devices" / "0000:01:00.0"
    device.mkdir(parents=True)
    for name, content in (("class", "0x030000"), ("vendor", "0x10de"), ("device", "0x2684")):
        (device / name).write_text(f"{content}\n")
    online = tmp_path / "sys" / "devices" / "system" / "cpu" / "online"
    online.parent.mkdir(parents=True)
    online.write_text("0\n")
    monkeypatch.setenv("HF_HOME", "/home/alice/secret")
    ran = run("--json", GPUCHECK_ROOT=str(tmp_path))
    assert (ran.code, ran.err) == (0, "")
    found = ran.json["machine"]
    assert (found["cpu"]["name"], found["memory"]["total_bytes"]) == ("Example CPU", 8 << 30)
    assert [(gpu["name"], gpu["state"]) for gpu in found["gpus"]] == [("NVIDIA GeForce RTX 4090", "no_driver")]
    assert "alice" not in ran.out


def test_root_that_is_not_there(tmp_path: Path) -> None:
    """A mistyped GPUCHECK_ROOT is exit 2, not a machine without devices."""
    ran = run(GPUCHECK_ROOT=str(tmp_path / "none"))
    assert (ran.code, ran.out) == (2, "")
    assert "GPUCHECK_ROOT" in ran.err


def test_unknown_python() -> None:
    """An interpreter that is not there is told in the issues; the report is made all the same."""
    ran = run("--python", "/no/such/python", "--json")
    assert ran.code == 0
    assert any("/no/such/python" in issue["source"] + issue["detail"] for issue in ran.json["machine"]["issues"])


def test_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that nobody foresaw is exit 4, in one line that calls it a bug, and as JSON where that is asked."""

    def broken(*_: object) -> None:
        raise RuntimeError("boom\nsecond line")

    monkeypatch.setattr(api, "fits", broken)
    ran = run(*T4)
    assert (ran.code, ran.out) == (4, "")
    assert ran.err.count("\n") == 1
    assert "a bug in gpucheck: RuntimeError: boom second line" in ran.err
    assert run(*T4, "--json").json["error"]["code"] == "bug"
    with pytest.raises(RuntimeError, match="boom"):
        run(*T4, GPUCHECK_DEBUG="1")
