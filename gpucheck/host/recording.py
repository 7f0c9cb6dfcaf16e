"""Recordings: one JSON file that keeps the answers of one machine by section and key.

    {"format": "gpucheck-recording", "format_version": 1,
     "made_by": "gpucheck 0.1.0", "kind": "recorded", "origin": "where it comes from", "redacted": true,
     "answers": {"file": {"/proc/meminfo": {"value": "MemTotal: …"},
                          "/proc/nowhere": {"error": "not_found"}}}}

`kind` is "recorded" for a real machine and "synthetic" for one written from facts, which `origin` names.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from gpucheck.errors import RecordingError
from gpucheck.host.answer import NOT_RECORDED, Answer, failed
from gpucheck.host.host import SECTIONS, Section
from gpucheck.host.redact import Redactor

FORMAT = "gpucheck-recording"
FORMAT_VERSION = 1
MAX_RECORDING_BYTES = 64 << 20

Answers = Mapping[tuple[Section, str], Answer[Any]]


class Recording(Struct, frozen=True):
    """A recording as it lies in its file."""

    format: str
    format_version: int
    made_by: str
    kind: str
    origin: str
    redacted: bool
    answers: dict[str, dict[str, Answer[Any]]]


class ReplaySource:
    """Answers from a recording; what it never asked is `not_recorded`."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording

    def answer(self, section: Section, key: str, timeout_s: float) -> Answer[Any]:  # noqa: ARG002
        """See `Source.answer`; the time limit does not matter here."""
        found = self.recording.answers.get(section, {}).get(key)
        return failed(NOT_RECORDED, f"{section} {key}") if found is None else found


def make_recording(answers: Answers, made_by: str, origin: str, redactor: Redactor | None) -> Recording:
    """The recording of what one inspection was told, redacted unless `redactor` is None."""
    kept: dict[str, dict[str, Answer[Any]]] = {section: {} for section in SECTIONS}
    for (section, key), answer in sorted(answers.items()):
        if redactor is not None:
            key, answer = redactor.answer(section, key, answer)  # noqa: PLW2901 - the masked pair replaces it
        kept[section][key] = answer
    return Recording(
        format=FORMAT,
        format_version=FORMAT_VERSION,
        made_by=made_by,
        kind="recorded",
        origin=origin,
        redacted=redactor is not None,
        answers={section: found for section, found in kept.items() if found},
    )


def to_json(recording: Recording) -> bytes:
    """The file's bytes: indented, so that two recordings can be compared line by line."""
    return msgspec.json.format(msgspec.json.encode(recording), indent=1) + b"\n"


def read_recording(path: str | os.PathLike[str]) -> Recording:
    """The recording in a file.

    Raises:
        RecordingError: the file cannot be read, is larger than 64 MiB, is truncated, nested beyond reason, of
            another format version, or not a recording.
    """
    try:
        with open(path, "rb") as handle:
            data = handle.read(MAX_RECORDING_BYTES + 1)
    except OSError as error:
        raise RecordingError(f"{os.fspath(path)}: {error.strerror or error}") from None
    except ValueError:  # a null byte in the path
        raise RecordingError(f"{path!r} is not the name of a file") from None
    if len(data) > MAX_RECORDING_BYTES:
        raise RecordingError(f"{os.fspath(path)}: larger than {MAX_RECORDING_BYTES >> 20} MiB")
    return parse_recording(data, os.fspath(path))


def parse_recording(data: bytes, name: str) -> Recording:
    """The recording in `data`; `name` stands in the error text. Raises as `read_recording` does."""
    try:
        recording = msgspec.json.decode(data, type=Recording)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RecordingError(f"{name}: not a gpucheck recording ({_one_line(error)})") from None
    if recording.format != FORMAT:
        raise RecordingError(f"{name}: not a gpucheck recording (its format is {recording.format[:40]!r})")
    if recording.format_version != FORMAT_VERSION:
        found = recording.format_version
        raise RecordingError(f"{name}: format version {found}, this gpucheck reads {FORMAT_VERSION}")
    return recording


def _one_line(error: Exception) -> str:
    """An error's text made safe for a terminal: a hostile key may hold control characters."""
    return json.dumps(str(error), ensure_ascii=False)[1:-1][:200]
