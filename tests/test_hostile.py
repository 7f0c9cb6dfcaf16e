"""Recordings that are damaged or forged, and commands that misbehave: always a report or a RecordingError."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import pynvml
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gpucheck
from gpucheck.host.recording import parse_recording
from gpucheck.report.document import Report
from gpucheck.report.document import to_json as document_json
from tests.running import NAMES, Ran, fixture, machine, page, process, report_of

CARD = "card-h100-sxm"
# Between them: NVML with MIG, sysfs and KFD, cgroups and containers, and nvidia-smi that fails.
VARIED = ("h100-mig", "card-mi250", "container-4gib", "driver-mismatch")
SLOW_S = 5.0  # no replay may take longer, on a busy machine: nothing in it waits for anything

WRONG = (
    None, True, 7, -7, 2**70, -(2**70), 1.5, "", "7", "-1", "9" * 5000, "x" * 100_000, "\x1b[31m\r\n\t\0 nan",
    "0-4000000000", "4000000000-0", "NaN", "N/A", [], [[[[[[]]]]]], [None] * 3, ["0000:01:00.0"] * 3, [-1, 2**70],
    {}, {"total": -1, "free": 2**70, "used": None}, {"stdout": "<nvidia_smi_log>" * 500, "stderr": "", "returncode": 0},
    {"busId": "zz", "pciDeviceId": -5}, {"total_bytes": 5, "free_bytes": 10},
)  # fmt: skip
CODES = (
    "not_found", "no_permission", "io_error", "timeout", "too_large", "malformed", "not_recorded", "other_root",
    "library_missing", "not_supported", "failed", "no_such_code", "",
)  # fmt: skip
NVML_ERRORS = tuple(
    "nvml_" + name.removeprefix("NVML_ERROR_").lower() for name in vars(pynvml) if name.startswith("NVML_ERROR_")
)
MORE_CPUS = re.compile(r"/cpu(?:[2-9]|\d\d)")
UNASKED = (
    "gpu0/MemoryInfo_v2",
    "gpu0/MemoryInfo",
    "gpu0/NvLink",
    "gpu0/Handle",
    "system/NVMLVersion",
)  # each has a stand-in, or is one
NO_NEWS = {"nvml_not_supported", "nvml_function_not_found", "nvml_deprecated", "nvml_not_found", "nvml_success"}


def _head(**changed: Any) -> bytes:
    """A recording without answers, some of its head replaced."""
    head = {"format": "gpucheck-recording", "format_version": 1, "made_by": "", "kind": "", "origin": ""}
    return json.dumps({**head, "redacted": True, "answers": {}, **changed}).encode()


def _answers(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(fixture(name)).read_bytes())
    return found


def _report(data: bytes) -> Report | None:
    """The report of a recording's bytes, checked; None where it is refused, the only other way out."""
    started = time.monotonic()
    try:
        found = gpucheck.replay(parse_recording(data, "a recording"))
    except gpucheck.RecordingError as refused:
        return _one_line(refused)
    report = report_of(found)
    text = document_json(report)
    assert msgspec.json.decode(text, type=Report) == report
    lines = page(report, 45, encoding="ascii", verbose=True).removesuffix("\n").split("\n")
    assert all(line.isprintable() and len(line) <= 45 for line in lines)
    assert time.monotonic() - started < SLOW_S
    return report


def _one_line(refused: gpucheck.RecordingError) -> None:
    assert "\n" not in str(refused)
    assert str(refused).isprintable()


def _with(name: str, section: str, key: str, answer: dict[str, Any]) -> bytes:
    """The fixture with one answer replaced."""
    found = _answers(name)
    found["answers"][section][key] = answer
    return json.dumps(found).encode()


def _places(name: str) -> Iterator[tuple[str, str]]:
    """Every answer of a fixture, of the many processors the first two only."""
    for section, found in _answers(name)["answers"].items():
        yield from ((section, key) for key in found if not MORE_CPUS.search(key))


@pytest.mark.parametrize("name", ["card-t4", "h100-mig"])
def test_truncated(name: str) -> None:
    """A recording that ends too soon is refused, wherever it ends."""
    data = Path(fixture(name)).read_bytes().rstrip()
    for end in {*range(0, len(data), 97), *range(min(200, len(data))), len(data) - 1}:
        with pytest.raises(gpucheck.RecordingError):
            parse_recording(data[:end], "a recording")


