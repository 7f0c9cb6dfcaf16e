"""Grace Hopper and Grace Blackwell: Linux counts the GPU's HBM as host memory, on NUMA nodes without processors."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import replace

from gpucheck.host.host import Host
from gpucheck.probes.collect import Found, Issues, whole_number
from gpucheck.probes.cpu_topology import NODES, cpu_list
from gpucheck.probes.facts import GpuReading, Memory

_SUPERCHIPS = re.compile(r"\bG[BH](?:200|300)\b")
_FREE = re.compile(r"^Node \d+ MemFree:\s+(\d+) kB$", re.MULTILINE)


def is_superchip(reading: GpuReading) -> bool:
    """Whether the card hangs on a Grace processor by a coherent link and keeps memory of its own."""
    return reading.vendor == "NVIDIA" and _SUPERCHIPS.search(reading.name or "") is not None


def probe_coherent(host: Host) -> Found[int]:
    """Bytes that are free on NUMA nodes which have memory and no processor; a GH200 has one such and seven empty."""
    issues = Issues()
    with_memory = cpu_list(host, issues, f"{NODES}/has_memory") or []
    with_cpus = cpu_list(host, issues, f"{NODES}/has_cpu") or []
    free = 0
    for node in with_memory if with_cpus else ():
        if node not in with_cpus:
            path = f"{NODES}/node{node}/meminfo"
            found = _FREE.search(issues.value(path, host.read(path)) or "")
            free += (whole_number(found[1]) or 0) * 1024 if found is not None else 0
    return Found(free, issues.all())


def without_hbm(memory: Memory, readings: Sequence[GpuReading], free_bytes: int, issues: Issues) -> Memory:
    """Host memory of which a process gets only what is not the GPUs' own; the totals stay the kernel's.

    Without this 96 GB of HBM would be offered twice, as device memory and as RAM for what does not fit there.
    """
    if not free_bytes or memory.usable_bytes is None or not any(map(is_superchip, readings)):
        return memory
    available = memory.available_bytes if memory.available_bytes is not None else memory.usable_bytes
    usable = max(0, min(memory.usable_bytes, available - free_bytes))
    issues.add(
        "coherent_memory",
        "memory.usable_bytes",
        f"Linux counts the GPU's own memory as the machine's: {free_bytes >> 20:,} MiB free there are left out",
    )
    return replace(memory, usable_bytes=usable)
