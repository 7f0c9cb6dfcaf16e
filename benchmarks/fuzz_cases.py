"""The inputs and the checks of the fuzzing campaign: one case for each parser, three for whole recordings."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console

from benchmarks.fuzz_mutate import any_value, mutate
from benchmarks.fuzz_targets import RECORDING_ERRORS, TARGETS, Target, corpus, recordings
from gpucheck import api
from gpucheck.host.answer import Answer
from gpucheck.host.recording import Recording, parse_recording, to_json
from gpucheck.report.document import Report, Tool
from gpucheck.report.document import to_json as document_json
from gpucheck.report.text import print_document

BYTES, TEXTS, TYPES = "recordings, bytes", "recordings, texts", "answers of any type"
# Small ones of every kind, so that each of their answers gets its turn.
TYPED = (
    "card-rtx-4090", "h100-mig", "amd-rx7900xtx", "amd-rocm-smi-warning", "apple-m4-max-128", "windows-laptop-hybrid",
    "wsl2-rtx3080", "unified-gb10", "unified-jetson-orin-64", "intel-arc-b580-xe", "container-4gib", "gaudi2-x8",
)  # fmt: skip


class Case(Struct, frozen=True):
    """A target with its inputs: `make` draws one, `check` feeds it and returns whether it was refused."""

    name: str
    make: Callable[[random.Random], Any]
    check: Callable[[Any], bool]


def parser_case(target: Target) -> Case:
    """Mutations of the texts that a parser reads."""
    texts = corpus(target)

    def make(draw: random.Random) -> str:
        return mutate(draw, draw.choice(texts), texts).decode(errors="replace")

    return Case(target.name, make, lambda text: call_all(target, text))


def call_all(target: Target, text: str) -> bool:
    """Each of a target's functions on one text; what they return must fit in JSON, its numbers in 64 bits."""
    refused = False
    for call in target.calls:
        try:
            found = call(text)
        except target.allowed as error:
            found, refused = str(error), True
        msgspec.msgpack.encode(found)
    return refused


def report_of(recording: Recording) -> None:
    """A whole report of a recording, as JSON that its own type reads, and as a page."""
    machine = api.replay(recording)
    broken = [issue for issue in machine.issues if issue.code == "probe_failed"]
    assert not broken, broken
    assert machine.category is not None
    report = Report(
        tool=Tool(name="gpucheck", version="0"),
        machine=machine,
        category=machine.category,
        fit=api.fits(machine),
        findings=api.problems(machine),
    )
    text = document_json(report)
    again = msgspec.json.encode(msgspec.json.decode(text, type=Report))
    assert msgspec.json.decode(again) == msgspec.json.decode(text), "it reads back as something else"
    print_document(report, Console(file=io.StringIO(), width=80, color_system=None), False)


def recording_cases() -> Iterator[Case]:
    """Recordings with mutated bytes, with mutated texts, and with answers replaced by values of any type."""
    every = list(recordings().values())
    files = [to_json(recording) for recording in every]

    def make_bytes(draw: random.Random) -> bytes:
        return mutate(draw, draw.choice(files), files)

    def check_bytes(data: bytes) -> bool:
        try:
            recording = parse_recording(data, "fuzzed")
        except RECORDING_ERRORS:
            return True
        report_of(recording)
        return False

    def make_texts(draw: random.Random) -> Recording:
        chosen, share = draw.choice(every), draw.choice((0.01, 0.05, 0.3))
        return _replaced(chosen, lambda _, value: _texts(draw, value) if draw.random() < share else value)

    def make_types(draw: random.Random) -> Recording:
        chosen = recordings()[draw.choice(TYPED)]
        one = draw.choice([(section, key) for section, answers in chosen.answers.items() for key in answers])
        return _replaced(chosen, lambda at, value: any_value(draw, value) if at == one else value)

    def check(recording: Recording) -> bool:
        return check_bytes(to_json(recording))

    yield Case(BYTES, make_bytes, check_bytes)
    yield Case(TEXTS, make_texts, check)
    yield Case(TYPES, make_types, check)


def _replaced(recording: Recording, change: Callable[[tuple[str, str], Any], Any]) -> Recording:
    answers = {
        section: {
            key: answer if answer.error is not None else Answer(change((section, key), answer.value))
            for key, answer in found.items()
        }
        for section, found in recording.answers.items()
    }
    return msgspec.structs.replace(recording, answers=answers)


def _texts(draw: random.Random, value: Any) -> Any:
    """A value whose texts are mutated, its shape kept."""
    if isinstance(value, str):
        data = value.encode()
        return mutate(draw, data, [data])[: 1 << 15].decode(errors="replace")
    if isinstance(value, dict):
        return {key: _texts(draw, inner) for key, inner in value.items()}
    return [_texts(draw, inner) for inner in value] if isinstance(value, list) else value


def all_cases() -> list[Case]:
    """Every target."""
    return [*map(parser_case, TARGETS), *recording_cases()]
