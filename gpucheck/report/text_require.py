"""The gate's answer for people: one line for each requirement, what to do below it, and how many are met.

Written without rich, whose loading would cost a gate more time than the question itself.
"""

from __future__ import annotations

import textwrap

from gpucheck.assess.requirements.outcome import Met, Outcome, Requirements
from gpucheck.report.require_facts import one_line

_MARKS: dict[Met, str] = {"met": "✓", "not_met": "✗", "unknown": "?"}
_STYLES: dict[Met, str] = {"met": "32", "not_met": "31", "unknown": "33"}
_PLAIN = str.maketrans({"✓": "+", "✗": "x", "–": "-", "→": "->", "×": "x", "·": "-", "…": "...", "±": "!"})
_WIDEST_LABEL, _WIDEST_REQUIRED, _LEAST_TEXT = 28, 24, 24
_COUNTED = "{met} of {all} met"


def show_requirements(
    requirements: Requirements, exit_code: int, *, width: int = 100, color: bool = False, unicode: bool = True
) -> str:
    """The lines, ending with the exit code that the command leaves with."""
    rows = [(outcome, *_columns(outcome)) for outcome in requirements.outcomes]
    first = min(max((len(label) for _, label, _ in rows), default=0), _WIDEST_LABEL)
    second = min(max((len(required) for _, _, required in rows), default=0), _WIDEST_REQUIRED)
    lines: list[str] = []
    told: set[str] = set()
    for outcome, label, required in rows:
        mark = _MARKS[outcome.answer]
        head = f"{label:<{first}}  {required:<{second}}  "
        lines += _wrapped(
            f"{_painted(mark, _STYLES[outcome.answer], color)} ", head, _found(outcome), first + second + 6, width
        )
        remedy = one_line(outcome.remedy or "")
        if outcome.answer != "met" and remedy and remedy not in told:
            told.add(remedy)
            lines += textwrap.wrap(f"→ {remedy}", max(width - 4, 40), initial_indent="    ", subsequent_indent="      ")
    lines.append(_verdict(requirements, exit_code))
    text = "\n".join(lines) + "\n"
    return text if unicode else text.translate(_PLAIN).encode("ascii", "replace").decode()


def _columns(outcome: Outcome) -> tuple[str, str]:
    """The name of a requirement and what is demanded: of a model its name stands in the first."""
    label, required = outcome.key.replace("_", "-"), one_line(outcome.required)
    if outcome.key == "model" and " fits" in required:
        model, _, rest = required.rpartition(" fits")
        return f"{label} {model}", f"fits{rest}"
    return label, required


def _found(outcome: Outcome) -> str:
    if outcome.answer == "unknown":
        found = f" (found {one_line(outcome.found)})" if outcome.found else ""
        return f"could not be determined: {one_line(outcome.reason or 'not known')}{found}"
    word = "" if outcome.key == "model" else "found "
    return f"{word}{one_line(outcome.found or '')}"


def _wrapped(mark: str, head: str, found: str, at: int, width: int) -> list[str]:
    """A line, its last column hanging where that has the room; else below."""
    if width - at < _LEAST_TEXT or len(head) > at - 2:
        rest = textwrap.wrap(found, max(width - 4, 40), initial_indent="    ", subsequent_indent="    ")
        return [f"{mark}{head.rstrip()}", *rest]
    lines = textwrap.wrap(found, width - at) or [""]
    return [f"{mark}{head}{lines[0]}".rstrip(), *(" " * at + line for line in lines[1:])]


def _verdict(requirements: Requirements, exit_code: int) -> str:
    answers = [outcome.answer for outcome in requirements.outcomes]
    unknown = answers.count("unknown")
    silent = f", {unknown} could not be determined" if unknown else ""
    source = f" ({requirements.file}{f', profile {requirements.profile}' if requirements.profile else ''})"
    counted = _COUNTED.format(met=answers.count("met"), all=len(answers))
    return (
        f"{counted}{silent}{one_line(source) and ' ' + one_line(source) if requirements.file else ''}. exit {exit_code}"
    )


def _painted(text: str, style: str, color: bool) -> str:
    return f"\x1b[{style}m{text}\x1b[0m" if color else text
