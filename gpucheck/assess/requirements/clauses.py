"""Version clauses such as ">=550,<580": a small part of PEP 440, for drivers, toolkits and frameworks alike."""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct

from gpucheck.errors import UsageError

Operator = Literal[">=", "<=", "==", "!=", "~=", ">", "<"]

_CLAUSE = re.compile(
    r"(?P<operator>>=|<=|==|!=|~=|>|<)?\s*v?(?P<version>\d{1,9}(?:\.\d{1,9}){0,4})(?P<any>\.\*)?", re.ASCII
)
_VERSION = re.compile(r"v?(?P<release>\d{1,9}(?:\.\d{1,9}){0,7})(?P<rest>.*)", re.ASCII | re.DOTALL)
_PRE = re.compile(r"[._-]?(?:a|b|c|rc|alpha|beta|pre|preview|dev|nightly)[._-]?\d*(?:$|[+._-])", re.IGNORECASE)
_MOST_CLAUSES = 8


class Version(Struct, frozen=True):
    """A version to compare by. A pre-release ("2.10.0a0", "2.9.0.dev1") comes before its release."""

    release: tuple[int, ...]
    pre: bool = False

    def compared(self, other: tuple[int, ...]) -> int:
        """-1, 0 or 1 against a release; missing parts count as 0."""
        length = max(len(self.release), len(other))
        own = self.release + (0,) * (length - len(self.release))
        wanted = other + (0,) * (length - len(other))
        if own == wanted:
            return -1 if self.pre else 0
        return 1 if own > wanted else -1


class Clause(Struct, frozen=True):
    """One condition. "==8" holds for 8.0 and 8.9, and "==8.0" for 8.0 alone: what is written must agree."""

    operator: Operator
    version: tuple[int, ...]

    def holds(self, version: Version) -> bool:
        """Whether the version meets it."""
        order = version.compared(self.version)
        match self.operator:
            case ">=":
                return order >= 0
            case ">":
                return order > 0
            case "<=":
                return order <= 0
            case "<":
                return order < 0
            case "==":
                return self._begins(version)
            case "!=":
                return not self._begins(version)
            case "~=":
                kept = self.version[:-1]
                return order >= 0 and version.release[: len(kept)] == kept

    def _begins(self, version: Version) -> bool:
        padded = version.release + (0,) * (len(self.version) - len(version.release))
        return padded[: len(self.version)] == self.version


def version_of(text: str | None) -> Version | None:
    """The version in a text such as "550.54.15", "2.9.1+cu128" or "2.10.0a0+git"; None of what is none."""
    found = _VERSION.fullmatch((text or "").strip())
    if not found:
        return None
    rest = found["rest"].partition("+")[0]
    return Version(tuple(map(int, found["release"].split("."))), bool(_PRE.match(rest)))


def parse_clauses(text: str) -> tuple[Clause, ...]:
    """The clauses of ">=8.0,<12"; a bare version is "==".

    Raises:
        UsageError: one of them is none.
    """
    parts = text.split(",")
    found = [_CLAUSE.fullmatch(part.strip()) for part in parts]
    if len(parts) > _MOST_CLAUSES or not all(found):
        raise UsageError(f"{text[:60]!r} is no range of versions: write such as >=8.0,<12")
    return tuple(_clause(one) for one in found if one)


def _clause(found: re.Match[str]) -> Clause:
    version = tuple(map(int, found["version"].split(".")))
    operator = found["operator"] or "=="
    if operator == "~=" and len(version) < 2:
        raise UsageError("~= needs a version of two parts, such as ~=2.4")
    if found["any"] and operator not in {"==", "!="}:
        raise UsageError(f".* goes with == and != alone, not with {operator}")
    return Clause(operator, version)  # type: ignore[arg-type]  # the pattern has no other


def all_hold(clauses: tuple[Clause, ...], version: Version) -> bool:
    """Whether every clause holds."""
    return all(clause.holds(version) for clause in clauses)


def in_words(clauses: tuple[Clause, ...]) -> str:
    """Such as ">=8.0, <12"; a lone "==" is the version itself."""
    if len(clauses) == 1 and clauses[0].operator == "==":
        return _dotted(clauses[0].version)
    return ", ".join(f"{clause.operator}{_dotted(clause.version)}" for clause in clauses)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
