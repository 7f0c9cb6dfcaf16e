"""Frameworks as requirements: "torch>=2.4@cu128", or { name = "torch", version = ">=2.4", build = "cuda" }."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gpucheck.assess.requirements.clauses import Clause, in_words, parse_clauses
from gpucheck.assess.requirements.values import Kind, Parsed, joined, unclear
from gpucheck.errors import UsageError

_EXPECTED = 'a framework, such as "torch>=2.4@cuda" or { name = "torch", version = ">=2.4", usable = true }'
_TEXT = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9._-]*?)\s*(?P<version>[<>=!~][^@]*)?(?:@(?P<build>[^@]*))?", re.ASCII)
_BUILD = re.compile(r"cu\d{2,3}|rocm\d{1,2}(?:\.\d{1,2}){0,2}|cuda|rocm|xpu|cpu", re.ASCII)
_KEYS = frozenset({"name", "version", "build", "usable"})
_MOST = 64


class Package(Struct, frozen=True):
    """A framework by the name of its distribution, in lower case with dashes. `usable`: on a GPU of this machine."""

    name: str
    clauses: tuple[Clause, ...] = ()
    build: str | None = None
    usable: bool = False

    @property
    def text(self) -> str:
        """Such as "torch >=2.4, build cuda, usable on a GPU here"."""
        version = f" {in_words(self.clauses)}" if self.clauses else ""
        build = f", build {self.build}" if self.build else ""
        return f"{self.name}{version}{build}{', usable on a GPU here' if self.usable else ''}"


def normal(name: str) -> str:
    """A distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _package(raw: object) -> Package:
    if isinstance(raw, Mapping):
        return _from_table(raw)
    found = _TEXT.fullmatch(raw.strip()) if isinstance(raw, str) else None
    if found is None:
        raise unclear(_EXPECTED, raw)
    marks = [mark.strip().lower() for mark in (found["build"] or "").split("+")] if found["build"] is not None else []
    builds = [mark for mark in marks if mark != "usable"]
    if len(builds) > 1 or not all(_BUILD.fullmatch(mark) for mark in builds):
        raise unclear("a build: cu128, rocm6.4, cuda, rocm, xpu, cpu or usable, joined by +", raw)
    return Package(
        normal(found["name"]), _range(found["version"]), builds[0] if builds else None, usable="usable" in marks
    )


def _from_table(raw: Mapping[Any, Any]) -> Package:
    name, build, usable = raw.get("name"), raw.get("build"), raw.get("usable", False)
    wrong = [str(key) for key in raw if key not in _KEYS]
    if wrong or not isinstance(name, str) or not isinstance(usable, bool):
        raise UsageError(f"expected {_EXPECTED}" + (f", not the key {wrong[0]!r}" if wrong else ""))
    if build is not None and not (isinstance(build, str) and _BUILD.fullmatch(build.lower())):
        raise unclear("a build: cu128, rocm6.4, cuda, rocm, xpu or cpu", build)
    version = raw.get("version")
    if version is not None and not isinstance(version, str):
        raise unclear('a range of versions, such as ">=2.4"', version)
    return Package(normal(name), _range(version), build.lower() if build else None, usable=usable)


def _range(text: str | None) -> tuple[Clause, ...]:
    try:
        return parse_clauses(text) if text else ()
    except UsageError:
        raise unclear('a range of versions, such as ">=2.4"', text) from None


def _packages(raw: object) -> Parsed:
    items = list(raw) if isinstance(raw, (list, tuple)) else [raw]
    if not 0 < len(items) <= _MOST:
        raise unclear(_EXPECTED, raw)
    found = tuple(_package(item) for item in items)
    return found, joined([package.text for package in found], all_of=True)


_ONE = {"anyOf": [{"type": "string"}, {
    "type": "object", "required": ["name"], "additionalProperties": False, "properties": {
        "name": {"type": "string"}, "version": {"type": "string"}, "build": {"type": "string"},
        "usable": {"type": "boolean"},
    },
}]}  # fmt: skip
FRAMEWORKS = Kind("frameworks", _EXPECTED, _packages,
                  {"anyOf": [*_ONE["anyOf"], {"type": "array", "items": _ONE, "minItems": 1}]})  # fmt: skip
