"""The gate's answer as a Nagios plugin gives it: one line with performance data, and Nagios' own exit codes.

The form is that of the Monitoring Plugins' guidelines: `SERVICE STATE - text | 'label'=value[unit];warn;crit;min;max`.
"""

from __future__ import annotations

from typing import Literal

from gpucheck.assess.requirements.outcome import Requirements
from gpucheck.machine.types import Machine
from gpucheck.report.require_facts import line_of, of_answer, one_line, usable_for_sure, verdict

MAX_TEXT = 600  # of an older NRPE's 1,024 bytes, the performance data coming on top
State = Literal["OK", "CRITICAL", "UNKNOWN"]
_CODES: dict[State, int] = {"OK": 0, "CRITICAL": 2, "UNKNOWN": 3}


def render(requirements: Requirements, machine: Machine, *, unknown_ok: bool = False, strict: bool = False) -> str:
    """One line: GPUCHECK, the state, what is wrong, then counts and each usable GPU's free memory in bytes."""
    wrong = [*of_answer(requirements, "not_met"), *of_answer(requirements, "unknown")]
    said = [verdict(requirements), *(line_of(outcome) for outcome in wrong)]
    text = one_line("; ".join(said)).replace("|", "/")
    text = text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
    return f"GPUCHECK {_state(requirements, unknown_ok, strict)} - {text} | {_performance(requirements, machine)}\n"


def exit_code(requirements: Requirements, *, unknown_ok: bool = False, strict: bool = False) -> int:
    """The exit code with `--format nagios`, and with no other format: 0 OK, 2 CRITICAL (not met), 3 UNKNOWN.

    gpucheck's own code 1, not met, would be a mere WARNING to Nagios. Its code 2, a usage error, is CRITICAL too.
    `unknown_ok` and `strict` are the options of `gpucheck require`: what is not determined is OK, or CRITICAL.
    """
    return _CODES[_state(requirements, unknown_ok, strict)]


def _state(requirements: Requirements, unknown_ok: bool, strict: bool) -> State:
    if requirements.answer == "met":
        return "OK"
    if requirements.answer == "not_met":
        return "CRITICAL"
    return "CRITICAL" if strict else "OK" if unknown_ok else "UNKNOWN"


def _performance(requirements: Requirements, machine: Machine) -> str:
    """Labels of at most 19 characters without a space, so that none needs quotes."""
    number = len(requirements.outcomes)
    usable, others = usable_for_sure(machine)
    not_met, unknown = len(of_answer(requirements, "not_met")), len(of_answer(requirements, "unknown"))
    parts = [f"not_met={not_met};;0;0;{number}", f"unknown={unknown};;;0;{number}"]
    if not others:
        parts.append(f"gpus={len(usable)};;;0;")
    for gpu in usable:
        if gpu.memory.free_bytes is not None:
            total = "" if gpu.memory.total_bytes is None else gpu.memory.total_bytes
            parts.append(f"gpu{gpu.index}_free={gpu.memory.free_bytes}B;;;0;{total}")
    return " ".join(parts)
