"""Opening files that somebody else wrote: regular files only, and names cut for error sentences."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from gpucheck.errors import UsageError

_LONGEST = 200


@contextmanager
def open_regular(path: str) -> Iterator[tuple[BinaryIO, int]]:
    """The file at `path`, opened for reading, and its size in bytes; never a device, a FIFO or a directory.

    Raises:
        UsageError: there is no such file, it may not be read, or it is no regular file.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        raise UsageError(f"{shown(path)} cannot be opened: {_reason(error)}") from error
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise UsageError(f"{shown(path)} is not a regular file")
    with os.fdopen(handle, "rb", buffering=0) as file:
        yield file, status.st_size


def read_small(path: str, most_bytes: int) -> bytes:
    """The whole of a file of at most `most_bytes`.

    Raises:
        UsageError: it cannot be read, or is larger.
    """
    with open_regular(path) as (file, size):
        if size > most_bytes:
            raise UsageError(f"{shown(path)} has {size:,} bytes; at most {most_bytes:,} are read")
        try:
            return read_exactly(file, size)
        except OSError as error:
            raise UsageError(f"{shown(path)} cannot be read: {_reason(error)}") from error


def read_exactly(file: BinaryIO, size: int) -> bytes:
    """Up to `size` bytes; fewer only at the file's end."""
    parts = []
    while size > 0 and (part := file.read(min(size, 16 << 20))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def shown(text: str) -> str:
    """`text` quoted, and cut where nobody would read on."""
    return repr(text if len(text) <= _LONGEST else text[:_LONGEST] + "…")


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
