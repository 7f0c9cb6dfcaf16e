"""What came of trying the installed frameworks: the events of a deep check's child as facts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gpucheck.host.answer import MALFORMED, NOT_FOUND, TIMEOUT, TOO_LARGE
from gpucheck.host.deep import LIMITS_S, question_of
from gpucheck.host.host import Host
from gpucheck.probes.collect import Found, Issues
from gpucheck.probes.environment import probe_environment
from gpucheck.probes.facts import DeepCheck, DeepDevice, DeepStep

Outcome = Literal["ok", "failed", "skipped", "unfinished"]
Answer = Literal["ok", "failed", "crashed", "timed_out", "too_much_output", "unanswered"]

_MOST_STEPS, _MOST_DEVICES, _MOST_FACTS = 1000, 64, 40
_MESSAGE, _FACT = 500, 1000  # characters
# A product in half precision that a framework has no code for on this kind of device is no failure of the device.
_HALF = frozenset({"matmul fp16", "matmul bf16"})
_NO_SUCH_PRODUCT = re.compile(r"not implemented for|not supported on MPS", re.IGNORECASE)
_SIGNALS = {
    4: "illegal instruction", 6: "abort", 7: "bus error", 8: "arithmetic error", 9: "killed", 11: "segmentation fault",
}  # fmt: skip
# NTSTATUS values, which Windows gives as exit codes: STATUS_ILLEGAL_INSTRUCTION, STATUS_ACCESS_VIOLATION, …
_WINDOWS = {
    0xC000001D: "illegal instruction", 0xC0000005: "segmentation fault", 0xC0000409: "abort",
    0xC0000374: "heap corruption", 0xC00000FD: "stack overflow", 0xC0000135: "a DLL that is not there",
}  # fmt: skip


class _Event(Struct, frozen=True):
    """One line of the child's; see `gpucheck.host.deep_child`."""

    begin: str | None = None
    end: str | None = None
    skip: str | None = None
    device: str | None = None
    seconds: float | None = None
    error: str | None = None
    message: str | None = None
    facts: dict[str, Any] | None = None
    fault: str | None = None
    done: bool = False


class _Child(Struct, frozen=True):
    """The host's answer."""

    events: list[_Event]
    returncode: int | None = None
    stopped: str | None = None
    stderr: str = ""
    seconds: float | None = None


def probe_deep(
    host: Host, interpreter: str | None, names: Iterable[str], limit_s: float | None, *, asked: bool = True
) -> Found[dict[str, DeepCheck]]:
    """What came of each of these frameworks that can be tried, one after the other, as each may fill a GPU's memory.

    `limit_s` is what each may take; None leaves each its own limit. That a recording was made without a deep check is
    an issue only where it is `asked` for.
    """
    issues = Issues()
    environment = probe_environment(host, interpreter).facts
    python = environment.interpreter if environment is not None else None
    checks: dict[str, DeepCheck] = {}
    for name in names:
        if python is None or name not in LIMITS_S:
            continue
        answer = host.python(python, question_of(name), limit_s or LIMITS_S[name])
        if answer.absent and (asked or answer.error == NOT_FOUND):
            why = "no such Python: " if answer.error == NOT_FOUND else ""
            issues.add(answer.error or NOT_FOUND, python, f"{why}{name} was not tried")
        said = issues.value(f"{python} {question_of(name)}", answer)
        check = parse_check(said) if said is not None else None
        if check is not None:
            checks[name] = check
        elif said is not None:
            issues.add(MALFORMED, f"{python} {question_of(name)}", "events expected")
    return Found(checks, issues.all())


def time_for(names: Iterable[str], limit_s: float | None) -> float:
    """Seconds after which even the last of these frameworks must have answered."""
    return sum(limit_s or LIMITS_S[name] for name in names if name in LIMITS_S) + 10.0


