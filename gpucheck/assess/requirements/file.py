"""Requirements files: gpucheck.toml, or the table [tool.gpucheck] of a pyproject.toml.

The keys are those of the vocabulary. `[profile.NAME]` holds requirements that are added to those above it and come
before them under the same key; `[[any]]` are alternatives of which one must hold, those of a profile in place of the
file's. Every mistake is reported at once, those of profiles that nobody asked for too.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from gpucheck.assess.requirements.lines import Path, find_lines, unclosed
from gpucheck.assess.requirements.outcome import Place
from gpucheck.assess.requirements.vocabulary import VOCABULARY
from gpucheck.assess.requirements.wanted import ANY, Problem, Wanted, dotted, wanted_of
from gpucheck.errors import RequirementsFileError, UsageError
from gpucheck.models.untrusted import read_small

FILE, PROJECT = "gpucheck.toml", "pyproject.toml"
PROFILE = "profile"
_TABLE = ("tool", "gpucheck")
_MOST_BYTES = 1 << 20
_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_KEY = re.compile(r"""\s*([A-Za-z0-9_."'\[\] -]{1,60}?)\s*(?:=|$)""")
_MOST_PROBLEMS = 100


def file_here() -> str:
    """The file of the current directory: gpucheck.toml, or a pyproject.toml with a table [tool.gpucheck].

    Raises:
        UsageError: there is neither.
    """
    if os.path.exists(FILE):
        return FILE
    if os.path.exists(PROJECT) and "gpucheck" in read_small(PROJECT, _MOST_BYTES).decode("utf-8", "replace"):
        return PROJECT
    raise UsageError(
        f"no requirements: give some (--min-vram 16GiB), or a --file; there is no {FILE} and no [tool.gpucheck] in"
        f" {PROJECT} here, and `gpucheck init` writes one"
    )


def read_requirements(
    name: str, profile: str | None = None, over: Mapping[str, Any] | None = None
) -> tuple[Wanted, ...]:
    """The requirements of a file, with those of a profile, and those of `over` before both.

    Raises:
        RequirementsFileError: it is no TOML, or holds what is not of the vocabulary; every mistake is named.
        UsageError: the file cannot be read, or has no such profile.
    """
    return _File(name).requirements(profile, over or {})


class _File:
    """A file that has been read: its table of requirements, and where that stands."""

    def __init__(self, name: str) -> None:
        self._name = _shown(name)
        try:
            self._text = read_small(name, _MOST_BYTES).decode("utf-8")
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise self._wrong([(line, "(no key)", "expected text in UTF-8")]) from None
        whole = self._parsed()
        self._base: Path = ()
        if os.path.basename(name) == PROJECT or not _is_requirements(whole):
            self._base = _TABLE
        table: Any = whole
        for part in self._base:
            table = table.get(part) if isinstance(table, dict) else None
        if not isinstance(table, dict):
            raise self._wrong([(1, ".".join(_TABLE), "expected the table [tool.gpucheck] with requirements")])
        self._table = table
        self._lines = find_lines(self._text)

    def _parsed(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            line, key = self._failing(str(error))
            raise self._wrong([(line, key, f"expected TOML: {_PLACE.sub('', str(error))}")]) from None
        except RecursionError:
            raise self._wrong([(1, "(no key)", "expected fewer levels of tables")]) from None
        except ValueError:  # an integer of more digits than Python reads
            raise self._wrong([(1, "(no key)", "expected TOML: a number is too long")]) from None

    def _failing(self, told: str) -> tuple[int, str]:
        """The line that tomllib ends at, and its key; of a value that was not closed before it, those of its own."""
        found = _PLACE.search(told)
        rows = self._text.rstrip("\n").split("\n")
        line = int(found[1]) if found and found[1] else len(rows)
        begun = unclosed("\n".join(rows[: line - 1]))
        if begun is not None:
            return begun[1], _shown(begun[0])
        key = _KEY.match(rows[line - 1]) if line <= len(rows) else None
        return line, (key[1].strip() if key else "") or "(no key)"

    def requirements(self, profile: str | None, over: Mapping[str, Any]) -> tuple[Wanted, ...]:
        """See `read_requirements`."""
        problems: list[Problem] = []
        top = {name: value for name, value in self._table.items() if name != PROFILE}
        wanted_of(top, problems, self._place)
        profiles = self._profiles(problems)
        for name, table in profiles.items():
            wanted_of(_without_any(table), problems, self._place, (PROFILE, name))
            self._any_of(name, table, problems)
        if problems:
            raise self._wrong([self._told(problem) for problem in problems])
        if profile is not None and profile not in profiles:
            known = f": it has {', '.join(map(_shown, profiles))}" if profiles else ""
            raise UsageError(f"{self._name} has no profile {profile!r}{known}")
        chosen = profiles[profile] if profile is not None else {}
        return self._merged({**top, **chosen, **over}, chosen, profile, over)

    def _profiles(self, problems: list[Problem]) -> dict[str, Mapping[str, Any]]:
        found = self._table.get(PROFILE, {})
        if not isinstance(found, dict):
            problems.append(Problem((PROFILE,), "expected tables of requirements, such as [profile.train]"))
            return {}
        for name, table in found.items():
            if not isinstance(table, dict):
                message = f"expected a table of requirements, [profile.{name}]"
                if name in VOCABULARY:
                    message += "; a profile has a name"
                problems.append(Problem((PROFILE, name), message))
        return {name: table for name, table in found.items() if isinstance(table, dict)}

    def _any_of(self, profile: str, table: Mapping[str, Any], problems: list[Problem]) -> None:
        """The mistakes in the alternatives of a profile, under the profile's own path."""
        if ANY in table:
            own: list[Problem] = []
            wanted_of({ANY: table[ANY]}, own, lambda _: None)
            problems += [Problem((PROFILE, profile, *one.path), one.message) for one in own]

    def _merged(
        self, values: Mapping[str, Any], chosen: Mapping[str, Any], profile: str | None, over: Mapping[str, Any]
    ) -> tuple[Wanted, ...]:
        def place(path: Path) -> Place | None:
            if path[0] in over:
                return None
            inside = profile is not None and path[0] in chosen
            return self._place((PROFILE, profile, *path) if inside and profile is not None else path)

        problems: list[Problem] = []
        found = wanted_of(values, problems, place)
        if problems:  # of arguments: the file's have been told
            raise UsageError("; ".join(f"{dotted(one.path)}: {one.message}" for one in problems))
        return found

    def _line(self, path: Path) -> int:
        """The line of a path, or of the nearest table around it."""
        whole = (*self._base, *path)
        for length in range(len(whole), 0, -1):
            if whole[:length] in self._lines:
                return self._lines[whole[:length]]
        return 1

    def _place(self, path: Path) -> Place:
        return Place(self._name, self._line(path))

    def _told(self, problem: Problem) -> tuple[int, str, str]:
        return self._line(problem.path), dotted(problem.path), problem.message

    def _wrong(self, problems: list[tuple[int, str, str]]) -> RequirementsFileError:
        """The error with every mistake, in the order of the lines."""
        ordered = sorted(problems, key=lambda one: one[0])[:_MOST_PROBLEMS]
        return RequirementsFileError(
            self._name, tuple(f"{self._name}:{line}: {key}: {message}" for line, key, message in ordered)
        )


def _without_any(table: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in table.items() if name != ANY}


def _is_requirements(whole: Mapping[str, Any]) -> bool:
    """Whether a file is of requirements itself, not a project's that has them in a table of its own."""
    tool = whole.get("tool")
    return not (isinstance(tool, dict) and isinstance(tool.get("gpucheck"), dict))


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:200])
