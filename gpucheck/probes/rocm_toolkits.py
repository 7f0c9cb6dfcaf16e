"""ROCm on disk: AMD's packages of both release lines, a distribution's own, and the HIP SDK of Windows.

Up to 7.2 a release lies in /opt/rocm-7.2.0, with /opt/rocm leading to one. The ROCm Core SDK after it (TheRock) lies
in /opt/rocm/core-7.14, with /opt/rocm/core leading to one: its packages' scripts, and AMD's transition guide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gpucheck.host.answer import MALFORMED
from gpucheck.host.host import Host
from gpucheck.probes.collect import Issues
from gpucheck.probes.toolkit_folders import (
    ROCM_HEADER,
    ROCM_VARIABLES,
    Candidate,
    Toolkit,
    Version,
    choose,
    defined,
    followed,
    is_windows_path,
    joined,
    named_folder,
    names_in,
    numbered,
)

SOURCE = "toolkits.rocm"  # of the issue where the one in force does not tell its version
PARENT = "/opt"
USUAL = "/opt/rocm"
WINDOWS_FOLDER = "AMD\\ROCm"  # below ProgramFiles

_NUMBERED = re.compile(r"rocm-(\d+(?:\.\d+)*)")
_CORE = re.compile(r"core-(\d+(?:\.\d+)*)")
_BARE = re.compile(r"(\d+\.\d+(?:\.\d+)*)")


def find_rocm(host: Host, issues: Issues, opt: list[str] | None) -> Toolkit:
    """Every ROCm of Linux; `opt` is the names in /opt, None where not known."""
    return choose(_candidates(host, issues, opt), lambda folder: _version_in(host, issues, folder), issues, SOURCE)


def find_rocm_windows(host: Host, issues: Issues, programs: str) -> Toolkit:
    """The HIP SDKs of Windows, each in a folder of its version; `programs` is the folder of programs."""
    return choose(_windows(host, issues, programs), lambda folder: _version_in(host, issues, folder), issues, SOURCE)


def parse_rocm(text: str) -> str | None:
    """The version in "6.2.0-66", whose second part numbers a build."""
    found = re.match(r"\s*(\d+(?:\.\d+)+)", text)
    return found[1] if found else None


def parse_rocm_header(text: str) -> str | None:
    """The version that rocm_version.h defines."""
    return defined(text, ("ROCM_VERSION_MAJOR", "ROCM_VERSION_MINOR", "ROCM_VERSION_PATCH"))


def _candidates(host: Host, issues: Issues, opt: list[str] | None) -> Iterator[Candidate]:
    """Folders in the order in which they are chosen."""
    for variable in ROCM_VARIABLES:
        folder = named_folder(host, variable)
        if folder is not None:
            target = followed(host, issues, folder.removesuffix("/hip"))  # where HIP lay before ROCm 6
            yield Candidate(target, variable)
            yield Candidate(followed(host, issues, f"{target}/core") if target is not None else None, variable)
    cores: list[str] = []
    if opt is None or "rocm" in opt:
        answer = host.listdir(USUAL)
        cores = issues.value(USUAL, answer) or []
        for folder in (USUAL, *(f"{USUAL}/core" for name in cores if name == "core")):
            target = followed(host, issues, folder)
            yield Candidate(target, None if target == folder else folder)
        if answer.value is None and not answer.absent:
            yield Candidate(None)  # there may be a core
    yield Candidate("/usr")
    for parent, names, form in ((USUAL, cores, _CORE), (PARENT, opt or [], _NUMBERED)):
        for name in numbered(names, form):
            yield Candidate(followed(host, issues, f"{parent}/{name}"))


def _windows(host: Host, issues: Issues, programs: str) -> Iterator[Candidate]:
    for variable in ROCM_VARIABLES:
        folder = named_folder(host, variable)
        if folder is not None:
            yield Candidate(folder, variable)
    root = joined(programs, WINDOWS_FOLDER)
    for name in numbered(names_in(host, issues, root) or (), _BARE):
        yield Candidate(joined(root, name))


def _version_in(host: Host, issues: Issues, folder: str) -> Version:
    if folder == "/usr":
        answer = host.read(ROCM_HEADER)
        return Version(parse_rocm_header(issues.value(ROCM_HEADER, answer) or ""), unread=not answer.absent)
    unread = False
    for name in ("version", "version-dev"):
        path = joined(folder, ".info", name)
        answer = host.read(path)
        text = issues.value(path, answer)
        version = parse_rocm(text or "")
        if version is not None:
            return Version(version)
        if text is not None:
            issues.add(MALFORMED, path, "no ROCm version in it")
        unread = unread or not answer.absent
    last = _BARE.fullmatch(folder.rpartition("\\")[2]) if is_windows_path(folder) else None
    return Version(last[1] if last and not unread else None, unread)
