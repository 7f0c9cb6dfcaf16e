"""For which Pythons and systems PyTorch has wheels, from `data/torch_wheels.tsv`.

A Python is named as in "3.14", or "3.14t" for the free-threaded one. The table is that of the default index; the
wheels of a release's other builds are taken to be for the same Pythons.
"""

from __future__ import annotations

import os
import re
from functools import cache, lru_cache

from msgspec import Struct

from gpucheck.catalog.cards import DATA

_PYTHON = re.compile(r"(\d{1,2}\.\d{1,3})(?:\.\d{1,3})?(t?)")


class Wheels(Struct, frozen=True):
    """One row: releases whose wheels for a system are for the same Pythons."""

    first: tuple[int, ...]
    last: tuple[int, ...]
    os: str
    arch: str
    pythons: tuple[str, ...]

    def covers(self, version: tuple[int, ...]) -> bool:
        """Whether the row is about a release (2.9.1), or about any of a series (2.9)."""
        return self.first[: len(version)] <= version <= self.last[: len(version)]


@cache
def all_wheels() -> tuple[Wheels, ...]:
    """Every row: system by system, the oldest release first."""
    with open(os.path.join(DATA, "torch_wheels.tsv"), encoding="utf-8") as handle:
        rows = [line.rstrip("\n").split("\t") for line in handle if not line.startswith("#")]
    return tuple(
        Wheels(_key(first), _key(last), system, arch, tuple(pythons.split()))
        for first, last, system, arch, pythons in rows
    )


@lru_cache(256)
def pythons_of(version: str, system: str | None, arch: str | None) -> tuple[str, ...] | None:
    """The Pythons that a release, or any of a series, has wheels for on a system, the oldest first.

    Empty where the release has none for that system; None of a release that is in no row.
    """
    key = _key(version)[:3]
    about = [row for row in all_wheels() if row.covers(key)]
    if not about:
        return None
    here = [row.pythons for row in about if (row.os, row.arch) == (system, arch)]
    return tuple(sorted({one for pythons in here for one in pythons}, key=_python_key))


def series_for(python: str | None, system: str | None, arch: str | None) -> tuple[str, ...]:
    """The series ("2.9") with wheels for a Python, or for any, on a system; the newest first."""
    wanted = short_python(python)
    found = {
        (2, minor)
        for row in all_wheels() if (row.os, row.arch) == (system, arch) and (wanted is None or wanted in row.pythons)
        for minor in range(row.first[1], row.last[1] + 1)
    }  # fmt: skip
    return tuple(".".join(map(str, key)) for key in sorted(found, reverse=True))


@lru_cache(64)
def newest_release(system: str | None, arch: str | None) -> str | None:
    """The newest release with wheels for a system: "2.15.0"; None where it has none at all."""
    last = max((row.last for row in all_wheels() if (row.os, row.arch) == (system, arch)), default=None)
    return ".".join(map(str, last)) if last else None


def short_python(python: str | None) -> str | None:
    """A Python as the table names it: "3.14t" of "3.14.2t"; None of what is no version of Python."""
    found = _PYTHON.fullmatch(python or "")
    return found[1] + found[2] if found else None


def _key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _python_key(python: str) -> tuple[int, str]:
    return int(re.split(r"[.t]", python)[1]), python
