"""Host memory: what the machine has, what is free, and what this process may still take."""

from __future__ import annotations

from typing import Any

from gpucheck.host.answer import NOT_FOUND
from gpucheck.host.host import Host
from gpucheck.probes.cgroup import MemoryLimit, memory_limits
from gpucheck.probes.collect import Found, Issues, whole_number
from gpucheck.probes.facts import Memory
from gpucheck.probes.sysctl import darwin_memory
from gpucheck.probes.windows_job import job_memory_limits

MEMINFO = "/proc/meminfo"


def probe_memory(host: Host) -> Found[Memory]:
    """Memory from `/proc/meminfo`, then psutil, under the tightest limit of cgroups or of a job object."""
    issues = Issues()
    sizes = parse_meminfo(issues.value(MEMINFO, host.read(MEMINFO)) or "")
    total, available = sizes.get("MemTotal"), available_bytes(sizes)
    swap_total, swap_free = sizes.get("SwapTotal"), sizes.get("SwapFree")
    if total is None or available is None:
        asked = _counts(host, issues, "virtual_memory")
        total = asked.get("total") if total is None else total
        available = asked.get("available") if available is None else available
    if total is None or available is None:
        told = darwin_memory(host)
        total, available = total if total is not None else told[0], available if available is not None else told[1]
    if swap_total is None:
        asked = _counts(host, issues, "swap_memory")
        swap_total, swap_free = asked.get("total"), asked.get("free")
    limits, complete = memory_limits(host, issues, total)
    of_job, whole_job = job_memory_limits(host, issues, total)
    limits, complete = [*limits, *of_job], complete and whole_job
    # a level that could not be read may hold a tighter one
    tightest = min(limits, key=lambda limit: limit.limit_bytes, default=None) if complete else None
    memory = Memory(
        total_bytes=total,
        available_bytes=available,
        limit_bytes=tightest.limit_bytes if tightest else None,
        limit_used_bytes=tightest.used_bytes if tightest else None,
        limit_source=tightest.source if tightest else None,
        usable_bytes=usable_bytes(available, limits) if complete else None,
        swap_total_bytes=swap_total,
        swap_free_bytes=swap_free,
    )
    for field in ("total_bytes", "available_bytes", "usable_bytes", "swap_total_bytes", "swap_free_bytes"):
        if getattr(memory, field) is None:
            issues.add(NOT_FOUND, f"memory.{field}", "no source tells it")
    return Found(memory, issues.all())


def parse_meminfo(text: str) -> dict[str, int]:
    """Sizes in bytes by name; a line without a whole number, such as a truncated last one, is left out."""
    sizes = {}
    for line in text.splitlines():
        name, colon, rest = line.partition(":")
        parts = rest.split()
        value = whole_number(parts[0]) if colon and len(parts) == 2 and parts[1] == "kB" else None
        if value is not None and value < 1 << 53:  # of bytes, 64 bits and no more
            sizes[name] = value * 1024
    return sizes


def available_bytes(sizes: dict[str, int]) -> int | None:
    """MemAvailable, or what it roughly is on kernels before 3.14: free pages and the two caches."""
    if "MemAvailable" in sizes:
        return sizes["MemAvailable"]
    if "MemFree" not in sizes:
        return None
    return sizes["MemFree"] + sizes.get("Buffers", 0) + sizes.get("Cached", 0)


def usable_bytes(available: int | None, limits: list[MemoryLimit]) -> int | None:
    """The least of what the machine and each group above the process have left.

    Every level counts, not only the tightest limit: neighbours may have filled a wider one of a parent. Unknown
    where it is not known how full a group is.
    """
    if any(limit.used_bytes is None for limit in limits):
        return None
    left = [max(0, limit.limit_bytes - (limit.used_bytes or 0)) for limit in limits]
    return min([*left, *([] if available is None else [available])], default=None)


def _counts(host: Host, issues: Issues, question: str) -> dict[str, int]:
    """The whole numbers that psutil gives."""
    found: Any = issues.value(f"psutil {question}", host.psutil(question))
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if type(value) is int and value >= 0}