def parse_check(said: Mapping[str, Any]) -> DeepCheck | None:
    """The facts in a child's events; None where they are not of their form."""
    try:
        child = msgspec.convert(said, _Child)
    except (msgspec.ValidationError, OverflowError):
        return None
    steps, devices, facts = _steps(child.events), _devices(child.events), _facts(child.events)
    every = [step for _, step in steps]
    answer, crash = _answer(child, every)
    words = child.stderr.strip().splitlines()[-1:] if answer != "ok" else []
    fault = next((event.fault for event in child.events if event.fault), None)
    return DeepCheck(
        answer=answer,
        seconds=_seconds(child.seconds),
        steps=tuple(step for device, step in steps if device is None),
        devices=tuple(
            replace(device, steps=tuple(step for of, step in steps if of == device.id)) for device in devices.values()
        ),
        facts=facts,
        crash=crash,
        detail=_line(fault or "".join(words)),
    )


def _answer(child: _Child, steps: list[DeepStep]) -> tuple[Answer, str | None]:
    """How the check ended as a whole, and how the child died where it did."""
    if not any(event.done for event in child.events):
        if child.stopped == TIMEOUT:
            return "timed_out", None
        if child.stopped == TOO_LARGE:
            return "too_much_output", None
        return "crashed", _crash(child.returncode)
    if any(event.fault for event in child.events):
        return "unanswered", None
    return ("failed" if any(step.outcome == "failed" for step in steps) else "ok"), None


def _crash(code: int | None) -> str:
    """How a child ended that had more to say."""
    if code is None:
        return "an end that nobody saw"
    if code < 0:
        return _SIGNALS.get(-code, f"signal {-code}")
    return _WINDOWS.get(code, f"exit code {code}")


def _steps(events: Iterable[_Event]) -> list[tuple[str | None, DeepStep]]:
    """Each step with its device, in order; one that began and did not end is unfinished."""
    found: dict[tuple[str | None, str], DeepStep] = {}
    for event in events:
        name = event.begin or event.end or event.skip
        if name is None or len(found) > _MOST_STEPS:
            continue
        name = name[:40]
        outcome: Outcome = "skipped" if event.skip else "unfinished"
        if event.end is not None:
            outcome = "failed" if event.error is not None else "ok"
            if name in _HALF and _NO_SUCH_PRODUCT.search(event.message or ""):
                outcome = "skipped"
        error, message = (event.error or "")[:80] or None, _line(event.message or "")
        step = DeepStep(name, outcome, _seconds(event.seconds), error, message)
        found[_id(event.device), name] = step
    return [(device, step) for (device, _), step in found.items()]


def _devices(events: Iterable[_Event]) -> dict[str, DeepDevice]:
    """Devices by their names, those too that did not even open."""
    found: dict[str, DeepDevice] = {}
    for event in events:
        name = _id(event.device)
        if name is None or (name not in found and len(found) == _MOST_DEVICES):
            continue
        if event.facts is None:
            found.setdefault(name, DeepDevice(name))
            continue
        words = [event.facts.get(key) for key in ("name", "capability")]
        model, capability = (_line(word) if isinstance(word, str) else None for word in words)
        size = event.facts.get("memory_total_bytes")
        known = size if type(size) is int and 0 < size < 1 << 60 else None
        found[name] = DeepDevice(name, model, capability, known)
    return found


def _facts(events: Iterable[_Event]) -> dict[str, str]:
    """What the framework said of itself, as texts; the parts of a list with blanks between them."""
    found: dict[str, str] = {}
    for event in events:
        if event.device is not None:
            continue
        for key, fact in (event.facts or {}).items():
            parts = fact if isinstance(fact, list) else [fact]
            text = " ".join(str(part).lower() if isinstance(part, bool) else str(part) for part in parts)
            if len(found) < _MOST_FACTS:
                found[key[:40]] = " ".join(text.split())[:_FACT]
    return found


def _id(device: str | None) -> str | None:
    return device[:40] if device else None


def _line(text: str) -> str | None:
    """The first line that says anything; torch puts general advice below it."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    return " ".join(line.split())[:_MESSAGE] or None


def _seconds(number: float | None) -> float | None:
    return round(number, 3) if number is not None and math.isfinite(number) and number >= 0 else None
