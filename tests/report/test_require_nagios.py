"""The gate's answer as a Nagios plugin's line."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from msgspec.structs import replace

from gpucheck.assess.requirements.outcome import Requirements
from gpucheck.report.require_nagios import MAX_TEXT, exit_code, render
from tests.report.by_hand import BROKEN, H100, HOSTILE, MIXED, T4, VRAM, answers, requirements
from tests.running import machine

_NUMBER = r"-?\d+(?:\.\d+)?"
_DATUM = re.compile(rf"(?P<label>[a-z0-9_]{{1,19}})=(?P<value>{_NUMBER})(?P<unit>B?)(?:;(?:{_NUMBER})?){{0,4}}")
_LINE = re.compile(r"GPUCHECK (?P<state>OK|CRITICAL|UNKNOWN) - (?P<text>[^|\n]+) \| (?P<data>[^|\n]+)\n")


def _read(text: str) -> tuple[str, str, dict[str, int]]:
    """State, text and performance data of a plugin's line, by the plugin guidelines."""
    line = _LINE.fullmatch(text)
    assert line is not None, text
    data = [_DATUM.fullmatch(part) for part in line["data"].split(" ")]
    assert None not in data, line["data"]
    return line["state"], line["text"], {one["label"]: int(one["value"]) for one in data if one}


@pytest.mark.parametrize(
    ("answer", "options", "state", "code"),
    [
        (H100, {}, "OK", 0),
        (T4, {}, "CRITICAL", 2),
        (MIXED, {}, "CRITICAL", 2),
        (MIXED, {"unknown_ok": True}, "CRITICAL", 2),
        (BROKEN, {}, "UNKNOWN", 3),
        (BROKEN, {"unknown_ok": True}, "OK", 0),
        (BROKEN, {"strict": True}, "CRITICAL", 2),
        (requirements(), {}, "OK", 0),
    ],
)
def test_state_and_code_agree(answer: Requirements, options: dict[str, bool], state: str, code: int) -> None:
    """The state in the line is that of the exit code, by the options of the gate."""
    assert _read(render(answer, machine("card-t4"), **options))[0] == state
    assert exit_code(answer, **options) == code


def test_the_line_of_a_t4() -> None:
    """What is wrong, then counts and the free memory of each usable GPU."""
    state, text, data = _read(render(T4, machine("card-t4")))
    assert state == "CRITICAL"
    assert text.startswith("2 of 2 requirements not met; min_vram: needs 24 GiB, found 16 GB nominal. Take a card")
    free = machine("card-t4").gpus[0].memory.free_bytes
    assert data == {"not_met": 2, "unknown": 0, "gpus": 1, "gpu0_free": free}


def test_no_memory_of_gpus_that_cannot_be_used() -> None:
    """A GPU that does not answer has no performance data."""
    assert _read(render(BROKEN, machine("driver-mismatch")))[2] == {"not_met": 0, "unknown": 1}
    assert len(_read(render(H100, machine("h100-x8")))[2]) == 3 + 8


@pytest.mark.parametrize("text", [*HOSTILE, "long " * 1000])
def test_hostile_texts(text: str) -> None:
    """One line with one separator, whatever is in a text, and not too long for old transports."""
    _, said, _ = _read(render(requirements(replace(VRAM, found=text or None)), machine("card-t4")))
    assert len(said) <= MAX_TEXT


@given(answers())
def test_any_answer(answer: Requirements) -> None:
    """The form holds for any texts, and the code is one of Nagios'."""
    _read(render(answer, machine("card-t4")))
    assert exit_code(answer) in {0, 2, 3}
