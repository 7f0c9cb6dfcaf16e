"""Nothing that names a person, a host or a board is in a fixture, or in what `gpucheck record` writes."""

from __future__ import annotations

import getpass
import platform
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import gpucheck
from gpucheck.assess.category import categorise
from gpucheck.host.answer import Answer
from gpucheck.host.host import Host, Section
from gpucheck.host.live import LiveSource
from gpucheck.host.recording import Recording, ReplaySource, make_recording, parse_recording, read_recording, to_json
from gpucheck.host.redact import Redactor
from gpucheck.machine.evidence import ask_everything
from gpucheck.machine.inspect import inspect_host
from gpucheck.report.document import to_json as document_json
from tests.running import NAMES, fixture, report_of

UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
MAC = re.compile(r"(?<![0-9a-fA-F:])(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}(?![0-9a-fA-F:])")
HOME = re.compile(r"(?:/home/|/Users/)([^/\"\\ :]+)")
SERIAL = re.compile(r"serial[^a-z]{1,40}\d{6,}", re.IGNORECASE)
ADDRESS = re.compile(r"(?<![\d.])(?:10|127|172|192)\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![\d.])")
HERE = ("/etc/machine-id", "/proc/sys/kernel/random/boot_id", "/etc/hostname", "/sys/class/dmi/id/product_uuid")
EVERYBODYS = {
    "4d36e968-e325-11ce-bfc1-08002be10318",  # of every Windows: the class of display adapters
    "8be4df61-93ca-11d2-aa0d-00e098032b8c",  # of every UEFI: the owner of its own variables
}
COMMON = frozenset({"root", "user", "host", "localhost", "runner", "ubuntu", "debian", "linux", "docker"})

PREFIX = "GPU-8f2a1c4d"
BOARD = f"{PREFIX}-77aa-4bcd-9e01-5a6b7c8d9e0f"
OTHER = "GPU-1b9d3e5f-0c2e-4f6a-8b8c-1d2e3f405162"
KEY = b"one key for both"


@pytest.mark.parametrize("name", NAMES)
def test_no_fixture_names_anybody(name: str) -> None:
    """A fixture holds no UUID but zeroed or masked ones, no serial, MAC or IP address, and no home but `/home/user`."""
    text = Path(fixture(name)).read_text(encoding="utf-8")
    recording = read_recording(fixture(name))
    if recording.kind == "synthetic":
        found = set(UUID.findall(text)) - EVERYBODYS
        assert all(uuid.startswith("00000000-0000-4000-8000-") for uuid in found)
    assert recording.redacted
    assert not MAC.findall(text)
    assert not SERIAL.findall(text)
    assert not ADDRESS.findall(text)
    assert set(HOME.findall(text)) <= {"user"}


@pytest.mark.parametrize("name", NAMES)
def test_no_fixture_names_this_machine(name: str) -> None:
    """A fixture holds neither the user nor the host name of the machine that runs this, nor any of its ids."""
    text = Path(fixture(name)).read_text(encoding="utf-8")
    names = {getpass.getuser(), platform.node(), platform.node().partition(".")[0]}
    for word in (word for word in names if len(word) > 3 and word.lower() not in COMMON):
        assert not re.search(rf"(?<![0-9A-Za-z]){re.escape(word)}(?![0-9A-Za-z])", text), "a name of this machine"
    for path in map(Path, HERE):
        try:
            found = path.read_text(encoding="utf-8").strip()
        except OSError:
            continue
        assert len(found) < 8 or found not in text, path


class _TwoCards:
    """This machine with two NVIDIA cards that have real-looking UUIDs, from a fixture."""

    def __init__(self) -> None:
        self._cards = ReplaySource(read_recording(fixture("gpus-hidden")))
        self._live = LiveSource()

    def answer(self, section: Section, key: str, timeout_s: float) -> Answer[Any]:
        """See `gpucheck.host.host.Source`."""
        if section == "nvml" and key.endswith("/UUID"):
            return Answer({"gpu0/UUID": BOARD, "gpu1/UUID": OTHER}[key])
        if section == "nvml" or "/sys/bus/pci" in key or "/sys/module/nvidia" in key:
            return self._cards.answer(section, key, timeout_s)
        return self._live.answer(section, key, timeout_s)


@pytest.fixture
def alices_host(monkeypatch: pytest.MonkeyPatch) -> Host:
    """This machine as alice uses it, with two cards of which she chose one by the beginning of its UUID."""
    monkeypatch.setenv("HF_HOME", "/home/alice/models of alice")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", PREFIX)
    monkeypatch.setenv("VIRTUAL_ENV", "/home/alice/venv")
    return Host(_TwoCards(), "live")


def test_secrets_are_masked_and_nothing_else_changes(alices_host: Host) -> None:
    """A redacted recording tells no secret, and its replay reports what the live run did, masked alike."""
    live = inspect_host(alices_host)
    assert [gpu.visible for gpu in live.gpus] == [True, False]
    ask_everything(alices_host)
    redactor = Redactor("alice", "alices-laptop", KEY)
    recording = _reread(make_recording(alices_host.answers, "test", "a test", redactor))
    for secret in ("alice", PREFIX.removeprefix("GPU-"), BOARD[4:], OTHER[4:]):
        assert secret not in to_json(recording).decode(), secret
    replayed = gpucheck.replay(recording)
    assert [gpu.visible for gpu in replayed.gpus] == [True, False]
    expected = document_json(report_of(categorise(replace(live, source="recording"))))
    assert document_json(report_of(replayed)) == redactor.answer("env", "report", Answer(expected))[1].value


def test_unredacted_recordings_keep_everything(alices_host: Host) -> None:
    """Without redaction the replay is the live report to the letter, and the file says that it is not redacted."""
    live = inspect_host(alices_host)
    recording = _reread(make_recording(alices_host.answers, "test", "a test", None))
    assert recording.redacted is False
    assert BOARD in to_json(recording).decode()
    assert gpucheck.replay(recording) == categorise(replace(live, source="recording"))


def test_recording_this_very_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """`gpucheck.record` masks what the environment gives away; `redact=False` does not."""
    monkeypatch.setenv("HF_HOME", "/home/alice/hf")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", PREFIX)
    masked, plain = gpucheck.record("a test"), gpucheck.record("a test", redact=False)
    text = to_json(masked).decode()
    assert "alice" not in text
    assert PREFIX not in text
    assert set(HOME.findall(text)) <= {"user"}
    assert masked.answers["env"]["CUDA_VISIBLE_DEVICES"].value.startswith("GPU-")
    assert plain.answers["env"]["CUDA_VISIBLE_DEVICES"].value == PREFIX
    assert gpucheck.replay(masked).cpu == gpucheck.replay(plain).cpu


def _reread(recording: Recording) -> Recording:
    return parse_recording(to_json(recording), "a recording")
