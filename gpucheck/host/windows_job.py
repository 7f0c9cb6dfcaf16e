"""The job object that this process runs in on Windows, as kernel32 and ntdll describe it.

A job limits memory and processor time as a cgroup does on Linux: Windows containers, CI runners and some schedulers
put programs into one. psutil does not tell of it. Layouts and numbers are those of winnt.h; the class that tells what
a job holds now is from the System Informer project's headers, as Microsoft documents only its peak.

This has never run on Windows: only the layouts are held by tests, and what is made of the answers.
"""

from __future__ import annotations

import ctypes
from typing import Any

from gpucheck.host.answer import FAILED, NOT_SUPPORTED, Answer, failed

EXTENDED_LIMITS, CPU_RATE, MEMORY_USAGE = 9, 15, 28  # JOBOBJECTINFOCLASS


class BasicLimits(ctypes.Structure):
    """JOBOBJECT_BASIC_LIMIT_INFORMATION."""

    _fields_ = (
        ("per_process_user_time", ctypes.c_int64),
        ("per_job_user_time", ctypes.c_int64),
        ("limit_flags", ctypes.c_uint32),
        ("minimum_working_set", ctypes.c_size_t),
        ("maximum_working_set", ctypes.c_size_t),
        ("active_processes", ctypes.c_uint32),
        ("affinity", ctypes.c_size_t),
        ("priority_class", ctypes.c_uint32),
        ("scheduling_class", ctypes.c_uint32),
    )


class ExtendedLimits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION; `io` is the reserved IO_COUNTERS."""

    _fields_ = (
        ("basic", BasicLimits),
        ("io", ctypes.c_uint64 * 6),
        ("process_memory", ctypes.c_size_t),
        ("job_memory", ctypes.c_size_t),
        ("peak_process_memory", ctypes.c_size_t),
        ("peak_job_memory", ctypes.c_size_t),
    )


class CpuRate(ctypes.Structure):
    """JOBOBJECT_CPU_RATE_CONTROL_INFORMATION; `value` is its union, whose form `flags` decides."""

    _fields_ = (("flags", ctypes.c_uint32), ("value", ctypes.c_uint32))


class MemoryUsage(ctypes.Structure):
    """JOBOBJECT_MEMORY_USAGE_INFORMATION, of Windows 10 and later."""

    _fields_ = (("job_memory", ctypes.c_uint64), ("peak_job_memory", ctypes.c_uint64))


def job_fact() -> Answer[dict[str, Any]]:
    """{in_job} outside of a job; inside also what `job_values` gives.

    Of nested jobs this is the innermost one, which alone can be asked. `failed` with the number of the system's error
    where Windows refuses, `not_supported` on other systems.
    """
    if not hasattr(ctypes, "WinDLL"):
        return failed(NOT_SUPPORTED, "no job objects on this system")
    try:
        kernel, native = ctypes.WinDLL("kernel32", use_last_error=True), ctypes.WinDLL("ntdll")
        return _asked(kernel, native)
    except (OSError, AttributeError) as error:  # a library or a function of it is not there
        return failed(FAILED, error)


def job_values(limits: bytes, rate: bytes | None, usage: bytes | None) -> dict[str, int | None]:
    """The three structures as plain numbers, flags and reserved values as they stand; None where one was not given.

    Raises:
        ValueError: a structure is shorter than its layout.
    """
    extended = ExtendedLimits.from_buffer_copy(limits)
    cpu = CpuRate.from_buffer_copy(rate) if rate is not None else None
    return {
        "limit_flags": extended.basic.limit_flags,
        "process_memory_bytes": extended.process_memory,
        "job_memory_bytes": extended.job_memory,
        "job_memory_used_bytes": MemoryUsage.from_buffer_copy(usage).job_memory if usage is not None else None,
        "cpu_flags": cpu.flags if cpu is not None else None,
        "cpu_value": cpu.value if cpu is not None else None,
    }


def _asked(kernel: Any, native: Any) -> Answer[dict[str, Any]]:
    """The questions in turn: a handle of 0 is the caller's own job, and -1 its process."""
    pointer, handle, number = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32
    kernel.IsProcessInJob.argtypes = (handle, handle, pointer)
    kernel.QueryInformationJobObject.argtypes = (handle, ctypes.c_int, pointer, number, pointer)
    native.NtQueryInformationJobObject.argtypes = (handle, ctypes.c_int, pointer, number, pointer)
    inside = ctypes.c_int(0)
    if not kernel.IsProcessInJob(handle(-1), None, ctypes.byref(inside)):
        return failed(FAILED, f"IsProcessInJob: error {ctypes.get_last_error()}")  # type: ignore[attr-defined,unused-ignore]
    if not inside.value:
        return Answer({"in_job": False})
    limits, rate, usage = ExtendedLimits(), CpuRate(), MemoryUsage()
    if not kernel.QueryInformationJobObject(None, EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits), None):
        return failed(FAILED, f"QueryInformationJobObject: error {ctypes.get_last_error()}")  # type: ignore[attr-defined,unused-ignore]
    rated = kernel.QueryInformationJobObject(None, CPU_RATE, ctypes.byref(rate), ctypes.sizeof(rate), None)
    # an NTSTATUS: 0 is success
    status = native.NtQueryInformationJobObject(None, MEMORY_USAGE, ctypes.byref(usage), ctypes.sizeof(usage), None)
    values = job_values(bytes(limits), bytes(rate) if rated else None, bytes(usage) if status == 0 else None)
    return Answer({"in_job": True, **values})
