"""What a host says to one question: a value, or the reason why there is none."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")

NOT_FOUND = "not_found"
NO_PERMISSION = "no_permission"
IO_ERROR = "io_error"
TIMEOUT = "timeout"
TOO_LARGE = "too_large"
MALFORMED = "malformed"
NOT_RECORDED = "not_recorded"
OTHER_ROOT = "other_root"
LIBRARY_MISSING = "library_missing"
NOT_SUPPORTED = "not_supported"
FAILED = "failed"


class Answer(Struct, Generic[T], frozen=True, omit_defaults=True):
    """One answer: either `value`, or `error` (a code above or an NVML one) with its `detail`.

    `not_found` says that the thing is not there; `not_recorded` says only that nobody asked when the
    recording was made; `other_root` says that a copied tree (`GPUCHECK_ROOT`) cannot know it.
    """

    value: T | None = None
    error: str | None = None
    detail: str = ""

    @property
    def absent(self) -> bool:
        """Whether the absence is no news: not there, never asked, or not askable of a copied tree."""
        return self.error in {NOT_FOUND, NOT_RECORDED, OTHER_ROOT}


class Output(Struct, frozen=True):
    """What a finished command printed; undecodable bytes have become U+FFFD."""

    stdout: str
    stderr: str
    returncode: int


class DiskUsage(Struct, frozen=True):
    """Size of the file system that holds a path, and what an unprivileged process may still write."""

    total_bytes: int
    free_bytes: int


def failed(error: str, detail: object = "") -> Answer[Any]:
    """An answer without a value."""
    return Answer(error=error, detail=str(detail))
