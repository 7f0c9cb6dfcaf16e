"""The facts as POSIX shell: `eval "$(gpucheck require … --format shell)"`; GPUCHECK_ANSWER then has the answer."""

from __future__ import annotations

from gpucheck.assess.requirements.outcome import Requirements
from gpucheck.machine.types import Machine
from gpucheck.report.require_facts import FACTS, facts

PREFIX = "GPUCHECK_"


def render(requirements: Requirements, machine: Machine) -> str:
    """A line for each fact: `export GPUCHECK_…='…'`, or `unset` where it is not known, so that no old value stays."""
    known = facts(requirements, machine)
    return "".join(
        f"export {PREFIX}{name.upper()}={quoted(known[name])}\n" if name in known else f"unset {PREFIX}{name.upper()}\n"
        for name in FACTS
    )


def quoted(value: str) -> str:
    """The value in single quotes, in which a POSIX shell takes everything literally."""
    return "'" + value.replace("'", "'\\''") + "'"
