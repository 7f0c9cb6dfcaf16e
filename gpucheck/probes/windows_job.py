"""Limits of a Windows job object, which binds the processes in it as a cgroup does on Linux.

Of nested jobs Windows tells a process only the innermost: a tighter one around it stays unseen. Read from the
documentation of winnt.h; nobody has tried it on Windows so far.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpucheck.host.answer import MALFORMED, NOT_SUPPORTED
from gpucheck.host.host import Host
from gpucheck.probes.cgroup import CpuQuota, MemoryLimit
from gpucheck.probes.collect import Issues
from gpucheck.probes.systems import is_windows

SOURCE = "job object"
LIMIT_PROCESS_MEMORY, LIMIT_JOB_MEMORY = 0x100, 0x200  # JOB_OBJECT_LIMIT_…
RATE_ENABLE, RATE_HARD_CAP, RATE_MIN_MAX = 0x1, 0x4, 0x10  # JOB_OBJECT_CPU_RATE_CONTROL_…
WHOLE_RATE = 10_000  # all cycles of all processors


def job_memory_limits(host: Host, issues: Issues, total_bytes: int | None) -> tuple[list[MemoryLimit], bool]:
    """The limits on committed memory below the machine's own, and whether these are all; none on other systems.

    A process limit counts for each process alone, so that one which starts now has all of it.
    """
    job = _job(host, issues)
    if job is None or not job.get("in_job"):
        return [], job is not None
    flags = _number(job, "limit_flags")
    if flags is None:
        issues.add(MALFORMED, SOURCE, "limit_flags: a whole number expected")
        return [], False
    limits, complete = [], True
    for flag, name, used in (
        (LIMIT_PROCESS_MEMORY, "process_memory_bytes", 0),
        (LIMIT_JOB_MEMORY, "job_memory_bytes", _number(job, "job_memory_used_bytes")),
    ):
        size = _number(job, name)
        if not flags & flag:
            continue
        if size is None:
            issues.add(MALFORMED, SOURCE, f"{name}: a whole number expected")
            complete = False
        elif total_bytes is None or size < total_bytes:
            limits.append(MemoryLimit(size, used, SOURCE))
    return limits, complete


def job_cpu_quota(host: Host, issues: Issues, logical_cores: int | None) -> tuple[CpuQuota | None, bool]:
    """The cores that a hard limit leaves to the job, None without one; and whether it could be told.

    Windows counts in ten-thousandths of all processors together. A weight, and a rate that only counts under
    contention, are no limits.
    """
    job = _job(host, issues)
    if job is None or not job.get("in_job"):
        return None, job is not None
    flags, value = _number(job, "cpu_flags"), _number(job, "cpu_value")
    if flags is None or value is None:
        issues.add(MALFORMED, SOURCE, "its limit of processor time is not told")
        return None, False
    if not flags & RATE_ENABLE or not flags & (RATE_HARD_CAP | RATE_MIN_MAX):
        return None, True
    rate = value if flags & RATE_HARD_CAP else value >> 16  # MinRate and MaxRate share the word
    if not 0 < rate <= WHOLE_RATE or logical_cores is None:
        issues.add(MALFORMED, SOURCE, f"a rate of {rate} of {WHOLE_RATE} of {logical_cores} processors")
        return None, False
    return (CpuQuota(logical_cores * rate / WHOLE_RATE, SOURCE) if rate < WHOLE_RATE else None), True


def _job(host: Host, issues: Issues) -> Mapping[str, Any] | None:
    """The answer; {} on other systems, None where there may be a job and nobody can say what it limits."""
    windows = is_windows(host)
    if not windows and host.system("uname").value is not None:
        return {}
    answer = host.system("job")
    if not windows and (answer.absent or answer.error == NOT_SUPPORTED):
        return {}  # nobody says which system it is, and this is no sign of Windows
    if answer.error is not None:  # also a recording in which it was never asked
        issues.add(answer.error, SOURCE, answer.detail)
        return None
    if not isinstance(answer.value, dict) or type(answer.value.get("in_job")) is not bool:
        issues.add(MALFORMED, SOURCE, "an object with in_job expected")
        return None
    return answer.value


def _number(job: Mapping[str, Any], name: str) -> int | None:
    """A whole number that 64 bits hold."""
    value = job.get(name)
    return value if type(value) is int and 0 <= value < 1 << 63 else None
