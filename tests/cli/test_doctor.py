"""`gpucheck doctor`: the findings of a machine and nothing else."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import jsonschema
import pytest

from gpucheck.report.document import schema
from tests.fake_torch import GPU, TORCH, environment
from tests.running import NAMES, ROOT, document, fixture, run

SCHEMA = json.loads((ROOT / "gpucheck" / "report" / "schemas" / "doctor.json").read_text(encoding="utf-8"))
PAST = "GC506"  # errors of cards that are well now: reading them takes a command, which the report does not run
ILL, WELL = ("--machine", fixture("driver-missing")), ("--machine", fixture("card-rtx-4090"))


@pytest.mark.parametrize("name", NAMES)
def test_json_is_a_part_of_the_report(name: str) -> None:
    """The document is valid by the committed schema; its findings and issues are the report's, past errors apart."""
    ran = run("doctor", "--machine", fixture(name), "--json")
    assert (ran.code, ran.err) == (0, "")
    found, whole = ran.json, document(name)
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    assert (found["kind"], found["format_version"], found["tool"]) == ("doctor", "1.0", whole["tool"])
    assert [finding for finding in found["findings"] if finding["code"] != PAST] == whole["findings"]
    assert (PAST in {finding["code"] for finding in found["findings"]}) == name.startswith("xid-")
    assert found["issues"] == whole["machine"]["issues"]


@pytest.mark.parametrize("name", NAMES)
def test_text_is_a_part_of_the_report(name: str) -> None:
    """The text has the problems in the words of the whole report, or says that there are none."""
    ran = run("doctor", "--machine", fixture(name), COLUMNS="80")
    assert (ran.code, ran.err) == (0, "")
    head, *lines = ran.out.split("\n")
    past = name.startswith("xid-")  # told by the kernel log, which the report does not read
    assert (head == "No problem found.") is not bool(document(name)["findings"] or past)
    whole = run("--machine", fixture(name), "-v", COLUMNS="80").out
    _, problems, rest = whole.replace("\n  Remarks\n", "\n  Problems\n").partition("\n  Problems\n")
    if not past:
        assert lines[: lines.index("")] == (rest.split("\n\n")[0].split("\n") if problems else [])


@pytest.mark.parametrize("name", NAMES)
def test_list(name: str) -> None:
    """`--list` prints each code once, the worst first, and nothing else; nothing at all where nothing is wrong."""
    ran = run("doctor", "--list", "--machine", fixture(name))
    assert (ran.code, ran.err) == (0, "")
    codes = [finding["code"] for finding in document(name)["findings"]]
    codes += [PAST] if name.startswith("xid-") else []
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
@pytest.mark.parametrize("name", ["cuda-compat-older", "secure-boot", "h100-x8-one-lost", "deep-new-card"])
def test_fits_the_terminal(name: str, width: str) -> None:
    """No line is wider than the terminal or ends in a blank; plain ASCII where there is nothing else."""
    ran = run("doctor", "--machine", fixture(name), "-v", encoding="ascii", COLUMNS=width)
    assert (ran.code, ran.err) == (0, "")
    assert max(map(len, ran.out.split("\n"))) <= int(width)
    assert all(line == line.rstrip() for line in ran.out.split("\n"))


class TestDeep:
    """`--deep`: frameworks are tried in processes of their own."""

    def test_text(self, tmp_path: Path) -> None:
        """What was tried, on which device, and how long it took; nothing of it without the option."""
        python = environment(tmp_path, TORCH + GPU)
        ran = run("doctor", "--deep", "--python", python, COLUMNS="100")
        assert (ran.code, ran.err) == (0, "")
        text = " ".join(ran.out.split())
        assert re.search(r"Tried torch 2\.9\.1\+cu128, in \d+\.\d s import, find devices, cuDNN: ok", text)
        assert "cuda:0 A card (8.9, 24.0 GiB) open, copy, add, matmul fp32" in text
        assert "matmul fp32 (" in run("doctor", "--deep", "--python", python, "-v", COLUMNS="100").out
        assert "Tried" not in run("doctor", "--python", python).out

    def test_json(self, tmp_path: Path) -> None:
        """The frameworks that were tried stand in the document with every step, and it is valid."""
        text = "\ndef add(a, b): raise RuntimeError('CUDA error: no kernel image is available')\n"
        python = environment(tmp_path, TORCH + GPU + text)
        found = run("doctor", "--deep", "--python", python, "--json").json
        jsonschema.Draft202012Validator(schema("doctor")).validate(found)
        (torch,) = found["frameworks"]
        assert (torch["usable"], torch["deep"]["answer"]) == (False, "failed")
        steps = {step["name"]: step["outcome"] for step in torch["deep"]["devices"][0]["steps"]}
        assert (steps["add"], steps["matmul fp32"]) == ("failed", "ok")
        assert [finding["code"] for finding in found["findings"] if finding["code"] == "GC310"] == ["GC310"]
        assert run("doctor", "--python", python, "--json").json["frameworks"] == []

    def test_timeout(self, tmp_path: Path) -> None:
        """A framework that hangs costs its time limit and is told as such."""
        python = environment(tmp_path, "import time; time.sleep(60)")
        start = time.monotonic()
        ran = run("doctor", "--deep", "--timeout", "1.5", "--list", "--python", python)
        assert time.monotonic() - start < 8
        assert "GC311" in ran.out.split()

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--timeout", "5"], "give --deep too"),
            (["--deep", "--simulate", "RTX 4090"], "a simulated machine is not"),
            (["--deep", "--timeout", "0"], "0"),
            (["--deep", "--timeout", "4000"], "3600"),
        ],
    )
    def test_options_that_make_no_sense(self, arguments: list[str], said: str) -> None:
        """A time limit for nothing, or out of reason, and a machine that is not there are refused."""
        ran = run("doctor", *arguments)
        assert ran.code == 2
        assert said in ran.err

    def test_a_recording_holds_it(self, tmp_path: Path) -> None:
        """`record --deep` keeps what was tried: a replay tells the same, asked for it or not."""
        python = environment(tmp_path, TORCH + GPU)
        file, prefix = str(tmp_path / "box.json"), str(Path(python).parent.parent)
        ran = run("record", file, "--deep", "--no-redact", VIRTUAL_ENV=prefix)
        assert ran.code == 0
        found = [run("doctor", "--machine", file, "--json", *more).json for more in ([], ["--deep"])]
        assert found[0] == found[1]
        assert found[0]["frameworks"][0]["deep"]["devices"][0]["name"] == "A card"
        asked = json.loads(Path(file).read_text(encoding="utf-8"))["answers"]["python"]
        assert [key for key in asked if key.endswith(" deep.torch")]

    def test_a_recording_is_redacted(self, tmp_path: Path) -> None:
        """Homes in a framework's messages are masked as they are elsewhere."""
        python = environment(tmp_path, "raise ImportError('/home/somebody/lib/libcudnn.so.9: no such file')")
        file = tmp_path / "box.json"
        assert run("record", str(file), "--deep", VIRTUAL_ENV=str(Path(python).parent.parent)).code == 0
        text = file.read_text(encoding="utf-8")
        assert "somebody" not in text
        assert "/home/user/lib/libcudnn.so.9" in text

    def test_a_recording_without_it(self) -> None:
        """Who asks an old recording is told that nothing was tried; who does not, hears nothing of it."""
        path = fixture("torch-rtx-40")
        issues = [run("doctor", "--machine", path, "--json", *more).json["issues"] for more in ([], ["--deep"])]
        assert [issue["code"] for issue in issues[1] if issue not in issues[0]] == ["not_recorded"]
