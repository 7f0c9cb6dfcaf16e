"""The structures of Windows' job objects: their layout on 64 bits, and what is taken from them."""

import ctypes
import json
import struct
import sys
from types import SimpleNamespace

import pytest

from gpucheck.host import windows_job
from gpucheck.host.system import system_fact
from gpucheck.host.windows_job import BasicLimits, CpuRate, ExtendedLimits, MemoryUsage, job_fact, job_values

GIB = 1 << 30
pytestmark = pytest.mark.skipif(ctypes.sizeof(ctypes.c_size_t) != 8, reason="layouts of 64-bit systems")
# As winnt.h lays it out: two times, flags, working sets, processes, affinity, priority, scheduling; six counters of
# input and output; the two limits of memory and the two peaks.
EXTENDED = struct.Struct("<qqI4xQQI4xQII6Q4Q")


def extended(flags, process=0, job=0):
    """The bytes of JOBOBJECT_EXTENDED_LIMIT_INFORMATION, with other numbers in every field beside these."""
    return EXTENDED.pack(1, 2, flags, 3, 4, 5, 6, 7, 8, *range(20, 26), process, job, 98, 99)


def test_sizes():
    """64, 144, 8 and 16 bytes, as the compiler of Windows makes them."""
    found = [ctypes.sizeof(layout) for layout in (BasicLimits, ExtendedLimits, CpuRate, MemoryUsage)]
    assert found == [64, EXTENDED.size, 8, 16]
    assert ExtendedLimits.process_memory.offset == 112


def test_values():
    """Every number from its own place; 16 GiB for the job, 4 for each process, and a quarter of the processors."""
    values = job_values(extended(0x300, 4 * GIB, 16 * GIB), struct.pack("<II", 5, 2500), struct.pack("<QQ", 3 * GIB, 9))
    assert values == {
        "limit_flags": 0x300,
        "process_memory_bytes": 4 * GIB,
        "job_memory_bytes": 16 * GIB,
        "job_memory_used_bytes": 3 * GIB,
        "cpu_flags": 5,
        "cpu_value": 2500,
    }


def test_structures_that_were_not_given():
    """Older versions of Windows do not know them: None, not 0."""
    values = job_values(extended(0x200, job=GIB), None, None)
    assert {name for name, value in values.items() if value is None} == {
        "job_memory_used_bytes", "cpu_flags", "cpu_value",
    }  # fmt: skip


def test_too_short():
    """A structure that ends early is refused, not read beyond its end."""
    with pytest.raises(ValueError, match="instead of at least 144"):
        job_values(extended(0)[:-1], None, None)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has them")
def test_other_systems():
    """Nothing is asked where there are no job objects."""
    assert job_fact().error == "not_supported"
    assert system_fact("job").error == "not_supported"


def _libraries(*, inside, refuses=()):
    """kernel32 and ntdll in small: they fill what they are pointed at, and refuse some classes."""

    def is_in_job(process, job, answer):
        answer._obj.value = inside
        return 1

    def query(job, number, answer, size, _):
        if number in refuses:
            return 0
        data = {9: extended(0x200, job=16 * GIB), 15: struct.pack("<II", 5, 2500)}[number]
        assert len(data) == size
        ctypes.memmove(ctypes.byref(answer._obj), data, size)
        return 1

    def native_query(job, number, answer, size, _):
        if number in refuses:
            return -1073741821  # STATUS_INVALID_INFO_CLASS
        ctypes.memmove(ctypes.byref(answer._obj), struct.pack("<QQ", 3 * GIB, 9), size)
        return 0

    kernel = SimpleNamespace(IsProcessInJob=is_in_job, QueryInformationJobObject=query)
    return kernel, SimpleNamespace(NtQueryInformationJobObject=native_query)


@pytest.mark.parametrize(
    ("inside", "refuses", "expected"),
    [
        (0, (), {"in_job": False}),
        (1, (), {"in_job": True, "job_memory_bytes": 16 * GIB, "job_memory_used_bytes": 3 * GIB, "cpu_value": 2500}),
        (1, (15, 28), {"in_job": True, "job_memory_bytes": 16 * GIB, "job_memory_used_bytes": None, "cpu_value": None}),
    ],
)
def test_questions(monkeypatch, inside, refuses, expected):
    """Outside of a job nothing more is asked; a class that Windows refuses leaves its numbers unknown."""
    libraries = dict(zip(("kernel32", "ntdll"), _libraries(inside=inside, refuses=refuses), strict=True))
    monkeypatch.setattr(ctypes, "WinDLL", lambda name, **_: libraries[name], raising=False)
    found = windows_job.job_fact().value
    assert {name: found.get(name) for name in expected} == expected
    assert json.dumps(found)


def test_windows_refuses(monkeypatch):
    """The number of the system's error is the reason; a missing library is one too."""
    libraries = dict(zip(("kernel32", "ntdll"), _libraries(inside=1, refuses=(9,)), strict=True))
    monkeypatch.setattr(ctypes, "WinDLL", lambda name, **_: libraries[name], raising=False)
    monkeypatch.setattr(ctypes, "get_last_error", lambda: 5, raising=False)
    refused = job_fact()
    assert (refused.error, refused.detail) == ("failed", "QueryInformationJobObject: error 5")

    def missing(name, **_):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "WinDLL", missing, raising=False)
    assert (job_fact().error, job_fact().detail) == ("failed", "kernel32")
