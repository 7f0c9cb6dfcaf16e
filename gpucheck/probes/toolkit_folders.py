"""Folders that toolkits lie in: links followed, each folder once, and which of them a setting chooses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from msgspec import Struct
from msgspec.structs import replace

from gpucheck.host.answer import IO_ERROR, NOT_FOUND, NOT_RECORDED
from gpucheck.host.host import Host
from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import InstalledToolkit

# What tells of a ROCm outside of /opt, here so that no machine without one loads the probe. A distribution's packages
# have the header and no file in .info.
ROCM_VARIABLES = ("ROCM_PATH", "HIP_PATH")
ROCM_HEADER = "/usr/include/rocm-core/rocm_version.h"

_MOST_LINKS = 8  # one after the other; NVIDIA's and AMD's packages make two, over /etc/alternatives
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


class Candidate(Struct, frozen=True):
    """A folder that a toolkit may lie in, and what chooses it. `certain`: something of one has been seen there.

    Without a folder something chooses a toolkit, and nobody can tell which.
    """

    folder: str | None
    chosen_by: str | None = None
    certain: bool = False


class Version(Struct, frozen=True):
    """A toolkit's version. `unread`: something there would tell it, and could not be read or understood."""

    text: str | None = None
    unread: bool = False


class Toolkit(Struct, frozen=True):
    """The version in force, and every copy found, that one first."""

    version: str | None = None
    installed: tuple[InstalledToolkit, ...] = ()


def choose(
    candidates: Iterable[Candidate], version_in: Callable[[str], Version], issues: Issues, source: str
) -> Toolkit:
    """What lies in these folders; the first that holds a toolkit is the one in force.

    Where that one does not tell its version, none is in force: another's would be a guess. An issue says so.
    """
    versions: dict[str, Version] = {}
    found: dict[str, InstalledToolkit] = {}
    first: Version | None = None
    for candidate in candidates:
        folder = candidate.folder
        if folder is None:
            first = first or Version(unread=True)
            continue
        key = folder.casefold() if is_windows_path(folder) else folder
        if key not in versions:
            versions[key] = version_in(folder)
        version = versions[key]
        if version.text is not None:
            known = found.get(key) or InstalledToolkit(version.text, folder)
            found[key] = _also_chosen(known, candidate.chosen_by)
        if first is None and (version.text is not None or version.unread or candidate.certain):
            first = version
            if version == Version():
                issues.add("unknown", source, f"{candidate.chosen_by} chooses {folder}, where nothing tells it")
    return Toolkit(first.text if first is not None else None, tuple(found.values()))


def followed(host: Host, issues: Issues, folder: str) -> str | None:
    """Where a folder's own name leads, link by link: itself where it is no link, None where one cannot be read."""
    for step in range(_MOST_LINKS):
        answer = host.readlink(folder)
        if step and answer.error == NOT_RECORDED:
            issues.listed(folder, answer)
            return None
        if answer.absent or answer.error == IO_ERROR:  # a folder that is no link says "Invalid argument"
            break
        target = issues.value(folder, answer)
        if not target:
            return None
        folder = _joined_target(folder, target.rstrip("/\\"))
    return folder


def names_in(host: Host, issues: Issues, folder: str) -> list[str] | None:
    """What a folder holds, nothing where it does not exist; None where nobody can tell, or was asked."""
    answer = host.listdir(folder)
    return [] if answer.error == NOT_FOUND else issues.value(folder, answer)


def numbered(names: Iterable[str], form: re.Pattern[str]) -> list[str]:
    """Those of the names that have this form, by the number that is its first group, the newest first."""
    found = [(version_key(match[1]), name) for name in names if (match := form.fullmatch(name))]
    return [name for _, name in sorted(found, reverse=True)]


def version_key(text: str) -> tuple[int, ...]:
    """Numbers that sort versions such as "12.4.1"; a part that is none, or of absurd length, counts as 0."""
    return tuple(int(part) if part.isascii() and part.isdecimal() and len(part) < 10 else 0 for part in text.split("."))


def named_folder(host: Host, variable: str) -> str | None:
    """The absolute folder that a variable names, without the separators at its end."""
    folder = (host.env(variable).value or "").strip().rstrip("/\\")
    return folder if folder.startswith("/") or is_windows_path(folder) else None


def is_windows_path(path: str) -> bool:
    """Whether a path begins with a drive."""
    return _DRIVE.match(path) is not None


def joined(folder: str, *names: str) -> str:
    """A path below a folder, with its system's separator."""
    return ("\\" if is_windows_path(folder) else "/").join((folder, *names))


def parent(path: str) -> str:
    """The folder of a path of any system."""
    return path[: max(path.rfind("/"), path.rfind("\\"), 0)]


def defined(text: str, names: tuple[str, ...]) -> str | None:
    """The version whose parts a C header defines as these names; None where one of them is not there."""
    numbers = [re.search(rf"^[ \t]*#[ \t]*define[ \t]+{name}[ \t]+(\d+)", text, re.MULTILINE) for name in names]
    return ".".join(number[1] for number in numbers if number) if all(numbers) else None


def _also_chosen(toolkit: InstalledToolkit, chooser: str | None) -> InstalledToolkit:
    if chooser is None or chooser in toolkit.chosen_by:
        return toolkit
    return replace(toolkit, chosen_by=(*toolkit.chosen_by, chooser))


def _joined_target(link: str, target: str) -> str:
    """A link's target as a path of its own: it may start at the link's folder, and go up from there."""
    if target.startswith("/") or is_windows_path(target):
        return target
    folder = parent(link)
    for part in target.split("/"):
        folder = parent(folder) if part == ".." else folder if part in {"", "."} else joined(folder, part)
    return folder
