"""CUDA toolkits on disk: NVIDIA's own, the distributions', conda's, and which of them builds would use.

The order is that of PyTorch's extension builder (torch.utils.cpp_extension): CUDA_HOME, CUDA_PATH, nvcc on PATH, then
the usual folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gpucheck.host.answer import MALFORMED
from gpucheck.host.host import Host
from gpucheck.host.plain_json import parse_json
from gpucheck.probes.collect import Issues
from gpucheck.probes.toolkit_folders import (
    Candidate,
    Toolkit,
    Version,
    choose,
    followed,
    is_windows_path,
    joined,
    named_folder,
    names_in,
    numbered,
    parent,
)

SOURCE = "toolkits.cuda"  # of the issue where the toolkit in force does not tell its version
VARIABLES = ("CUDA_HOME", "CUDA_PATH")
PARENT = "/usr/local"
USUAL = "/usr/local/cuda"
DEBIAN = "/usr/lib/cuda"
FOLDERS = (USUAL, "/opt/cuda", DEBIAN)  # NVIDIA's, Arch's, Debian's
WINDOWS_FOLDER = "NVIDIA GPU Computing Toolkit\\CUDA"  # below ProgramFiles

_NUMBERED = re.compile(r"cuda-(\d+(?:\.\d+)*)")
_NUMBERED_WINDOWS = re.compile(r"v(\d+(?:\.\d+)*)", re.IGNORECASE)
# Debian's nvcc is a script in /usr/bin that starts the compiler's own; headers are in /usr/include.
_OF_DEBIAN = frozenset({"/usr", "/usr/lib/nvidia-cuda-toolkit"})
_TARGETS = ("x86_64-linux", "sbsa-linux", "aarch64-linux")  # conda-forge has headers below these alone
_COMPILERS = frozenset({"nvcc", "nvcc.exe"})


def find_cuda(host: Host, issues: Issues, local: list[str] | None, opt: list[str] | None) -> Toolkit:
    """Every toolkit; `local` and `opt` are the names in /usr/local and /opt, None where not known."""
    return choose(
        _candidates(host, issues, local, opt), lambda folder: _version_in(host, issues, folder), issues, SOURCE
    )


def find_cuda_windows(host: Host, issues: Issues, programs: str) -> Toolkit:
    """The same of Windows; `programs` is its folder of programs."""
    return choose(_windows(host, issues, programs), lambda folder: _version_in(host, issues, folder), issues, SOURCE)


def usual_folders(local: list[str] | None, opt: list[str] | None) -> list[str]:
    """The usual folders, without those that are known not to be there."""
    gone = {USUAL} if local is not None and "cuda" not in local else set()
    gone |= {"/opt/cuda"} if opt is not None and "cuda" not in opt else set()
    return [folder for folder in FOLDERS if folder not in gone]


def parse_cuda_json(text: str) -> str | None:
    """The toolkit's version in `version.json`; other parts there have versions of their own."""
    try:
        version = parse_json(text)["cuda"]["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return version if isinstance(version, str) else None


def parse_cuda_text(text: str) -> str | None:
    """The version in "CUDA Version 10.1.243", as toolkits before 11.1 have it."""
    found = re.search(r"CUDA Version (\d+(?:\.\d+)+)", text)
    return found[1] if found else None


def parse_cuda_header(text: str) -> str | None:
    """The version in cuda.h, "12.4": its CUDA_VERSION is 1000 times the first part and 10 times the second."""
    found = re.search(r"#[ \t]*define[ \t]+CUDA_VERSION[ \t]+(\d{4,6})\b", text)
    return f"{int(found[1]) // 1000}.{int(found[1]) % 1000 // 10}" if found else None


def parse_wrapper(text: str) -> str | None:
    """The compiler that a script called nvcc starts: "/usr/local/cuda-13.0/bin/nvcc"."""
    found = re.search(r"(?<![\w./-])(/[\w.+-]+(?:/[\w.+-]+)*/bin/nvcc)(?![\w./-])", text)
    return found[1] if found else None


_FILES = (("version.json", parse_cuda_json), ("version.txt", parse_cuda_text))


def _candidates(host: Host, issues: Issues, local: list[str] | None, opt: list[str] | None) -> Iterator[Candidate]:
    """Folders in the order in which they are chosen."""
    yield from _chosen(host, issues)
    for folder in usual_folders(local, opt):
        target = followed(host, issues, folder) if folder == USUAL else folder
        yield Candidate(target, None if target == folder else folder)
    conda = named_folder(host, "CONDA_PREFIX")
    if conda is not None:
        yield Candidate(conda)
    for name in numbered(local or (), _NUMBERED):
        yield Candidate(followed(host, issues, f"{PARENT}/{name}"))


def _windows(host: Host, issues: Issues, programs: str) -> Iterator[Candidate]:
    yield from _chosen(host, issues)
    root = joined(programs, WINDOWS_FOLDER)
    for name in numbered(names_in(host, issues, root) or (), _NUMBERED_WINDOWS):
        yield Candidate(joined(root, name))
    conda = named_folder(host, "CONDA_PREFIX")
    if conda is not None:
        yield Candidate(joined(conda, "Library"))


def _chosen(host: Host, issues: Issues) -> Iterator[Candidate]:
    """What the variables and PATH choose."""
    for variable in VARIABLES:
        folder = named_folder(host, variable)
        if folder is not None:
            yield Candidate(_own(followed(host, issues, folder)), variable)
    answer = host.system("nvcc")
    found = issues.value("nvcc", answer)
    if answer.absent:
        return
    compiler = _compiler(found) if isinstance(found, dict) else None
    if compiler is not None:
        yield Candidate(_own(followed(host, issues, parent(parent(compiler)))), "PATH", certain=True)
        return
    if found is not None:
        issues.add("unknown", SOURCE, "the nvcc that PATH gives is another program's, which may start any compiler")
    yield Candidate(None)


def _compiler(found: dict[str, object]) -> str | None:
    """The compiler behind the nvcc that PATH gives; None behind a stand-in for many programs, such as ccache."""
    script, real = found.get("script"), found.get("real")
    if isinstance(script, str):
        return parse_wrapper(script) or (real if isinstance(real, str) else None)
    name = re.split(r"[\\/]", real)[-1].lower() if isinstance(real, str) else ""
    return str(real) if name in _COMPILERS else None


def _own(folder: str | None) -> str | None:
    """Debian's toolkit by its one name; any other folder as it is."""
    return DEBIAN if folder in _OF_DEBIAN else folder


def _version_in(host: Host, issues: Issues, folder: str) -> Version:
    """By the file that NVIDIA's installers leave, else by the header, which leaves out the third part."""
    unread = False
    for name, parse in _FILES:
        path = joined(folder, name)
        answer = host.read(path)
        text = issues.value(path, answer)
        if text is not None:
            version = parse(text)
            if version is not None:
                return Version(version)
            issues.add(MALFORMED, path, "no CUDA version in it")
        unread = unread or not answer.absent
    if named := _named_version(host, folder):
        return Version(named)
    for path in _headers(folder):
        answer = host.read(path)
        version = parse_cuda_header(issues.value(path, answer) or "")
        if version is not None:
            return Version(version)
        unread = unread or not answer.absent
    return Version(unread=unread)


def _named_version(host: Host, folder: str) -> str | None:
    """The version in the name of a folder that has the headers: cuda.h itself is a megabyte, and tells no more."""
    found = re.fullmatch(r"cuda-(\d+\.\d+)", folder.rpartition("/")[2])
    if found is None:
        return None
    return found[1] if "cuda.h" in (host.listdir(f"{folder}/include").value or ()) else None


def _headers(folder: str) -> Iterator[str]:
    yield joined(folder, "include", "cuda.h")
    if folder == DEBIAN:
        yield "/usr/include/cuda.h"
    elif not is_windows_path(folder):
        yield from (f"{folder}/targets/{target}/include/cuda.h" for target in _TARGETS)