@pytest.mark.parametrize(
    "data",
    [
        b"", b"null", b"[]", b"{}", b"\xff\xfe{}", b"\0" * 1000, b"[" * 100_000, b'{"format":' * 5_000,
        b'{"format": "gpucheck-recording", "format_version": 1}',
        _head(format="other"),
        _head(format_version=2),
        _head(format_version="1"),
        _head(answers={"file": []}),
        _head(answers={"file": {"/proc/meminfo": "MemTotal"}}),
        _head(redacted="yes"),
    ],
)  # fmt: skip
def test_no_recording(data: bytes) -> None:
    """What is not a recording, or of another version, is refused in one printable line."""
    with pytest.raises(gpucheck.RecordingError) as error:
        parse_recording(data, "a recording")
    assert str(error.value).isprintable()


def test_empty_recording() -> None:
    """A recording without answers is a machine of which nothing is known, and says so."""
    data = {**_answers(CARD), "answers": {}}
    found = _report(json.dumps(data).encode())
    assert found is not None
    assert (found.machine.gpus, found.category.name) == ((), "CPU only")
    assert found.machine.memory.total_bytes is None


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(["card-t4", "h100-mig", "card-mi300x", "container-4gib"]),
    st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=12),
)
def test_flipped_bytes(name: str, flips: list[tuple[int, int]]) -> None:
    """Bytes that flipped in a recording give a report or a RecordingError."""
    data = bytearray(Path(fixture(name)).read_bytes())
    for offset, byte in flips:
        data[offset % len(data)] = byte
    _report(bytes(data))


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(VARIED),
    st.lists(
        st.tuples(st.integers(0, 1 << 20), st.sampled_from(" 0123456789abcxyz-,:.x\\n/NA_[]{}<>é\x7f")), min_size=1
    ),
)
def test_flipped_letters(name: str, flips: list[tuple[int, str]]) -> None:
    """Letters that changed inside of the recorded texts, so that the file still is one, give a report."""
    found = _answers(name)
    texts = [(part, key) for part in ("file", "link") for key in found["answers"].get(part, {})
             if isinstance(found["answers"][part][key].get("value"), str)]  # fmt: skip
    for offset, letter in flips:
        part, key = texts[offset % len(texts)]
        text = found["answers"][part][key]["value"]
        place = offset // len(texts) % (len(text) + 1)
        found["answers"][part][key]["value"] = text[:place] + letter + text[place + 1 :]
    assert _report(json.dumps(found).encode()) is not None


@pytest.mark.parametrize("name", VARIED)
def test_wrong_types_one_by_one(name: str) -> None:
    """Every answer replaced by something of another type or size: a report, or a refused file, never more."""
    for number, (section, key) in enumerate(_places(name)):
        value = WRONG[number * 5 % len(WRONG)]  # each of them meets answers of every kind
        _report(_with(name, section, key, {"value": value}))


@pytest.mark.parametrize("value", WRONG, ids=lambda value: repr(value)[:24])
@pytest.mark.parametrize("name", [*VARIED, CARD])
def test_wrong_types_all_at_once(name: str, value: Any) -> None:
    """Every answer replaced by the same senseless value."""
    found = _answers(name)
    for part in found["answers"].values():
        for key in part:
            part[key] = {"value": value}
    _report(json.dumps(found).encode())


@pytest.mark.parametrize("value", WRONG, ids=lambda value: repr(value)[:24])
def test_wrong_types_of_one_source(value: Any) -> None:
    """Senseless NVML answers leave everything but the GPUs as it was, and never a size below zero or a wrong name."""
    found = _answers(CARD)
    for key in found["answers"]["nvml"]:
        found["answers"]["nvml"][key] = {"value": value}
    report = _report(json.dumps(found).encode())
    if report is None:
        return
    before, after = machine(CARD), report.machine
    assert (after.cpu, after.memory, after.platform, after.storage) == (
        before.cpu, before.memory, before.platform, before.storage,
    )  # fmt: skip
    for gpu in after.gpus:
        sizes = [size for size in (gpu.memory.total_bytes, gpu.memory.free_bytes) if size is not None]
        assert all(0 <= size < 1 << 63 for size in sizes)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("name", NAMES[::8])
def test_every_error_everywhere(name: str, code: str) -> None:
    """Every answer replaced by the same error: a report in which nothing is known, and no GPU is invented."""
    found = _answers(name)
    for part in found["answers"].values():
        for key in part:
            part[key] = {"error": code, "detail": "so it is"}
    report = _report(json.dumps(found).encode())
    assert report is not None
    assert report.machine.memory.total_bytes is None
    assert not report.machine.gpus


