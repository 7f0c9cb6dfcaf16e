"""How probes return facts: a value with the issues met on the way."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from msgspec import Struct

from gpucheck.host.answer import NOT_FOUND, Answer
from gpucheck.probes.facts import ProbeIssue

T = TypeVar("T")


class Found(Struct, Generic[T], frozen=True):
    """What one probe found, and why anything is missing."""

    facts: T
    issues: tuple[ProbeIssue, ...] = ()


class Issues:
    """Collects the issues of one probe; equal ones are kept once."""

    def __init__(self) -> None:
        self._found: dict[ProbeIssue, None] = {}

    def add(self, code: str, source: str, detail: object) -> None:
        """Note one issue; the detail is cut to a line of at most 300 characters."""
        text = " ".join(str(detail).split())
        self._found[ProbeIssue(code=code, source=source, detail=text[:300])] = None

    def value(self, source: str, answer: Answer[T]) -> T | None:
        """The answer's value; an error is noted under its own code, unless the thing is simply not there."""
        if answer.error is not None and not answer.absent:
            self.add(answer.error, source, answer.detail)
        return answer.value

    def listed(self, source: str, answer: Answer[T]) -> T | None:
        """The answer's value where the thing is known to be there, so that its absence is news too."""
        if answer.absent:
            self.add(answer.error or NOT_FOUND, source, "it is said to be there, but nothing tells what it holds")
        return self.value(source, answer)

    def all(self) -> tuple[ProbeIssue, ...]:
        """Everything noted, in order."""
        return tuple(self._found)


def whole_number(text: Any) -> int | None:
    """The integer in a decimal text such as a sysfs file holds, or None when it is not one."""
    if not isinstance(text, str):
        return None
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None
