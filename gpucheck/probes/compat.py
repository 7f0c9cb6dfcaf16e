"""NVIDIA's package cuda-compat: a libcuda of a newer driver, for data-centre GPUs whose kernel module is older.

Where the loader finds it before the driver's own libcuda, CUDA fails on other GPUs (error 804) and, if it is older than
the kernel module, on every one (error 803).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TypeVar

from gpucheck.host.answer import NOT_FOUND, Answer
from gpucheck.host.host import Host
from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import CudaCompat

LOADER = "/etc/ld.so.conf.d"
LIBRARY_PATH = "LD_LIBRARY_PATH"
SOURCE = "toolkits.cuda_compat"  # of the issue where nobody can tell which libcuda comes first

T = TypeVar("T")

_LIBCUDA = re.compile(r"libcuda\.so\.(\d{3,5}(?:\.\d{1,5}){1,3})")


def find_compat(host: Host, issues: Issues, cuda_folders: Sequence[str]) -> CudaCompat | None:
    """The libcuda of cuda-compat that the loader finds first; else one that only lies in a toolkit's folder.

    None with an issue of `SOURCE` where a place that decides it could not be read.
    """
    search = _Search(host, issues)
    found = search.by_loader() or search.below(cuda_folders)
    if not search.unread:
        return found
    places = ", ".join(search.unread)
    issues.add(
        "unknown", SOURCE, f"cannot be read: {places}; a libcuda of cuda-compat may come before the driver's own"
    )
    return None


def parse_loader_file(text: str) -> tuple[str, ...]:
    """The folders in a file of ld.so.conf.d, which has one a line and comments from `#` on."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return tuple(line.rstrip("/") for line in lines if line.startswith("/"))


class _Search:
    """One search for libcuda, and the places (`unread`) that may have ended it otherwise."""

    def __init__(self, host: Host, issues: Issues) -> None:
        self.host, self.issues = host, issues
        self.unread: list[str] = []

    def by_loader(self) -> CudaCompat | None:
        """The one that a setting puts before the driver's own."""
        for folder, setting in self._searched():
            version = self._version_in(folder, named=True)
            if version is not None:
                return CudaCompat(version, folder, setting)
            library = f"{folder}/libcuda.so.1"
            if self._value(library, self.host.may("r", library)) is not None:
                break  # the driver's own comes first
        return None

    def below(self, cuda_folders: Sequence[str]) -> CudaCompat | None:
        """One that lies in the folder of a toolkit."""
        for parent in cuda_folders:
            folder = f"{parent}/compat"
            version = self._version_in(folder, named=False)
            if version is not None:
                return CudaCompat(version, folder)
        return None

    def _searched(self) -> Iterator[tuple[str, str]]:
        """Folders in the loader's order, each with the setting that names it; the system's own come after these."""
        for folder in (self.host.env(LIBRARY_PATH).value or "").split(":"):
            if folder.startswith("/"):
                yield folder.rstrip("/"), LIBRARY_PATH
        for name in self._value(LOADER, self.host.listdir(LOADER)) or ():
            path = f"{LOADER}/{name}"
            if name.endswith(".conf"):
                answer = self.host.read(path)
                text = self.issues.listed(path, answer)
                if answer.error is not None:
                    self.unread.append(path)
                for folder in parse_loader_file(text or ""):
                    yield folder, path

    def _version_in(self, folder: str, *, named: bool) -> str | None:
        """The driver version in the name of a compat folder's libcuda; other folders are not listed."""
        if folder.rpartition("/")[2] != "compat":
            return None
        answer = self.host.listdir(folder)
        names = self._value(folder, answer) or ()
        if named and answer.absent and answer.error != NOT_FOUND:  # nobody looked where a setting points
            self.unread.append(folder)
        return next((found[1] for found in map(_LIBCUDA.fullmatch, names) if found), None)

    def _value(self, path: str, answer: Answer[T]) -> T | None:
        if answer.error is not None and not answer.absent:
            self.unread.append(path)
        return self.issues.value(path, answer)
