"""The gate's answer as JUnit XML, which GitLab, Jenkins, Azure Pipelines and Buildkite read as test results.

The form is what its common descriptions agree on (Jenkins' junit-4.xsd and junit-10.xsd, but for the element `error`,
which the second misspells). These have no place for files and lines, so they are in the text; there are no durations,
as nobody measured any.
"""

from __future__ import annotations

from html import escape

from gpucheck.assess.requirements.outcome import Outcome, Requirements, in_words
from gpucheck.assess.requirements.vocabulary import VOCABULARY
from gpucheck.machine.types import Machine
from gpucheck.report.require_facts import facts, of_answer, one_line

SUITE = "gpucheck"
_ELEMENTS = {"not_met": "failure", "unknown": "error"}
_GROUPS = {"number": "gpu", "total": "gpu", "setting": "model"}  # others are called as their subject is


def render(requirements: Requirements, machine: Machine) -> str:
    """One test suite with a test case for each outcome: not met is a failure, not determined an error.

    The machine's facts are its properties. Characters that do not print, which XML cannot hold, are "?".
    """
    suite = {
        "name": SUITE,
        "tests": str(len(requirements.outcomes)),
        "failures": str(len(of_answer(requirements, "not_met"))),
        "errors": str(len(of_answer(requirements, "unknown"))),
        "skipped": "0",
    }
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<testsuite{_attributes(suite)}>", "  <properties>"]
    lines += [
        f"    <property{_attributes({'name': name, 'value': value})}/>"
        for name, value in facts(requirements, machine).items()
    ]
    lines.append("  </properties>")
    lines += [_case(outcome) for outcome in requirements.outcomes]
    return "\n".join([*lines, "</testsuite>", ""])


def group_of(key: str) -> str:
    """What a requirement is about: gpu, software, host, findings or model; "other" where the key is none."""
    known = VOCABULARY.get(key)
    return _GROUPS.get(known.subject, known.subject) if known else "other"


def _case(outcome: Outcome) -> str:
    """A test case, named by its key and what is required: two requirements may have one key."""
    name = {"name": f"{outcome.key} {outcome.required}", "classname": f"{SUITE}.{group_of(outcome.key)}"}
    opening = f"  <testcase{_attributes(name)}"
    element = _ELEMENTS.get(outcome.answer)
    if element is None:
        return f"{opening}/>"
    said = {"type": outcome.answer, "message": in_words(outcome)}
    return f"{opening}>\n    <{element}{_attributes(said)}>{_text(outcome)}</{element}>\n  </testcase>"


def _text(outcome: Outcome) -> str:
    """All that is known of an outcome, a line for each part."""
    place = outcome.place
    parts = (
        ("required", outcome.required),
        ("found", outcome.found),
        ("reason", outcome.reason),
        ("source", outcome.source),
        ("remedy", outcome.remedy),
        ("written in", f"{place.file}, line {place.line}" if place else None),
    )
    return "\n".join(f"{name}: {_escaped(value)}" for name, value in parts if value is not None)


def _attributes(values: dict[str, str]) -> str:
    return "".join(f' {name}="{_escaped(value)}"' for name, value in values.items())


def _escaped(text: str) -> str:
    return escape(one_line(text))
