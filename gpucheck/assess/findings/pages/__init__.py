"""A page for each code: what the finding means, how it is told, why it matters, and how it is mended.

A page is a small Markdown file, `GC301.md`: a heading with code and title, a line of severities, four sections, and
below the last one a heading for each system where they differ. Lines indented by four blanks are commands. No page is
read before it is asked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from msgspec import Struct

from gpucheck.assess.findings.finding import Severity
from gpucheck.errors import UnknownNameError

_FOLDER = os.path.dirname(__file__)
_MOST_NEAR = 5
_LEAST_LIKE = 0.4  # of 1: "GC999" shares its letters with every code, "cuda" nothing
_SHOWN_CHARACTERS = 40  # of what was typed, in an error
_SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


class Step(Struct, frozen=True):
    """One thing to do; `system` is None where it is the same everywhere."""

    system: str | None
    text: str
    commands: tuple[str, ...] = ()


class Explanation(Struct, frozen=True, kw_only=True):
    """The page of one code; `severities` are those that its findings can have, the worst first."""

    code: str
    title: str
    severities: tuple[Severity, ...]
    meaning: str
    told: str
    matters: str
    steps: tuple[Step, ...]


def codes() -> tuple[str, ...]:
    """Every code that has a page, in order."""
    return tuple(sorted(name.removesuffix(".md") for name in os.listdir(_FOLDER) if name.endswith(".md")))


def explain(code: str) -> Explanation:
    """The page of a code, in letters of any case, with or without its GC.

    Raises:
        UnknownNameError: no finding has that code; `candidates` are near ones.
    """
    wanted = _spelled(code)
    known = codes()
    if wanted not in known:
        raise UnknownNameError(
            f"no finding has the code {code[:_SHOWN_CHARACTERS]!r}: gpucheck explain lists all", _near(wanted, known)
        )
    with open(os.path.join(_FOLDER, f"{wanted}.md"), encoding="utf-8") as handle:
        return parse_page(handle.read())


def parse_page(text: str) -> Explanation:
    """What a page says, each paragraph on one line."""
    head, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    title, severities = head.strip().split("\n")
    code, _, words = title.removeprefix("# ").partition(" ")
    said = dict(section.split("\n", 1) for section in sections)
    given = severities.removeprefix("Severity: ").split(", ")
    return Explanation(
        code=code,
        title=words,
        severities=tuple(severity for severity in _SEVERITIES if severity in given),
        meaning=_joined(said["What it means"]),
        told=_joined(said["How it is told"]),
        matters=_joined(said["Why it matters"]),
        steps=tuple(_steps(said["How to mend it"])),
    )


def _steps(section: str) -> Iterator[Step]:
    """Every run of words with the commands below it; a heading of a system holds until the next."""
    for part in re.split(r"^### ", f"\n{section}", flags=re.MULTILINE):
        system, _, body = part.partition("\n")
        blocks = [block.strip("\n") for block in re.split(r"\n\n+", body) if block.strip()]
        words: list[str] = []
        for block in blocks:
            if not block.startswith("    "):
                words.append(_joined(block))
                continue
            yield Step(system or None, " ".join(words), tuple(line.strip() for line in block.split("\n")))
            words = []
        if words:
            yield Step(system or None, " ".join(words))


def _joined(text: str) -> str:
    return " ".join(text.split())


def _spelled(code: str) -> str:
    """As pages are called: "gc301", " GC301" and "301" are GC301."""
    found = code.strip().upper()
    return f"GC{found}" if found.isascii() and found.isdecimal() else found


def _near(wanted: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """Codes that look like the wanted one; of equally like ones the next in number first."""
    from difflib import SequenceMatcher

    digits = re.search(r"[0-9]{1,9}", wanted)
    number = int(digits[0]) if digits else 0
    like = {code: round(SequenceMatcher(None, wanted[:_SHOWN_CHARACTERS], code).ratio(), 3) for code in known}
    near = [code for code in known if like[code] >= _LEAST_LIKE]
    return tuple(sorted(near, key=lambda code: (-like[code], abs(int(code[2:]) - number)))[:_MOST_NEAR])
