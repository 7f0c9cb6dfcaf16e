"""The gate's answer as GitHub-flavoured Markdown: a table for a step summary, a comment or an issue."""

from __future__ import annotations

import re
from html import escape

from gpucheck.assess.requirements.outcome import Met, Outcome, Requirements
from gpucheck.machine.types import Machine
from gpucheck.report.require_facts import facts, of_answer, one_line, verdict

MAX_BYTES = 900_000  # GitHub drops a step's summary that is larger than 1 MiB, together with what stood there before
_MARKS: dict[Met, str] = {"not_met": "❌ not met", "unknown": "❓ unknown", "met": "✅ met"}
_SPECIAL = re.compile(r"([\\`*_\[\]{}|~#!$])")
_HEAD = ("| | requirement | needs | found | what to do |", "|---|---|---|---|---|")


def render(requirements: Requirements, machine: Machine) -> str:
    """A heading with the verdict, a table of the outcomes with the worst first, and the machine's facts.

    Rows that would make it longer than `MAX_BYTES` are counted instead.
    """
    profile = f" ({cell(requirements.profile)})" if requirements.profile else ""
    top = [f"### gpucheck{profile}: {verdict(requirements)}", ""]
    known = facts(requirements, machine)
    bottom = ["", "| machine | |", "|---|---|", *(f"| {cell(name)} | {cell(value)} |" for name, value in known.items())]
    if not requirements.outcomes:
        return "\n".join([*top, *bottom[1:], ""])
    rows = _within([_row(outcome) for answer in _MARKS for outcome in of_answer(requirements, answer)])
    return "\n".join([*top, *_HEAD, *rows, *bottom, ""])


def cell(text: str) -> str:
    """Text that a table's cell shows as it is: no markup, no HTML, no line or column ends in it."""
    return _SPECIAL.sub(r"\\\1", escape(one_line(text), quote=False))


def _row(outcome: Outcome) -> str:
    found = outcome.found or f"unknown: {outcome.reason or 'no reason is known'}"
    remedy = (outcome.remedy or "") if outcome.answer != "met" else ""
    cells = (cell(outcome.key), cell(outcome.required), cell(found), cell(remedy))
    return f"| {_MARKS[outcome.answer]} | {' | '.join(cells)} |"


def _within(rows: list[str]) -> list[str]:
    """The first rows that fit, and a row that counts the others."""
    size = 0
    for number, row in enumerate(rows):
        size += len(row.encode()) + 1
        if size > MAX_BYTES:
            return [*rows[:number], f"| … | {len(rows) - number} more | | | |"]
    return rows