@pytest.mark.parametrize("name", VARIED)
def test_every_error_one_by_one(name: str) -> None:
    """One answer that failed leaves every other fact as it was, or unknown, or from another source."""
    before = machine(name)
    for number, (section, key) in enumerate(_places(name)):
        answer = {"error": CODES[number % len(CODES)] or "failed", "detail": "so it is"}
        report = _report(_with(name, section, key, answer))
        assert report is not None
        after = report.machine
        if section == "nvml" and not key.startswith("system/"):
            assert len(after.gpus) >= len(before.gpus) - len([gpu for gpu in before.gpus if gpu.kind == "mig"])
            assert (after.cpu, after.memory) == (before.cpu, before.memory)
        if section in {"disk", "env", "access"}:
            assert after.cpu == before.cpu
            assert [gpu.name for gpu in after.gpus] == [gpu.name for gpu in before.gpus]
        assert after.memory.total_bytes in {before.memory.total_bytes, None}


@pytest.mark.parametrize("error", NVML_ERRORS)
def test_every_nvml_error_in_turn(error: str) -> None:
    """Each NVML answer of a card replaced by each NVML error: the card stays, its figures are its own or unknown."""
    before = machine(CARD)
    old = before.gpus[0]
    recording = parse_recording(Path(fixture(CARD)).read_bytes(), "a recording")
    for key in recording.answers["nvml"]:
        answers = {**recording.answers, "nvml": {**recording.answers["nvml"], key: _error(error)}}
        after = gpucheck.replay(msgspec.structs.replace(recording, answers=answers))
        msgspec.json.decode(msgspec.json.encode(after), type=gpucheck.Machine)
        assert len(after.gpus) == 1, key
        new = after.gpus[0]
        assert (new.pci_address, new.catalogue_id) == (old.pci_address, old.catalogue_id), key
        assert new.category is not None
        assert new.category.name == "High-end", key
        for path, basis in new.sources.items():
            kept = _figure(new, path) == _figure(old, path)
            assert kept or basis != old.sources.get(path), (key, path)
        if error not in NO_NEWS and key not in UNASKED:
            assert new.state != "ok" or len(after.issues) > len(before.issues), key
        assert (after.cpu, after.memory, after.storage) == (before.cpu, before.memory, before.storage), key


@pytest.mark.parametrize("error", [*NVML_ERRORS, *CODES])
def test_nvml_fails_as_a_whole(error: str) -> None:
    """Every NVML answer replaced by one error: the card is still known from the bus, and an issue tells why."""
    found = _answers(CARD)
    for key in found["answers"]["nvml"]:
        found["answers"]["nvml"][key] = {"error": error or "failed", "detail": "so it is"}
    report = _report(json.dumps(found).encode())
    assert report is not None
    assert [gpu.catalogue_id for gpu in report.machine.gpus] == [machine(CARD).gpus[0].catalogue_id]
    assert report.category.name == "High-end"
    assert report.machine.gpus[0].state != "ok"
    assert report.machine.issues


@pytest.mark.parametrize("count", [-1, 0, 3, 255, 257, 2**31, 2**70, "8", None, 1.0, True, [1]])
def test_senseless_device_counts(count: Any) -> None:
    """A count of GPUs that cannot be, or that is not met by answers, gives no card that is not there."""
    report = _report(_with(CARD, "nvml", "system/DeviceCount", {"value": count}))
    if report is not None:
        assert sum(gpu.pci_address == "0000:01:00.0" for gpu in report.machine.gpus) == 1


def test_names_cannot_write_to_the_terminal() -> None:
    """Control characters in names that a recording brings reach neither the text nor error lines."""
    evil = "\x1b]0;owned\x07\x1b[2J\r\n\u202eGPU\u200b\x9b31m"
    report = _report(_with(CARD, "nvml", "gpu0/Name", {"value": evil}))
    assert report is not None
    text = page(report, 80)
    assert all(char.isprintable() for char in text.replace("\n", ""))
    assert "owned" in text


def test_a_name_of_a_thousand_letters() -> None:
    """An overlong name is wrapped, not cut and not let out of the page."""
    report = _report(_with(CARD, "nvml", "gpu0/Name", {"value": "A" * 1000}))
    assert report is not None
    assert page(report, 60).count("A") >= 2000


def test_deeply_nested_answers() -> None:
    """An answer nested a thousandfold is refused or ignored, not a crash of the interpreter."""
    for depth in (50, 900, 50_000):
        nested = "[" * depth + "]" * depth
        data = json.dumps(_answers(CARD)).replace('"value": "NVIDIA H100 80GB HBM3"', f'"value": {nested}')
        assert nested in data
        _report(data.encode())


