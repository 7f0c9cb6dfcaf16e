"""What a deep check's child process runs first: how it says what it does, step by step, whatever is printed meanwhile.

This file's text and that of `deep_checks.py` are handed to the inspected interpreter as one program. It may be older
than gpucheck's own, so only what Python 3.7 has is used, and no other file of gpucheck.

Every line that the program says begins with a marker that its caller has drawn by lot, then an object:

    {"begin": "add", "device": "cuda:0"}                                a step starts: the last one, if the child dies
    {"end": "add", "device": "cuda:0", "seconds": 0.1}                  it went well
    {"end": "add", ..., "error": "RuntimeError", "message": "CUDA error"} or not
    {"skip": "matmul bf16", "device": "cuda:0", "message": "why"}
    {"device": "cuda:0", "facts": {"name": "NVIDIA L4"}}                a device, before its steps
    {"facts": {"version": "2.9.1"}}
    {"fault": "AttributeError: ..."}                                      the check itself went wrong
    {"done": true}
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

MOST_CHARACTERS = 2000  # of a message; torch adds pages of advice to some


class Report:
    """Says on a channel of its own what is tried and how it went."""

    def __init__(self, channel: int, marker: str) -> None:
        self.channel = channel
        self.marker = marker

    def say(self, **event: Any) -> None:
        """One event, on a line of its own even if somebody else has written to the channel."""
        kept = {key: found for key, found in event.items() if found is not None}
        data = f"\n{self.marker} {json.dumps(kept, default=str)}\n".encode()
        while data:
            data = data[os.write(self.channel, data) :]

    def facts(self, **facts: Any) -> None:
        """What the framework says of itself; None is not said."""
        self.say(facts={key: found for key, found in facts.items() if found is not None})

    def device(self, device: str, **facts: Any) -> None:
        """A device that the framework offers, by the framework's own name."""
        self.say(device=device, facts={key: found for key, found in facts.items() if found is not None})

    def step(self, name: str, work: Any, device: str | None = None) -> Any:
        """Do one thing: whether it went well, and what came of it. Nothing that it raises gets out."""
        self.say(begin=name, device=device)
        start = time.monotonic()
        found, error = None, None
        try:
            found = work()
        except BaseException as raised:  # noqa: BLE001 - SystemExit is among what frameworks raise when imported
            error = raised
        seconds = round(time.monotonic() - start, 3)
        if error is None:
            self.say(end=name, device=device, seconds=seconds)
        else:
            said = message_of(error)
            self.say(end=name, device=device, seconds=seconds, error=type(error).__name__, message=said)
        return error is None, found

    def skip(self, name: str, why: str, device: str) -> None:
        """A step that makes no sense on this device."""
        self.say(skip=name, device=device, message=why)


def message_of(error: BaseException) -> str:
    """An exception's text, without lone surrogates, even where making it fails."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - foreign code
        text = "an error without a text"
    return text[:MOST_CHARACTERS].encode("utf-8", "replace").decode()


def own_channel() -> int:
    """A copy of standard output that nobody else knows; what others print there goes to standard error from now on."""
    channel = os.dup(1)
    os.dup2(2, 1)
    return channel


def main(checks: Any) -> None:
    """Carry out the check that the first argument names; the second is the marker."""
    sys.path[:] = [path for path in sys.path if path]  # the current folder lends no files
    name, marker = sys.argv[1:3]
    del sys.argv[1:]
    report = Report(own_channel(), marker)
    try:
        checks[name](report)
    except BaseException as error:  # noqa: BLE001 - an interface that nobody foresaw
        report.say(fault=f"{type(error).__name__}: {message_of(error)}")
    report.say(done=True)
    os._exit(0)  # what frameworks do at the end may hang or crash, and is not asked about
