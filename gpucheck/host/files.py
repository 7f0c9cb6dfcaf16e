"""Small files, directories and links of a live machine, or of a copied tree of `/proc` and `/sys`."""

from __future__ import annotations

import os
from typing import Any

from gpucheck.host.answer import IO_ERROR, NO_PERMISSION, NOT_FOUND, TOO_LARGE, Answer, failed

MAX_FILE_BYTES = 4 << 20
MAX_NAMES = 100_000


class Files:
    """Reads below `root`; nothing outside of it is reachable, not even through a link in a copied tree."""

    def __init__(self, root: str = "/") -> None:
        self.root = os.path.realpath(root)

    def read(self, path: str) -> Answer[str]:
        """Text of a file of at most 4 MiB. A FIFO or a device that would block reads as empty."""
        try:
            handle = os.open(self._inside(path), os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        except (OSError, ValueError) as error:
            return _failure(path, error)
        try:
            parts, size = [], 0
            while size <= MAX_FILE_BYTES and (part := os.read(handle, 1 << 16)):
                parts.append(part)
                size += len(part)
        except OSError as error:
            return _failure(path, error)
        finally:
            os.close(handle)
        if size > MAX_FILE_BYTES:
            return failed(TOO_LARGE, f"{path}: more than {MAX_FILE_BYTES >> 20} MiB")
        return Answer(b"".join(parts).decode(errors="replace"))

    def listdir(self, path: str) -> Answer[list[str]]:
        """Sorted names."""
        try:
            names = sorted(plain_text(name) for name in os.listdir(self._inside(path)))
        except (OSError, ValueError) as error:
            return _failure(path, error)
        if len(names) > MAX_NAMES:
            return failed(TOO_LARGE, f"{path}: more than {MAX_NAMES} names")
        return Answer(names)

    def readlink(self, path: str) -> Answer[str]:
        """The link's target as written."""
        try:
            parent, name = os.path.split(path.rstrip("/"))
            return Answer(plain_text(os.readlink(os.path.join(self._inside(parent), name))))
        except (OSError, ValueError) as error:
            return _failure(path, error)

    def may(self, mode: str, path: str) -> Answer[bool]:
        """Whether this process may open it; a missing file is `not_found`, not False."""
        try:
            real = self._inside(path)
            os.stat(real)
            return Answer(os.access(real, os.R_OK | (os.W_OK if "w" in mode else 0)))
        except (OSError, ValueError) as error:
            return _failure(path, error)

    def _inside(self, path: str) -> str:
        if self.root == "/":
            return path
        real = os.path.realpath(os.path.join(self.root, path.lstrip("/")))
        if real != self.root and not real.startswith(self.root + os.sep):
            raise FileNotFoundError(f"{path} leads out of {self.root}")
        return real


def disk_usage(place: str) -> Answer[dict[str, int]]:
    """Total and free bytes of the file system that `place`, or its nearest existing parent, is on."""
    try:
        path = os.path.abspath(os.path.expanduser(place))  # raises in a deleted directory
        while not os.path.isdir(path) and path != os.path.dirname(path):
            path = os.path.dirname(path)
        if hasattr(os, "statvfs"):
            found = os.statvfs(path)
            return Answer({
                "total_bytes": found.f_frsize * found.f_blocks,
                "free_bytes": found.f_frsize * found.f_bavail,
            })  # fmt: skip
        from shutil import disk_usage as windows_disk_usage

        usage = windows_disk_usage(path)
        return Answer({"total_bytes": usage.total, "free_bytes": usage.free})
    except (OSError, ValueError) as error:
        return _failure(place, error)


def plain_text(text: str) -> str:
    """A text of the system with undecodable bytes as U+FFFD; Python's own form of them fits in no JSON."""
    return text if text.isascii() else text.encode(errors="surrogateescape").decode(errors="replace")


def _failure(path: str, error: OSError | ValueError) -> Answer[Any]:
    """What an exception means. `ValueError` is a path with a null byte: no such file."""
    if isinstance(error, ValueError | FileNotFoundError | NotADirectoryError):
        return failed(NOT_FOUND, path)
    if isinstance(error, PermissionError):
        return failed(NO_PERMISSION, path)
    return failed(IO_ERROR, f"{path}: {error.strerror or error}")