# Commands that misbehave, met by real processes. Where a machine has NVML itself, nvidia-smi is not asked.

SCRIPTS = {
    "not UTF-8": "head -c 4000 /dev/urandom",
    "100 MB": "head -c 100000000 /dev/zero | tr '\\0' 'x'",
    "a crash": "kill -SEGV $$",
    "half an XML": "echo '<?xml version=\"1.0\" ?><nvidia_smi_log><gpu id=\"0'",
    "an entity bomb": "echo '<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">"
    "<!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;\"><!ENTITY d \"&c;&c;&c;&c;&c;&c;&c;&c;\">]>"
    "<nvidia_smi_log><gpu id=\"0\"><product_name>&d;&d;&d;</product_name></gpu></nvidia_smi_log>'",
    "nothing": "exit 9",
    "a directory": "",
}  # fmt: skip

posix_only = pytest.mark.skipif(os.name != "posix", reason="fake programs are shell scripts")


def _fake_smi(folder: Path, script: str) -> str:
    """A PATH that begins with a folder where nvidia-smi is that script."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho $$ >> {shlex.quote(str(folder))}/pids\n{script}\n")
    program.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def _checked(ran: Ran) -> Any:
    assert ran.code == 0, ran.err
    assert ran.err == ""
    msgspec.json.decode(ran.out, type=Report)
    return ran.json


@posix_only
@pytest.mark.parametrize("what", SCRIPTS)
def test_nvidia_smi_misbehaves(what: str, tmp_path: Path) -> None:
    """An nvidia-smi that prints rubbish, too much, or not enough costs neither the report nor its time."""
    if SCRIPTS[what]:
        path = _fake_smi(tmp_path, SCRIPTS[what])
    else:
        (tmp_path / "nvidia-smi").mkdir()
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    started = time.monotonic()
    found = _checked(process("--json", PATH=path))
    assert time.monotonic() - started < 25
    assert found["machine"]["cpu"]["logical_cores"] >= 1


HANGING = {
    "deaf to signals": "trap '' TERM INT\n{sleep} &\necho $! >> {folder}/pids\nwait\n{sleep}",
    "gone, but a grandchild keeps its output open": "{sleep} &\necho $! >> {folder}/pids\necho started",
}


@posix_only
def test_nvidia_smi_hangs(tmp_path: Path) -> None:
    """An nvidia-smi that never ends costs its time limit once, is killed with its children, and becomes an issue."""
    folders = [tmp_path / what for what in HANGING]
    for folder, script in zip(folders, HANGING.values(), strict=True):
        folder.mkdir()
        sleep = f"{shlex.quote(sys.executable)} -c 'import time; time.sleep(300)'"  # there may be no sleep on PATH
        _fake_smi(folder, script.format(folder=shlex.quote(str(folder)), sleep=sleep))
    started = time.monotonic()
    with ThreadPoolExecutor() as pool:  # both cost their whole time limit: wait for both at once
        paths = [f"{folder}{os.pathsep}{os.environ['PATH']}" for folder in folders]
        ended = list(pool.map(lambda path: process("--json", PATH=path), paths))
    assert time.monotonic() - started < 15
    for folder, ran in zip(folders, ended, strict=True):
        found = _checked(ran)
        if not (folder / "pids").exists():
            pytest.skip("this machine has NVML, and nvidia-smi was not asked")
        issues = [issue for issue in found["machine"]["issues"] if issue["code"] == "timeout"]
        assert issues
        assert all("nvidia-smi" in issue["source"] for issue in issues)
        _wait_for_their_end(folder)


def _wait_for_their_end(folder: Path) -> None:
    """The processes that wrote their ids have gone."""
    left = [int(pid) for pid in (folder / "pids").read_text().split()]
    for _ in range(50):
        left = [pid for pid in left if _runs(pid)]
        if not left:
            return
        time.sleep(0.1)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    raise AssertionError(f"{len(left)} processes of nvidia-smi are left behind")


def _runs(pid: int) -> bool:
    """Whether a process exists and is no zombie that waits for its parent."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        if sys.platform == "linux":
            return False
        try:
            os.kill(pid, 0)
        except OSError:
            return False
        return True
    return status.rpartition(")")[2].split()[0] not in {"Z", "X"}


def _error(code: str) -> Any:
    from gpucheck.host.answer import failed

    return failed(code, "so it is")


def _figure(gpu: gpucheck.Gpu, path: str) -> Any:
    found: Any = gpu
    for part in path.split("."):
        found = getattr(found, part)
    return deepcopy(found)
