"""Recordings: what goes in comes out, and nothing else is believed."""

import json

import pytest

from gpucheck.errors import RecordingError
from gpucheck.host import recording as module
from gpucheck.host.answer import Answer, failed
from gpucheck.host.host import Host
from gpucheck.host.recording import ReplaySource, make_recording, parse_recording, read_recording, to_json
from gpucheck.host.redact import Redactor
from tests.fake_source import fake_host

GOOD = {
    "format": "gpucheck-recording", "format_version": 1, "made_by": "gpucheck 0", "kind": "recorded",
    "origin": "a test", "redacted": False, "answers": {"file": {"/a": {"value": "x"}}},
}  # fmt: skip


def parsed(**changes):
    """The recording above with changes."""
    return parse_recording(json.dumps({**GOOD, **changes}).encode(), "box.json")


def replayed(answers, redactor=None):
    """A host on the recording of these answers, by way of its bytes."""
    recording = make_recording(answers, "gpucheck 0", "a test", redactor)
    return Host(ReplaySource(parse_recording(to_json(recording), "box.json")), "recording")


def test_round_trip_keeps_every_answer():
    """Values of every type and errors with their words come back as they went."""
    answers = {
        ("file", "/a"): Answer("text\n\ufffd\0"),
        ("file", "/b"): failed("no_permission", "/b"),
        ("dir", "/c"): Answer(["x", "y"]),
        ("nvml", "gpu0/MemoryInfo"): Answer({"total": 1 << 45, "ratio": 0.5, "name": None}),
        ("system", "affinity"): Answer([0, 1]),
        ("nvml", "gpu0/Persistence"): Answer(False),
        ("psutil", "cpu_count_physical"): Answer(None),
    }
    host = replayed(answers)
    for (section, key), answer in answers.items():
        assert host.ask(section, key) == answer


def test_never_asked_is_not_recorded():
    """A newer gpucheck's question finds neither the thing nor its absence."""
    answer = replayed({}).read("/new/file")
    assert (answer.error, answer.absent) == ("not_recorded", True)


def test_replay_of_a_live_run():
    """What a host was told is what a replay tells."""
    host = fake_host(files={"/proc/meminfo": "MemTotal: 1 kB"}, env={"A": ""})
    first = [host.read("/proc/meminfo"), host.read("/none"), host.env("A"), host.run("none")]
    again = replayed(host.answers)
    assert [again.read("/proc/meminfo"), again.read("/none"), again.env("A"), again.run("none")] == first


def test_redacted_replay_finds_its_own_paths():
    """Keys and values are masked alike: a path made from a masked variable is asked, and found."""
    host = fake_host(env={"VIRTUAL_ENV": "/home/alice/v"}, folders=["/home/alice/v/lib/python3.11"])
    host.listdir(f"{host.env('VIRTUAL_ENV').value}/lib")
    replay = replayed(host.answers, Redactor(user="alice"))
    assert replay.listdir(f"{replay.env('VIRTUAL_ENV').value}/lib").value == ["python3.11"]
    assert "alice" not in to_json(replay.source.recording).decode()


def test_file_round_trip(tmp_path):
    """Written to a file and read back."""
    recording = make_recording({("file", "/a"): Answer("x")}, "gpucheck 0", "a test", None)
    path = tmp_path / "box.json"
    path.write_bytes(to_json(recording))
    assert read_recording(path) == recording


def test_unknown_keys_are_passed_over():
    """A later minor version may add keys."""
    assert parsed(new_key=5, answers={"file": {"/a": {"value": 1, "when": "now"}}}).answers["file"]["/a"].value == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "something-else"}, {"format": 5}, {"format_version": 2}, {"format_version": "1"},
        {"answers": []}, {"answers": {"file": []}}, {"answers": {"file": {"/a": "x"}}}, {"answers": None},
        {"answers": {"file": {"/a": {"error": 5}}}}, {"redacted": "yes"}, {"kind": None},
    ],
)  # fmt: skip
def test_other_shapes(changes):
    """Anything that is not this format is refused, with the file's name."""
    with pytest.raises(RecordingError, match=r"box\.json"):
        parsed(**changes)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"null", b"[]", b"\xff\xfe", b"NaN", json.dumps(GOOD).encode()[:-20], b"[" * 500_000,
     b'{"answers": ' + b'{"a": ' * 200_000, json.dumps({**GOOD, "answers": {"f": {"a": {"value": 0}}}}).encode()
     .replace(b'"value": 0', b'"value": ' + b"[" * 200_000 + b"]" * 200_000), b'{"format": "\xff"}', b"\0" * 1000],
)  # fmt: skip
def test_truncated_nested_and_binary(data):
    """Broken and hostile bytes end in one clear error, not in a crash."""
    with pytest.raises(RecordingError, match=r"box\.json"):
        parse_recording(data, "box.json")


def test_control_characters_stay_out_of_the_error():
    """An error text may quote the file, but may not steer the terminal."""
    data = json.dumps({**GOOD, "answers": {"\x1b[2J": {"a": 5}}}).encode()
    with pytest.raises(RecordingError) as caught:
        parse_recording(data, "box.json")
    assert "\x1b" not in str(caught.value)
    with pytest.raises(RecordingError) as caught:
        parsed(format="\x1b[2J\n" * 50)
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_large(tmp_path, monkeypatch):
    """Beyond the limit a file is refused before it is parsed."""
    monkeypatch.setattr(module, "MAX_RECORDING_BYTES", 100)
    path = tmp_path / "box.json"
    path.write_text(json.dumps(GOOD))
    with pytest.raises(RecordingError, match="larger than"):
        read_recording(path)


@pytest.mark.parametrize("name", ["missing.json", ".", "nu\0ll"])
def test_unreadable(tmp_path, name):
    """A missing file, a folder, and no path at all."""
    with pytest.raises(RecordingError):
        read_recording(f"{tmp_path}/{name}")


def test_huge_numbers():
    """A number beyond every integer type is data like any other, or refused; it does not crash."""
    text = json.dumps(GOOD).replace('"x"', "1" * 4000)
    try:
        recording = parse_recording(text.encode(), "box.json")
    except RecordingError:
        return
    host = Host(ReplaySource(recording), "recording")
    assert host.read("/a").error == "malformed"
