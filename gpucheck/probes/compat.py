"""NVIDIA's package cuda-compat: a libcuda of a newer driver, for data-centre GPUs whose kernel module is older.

Where the loader finds it before the driver's own libcuda, CUDA fails on other GPUs (error 804) and, if it is older than
the kernel module, on every one (error 803).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from gpucheck.host.host import Host
from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import CudaCompat

LOADER = "/etc/ld.so.conf.d"
LIBRARY_PATH = "LD_LIBRARY_PATH"

_LIBCUDA = re.compile(r"libcuda\.so\.(\d{3,5}(?:\.\d{1,5}){1,3})")


def find_compat(host: Host, issues: Issues, cuda_folders: Sequence[str]) -> CudaCompat | None:
    """The libcuda of cuda-compat that the loader finds first; else one that only lies in a toolkit's folder."""
    for folder, setting in _searched(host, issues):
        version = _version_in(host, issues, folder)
        if version is not None:
            return CudaCompat(version, folder, setting)
        if host.may("r", f"{folder}/libcuda.so.1").value is not None:
            break  # the driver's own comes first
    for parent in cuda_folders:
        folder = f"{parent}/compat"
        version = _version_in(host, issues, folder)
        if version is not None:
            return CudaCompat(version, folder)
    return None


def parse_loader_file(text: str) -> tuple[str, ...]:
    """The folders in a file of ld.so.conf.d, which has one a line and comments from `#` on."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return tuple(line.rstrip("/") for line in lines if line.startswith("/"))


def _searched(host: Host, issues: Issues) -> Iterator[tuple[str, str]]:
    """Folders in the loader's order, each with the setting that names it; the system's own come after these."""
    for folder in (host.env(LIBRARY_PATH).value or "").split(":"):
        if folder.startswith("/"):
            yield folder.rstrip("/"), LIBRARY_PATH
    for name in issues.value(LOADER, host.listdir(LOADER)) or ():
        path = f"{LOADER}/{name}"
        if name.endswith(".conf"):
            for folder in parse_loader_file(issues.value(path, host.read(path)) or ""):
                yield folder, path


def _version_in(host: Host, issues: Issues, folder: str) -> str | None:
    """The driver version in the name of a compat folder's libcuda; other folders are not listed."""
    if folder.rpartition("/")[2] != "compat":
        return None
    names = issues.value(folder, host.listdir(folder)) or ()
    return next((found[1] for found in map(_LIBCUDA.fullmatch, names) if found), None)
