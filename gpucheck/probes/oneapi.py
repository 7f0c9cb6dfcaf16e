"""Intel's oneAPI by its compiler, whose folders are called by their versions."""

from __future__ import annotations

import re

from gpucheck.host.answer import IO_ERROR
from gpucheck.host.host import Host
from gpucheck.probes.collect import Issues
from gpucheck.probes.toolkit_folders import joined, named_folder, names_in, numbered

VARIABLE = "ONEAPI_ROOT"
USUAL = "/opt/intel/oneapi"
WINDOWS = "C:\\Program Files (x86)\\Intel\\oneAPI"

_VERSION = re.compile(r"(20\d\d\.\d+(?:\.\d+)*)")  # 2024.2, 2021.4.0


def find_oneapi(host: Host, issues: Issues, usual: str) -> str | None:
    """The version that the link `compiler/latest` leads to, else the newest; None without a compiler.

    Since 2024 a root may also be one release with all its parts in one tree, called by its version.
    """
    root = named_folder(host, VARIABLE) or usual
    release = _VERSION.fullmatch(re.split(r"[\\/]", root)[-1])
    if release is not None:
        return release[1]
    folder = joined(root, "compiler")
    names = names_in(host, issues, folder)
    if not names:
        return None
    latest = joined(folder, "latest")
    answer = host.readlink(latest)
    if answer.value is not None:
        version = _VERSION.fullmatch(re.split(r"[\\/]", answer.value.rstrip("/\\"))[-1])
        return version[1] if version is not None else None
    if answer.error != IO_ERROR and issues.value(latest, answer) is None and not answer.absent:
        return None  # it may lead to any of them
    return next(iter(numbered(names, _VERSION)), None)
