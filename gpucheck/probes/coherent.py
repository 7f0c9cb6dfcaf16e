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
# GH200 with 96 and with 144 GB, GB200, GB300 (pci.ids)
_SUPERCHIP_IDS = frozenset({"2342", "2348", "2941", "31c2"})
_FREE = re.compile(r"^Node \d+ MemFree:\s+(\d+) kB$", re.MULTILINE)


def is_superchip(reading: GpuReading) -> bool | None:
    """Whether the card hangs on a Grace processor by a coherent link; None where neither name nor id is known."""
    if reading.vendor != "NVIDIA":
        return False
    if reading.name is None and reading.pci_device_id is None:
        return None
    return reading.pci_device_id in _SUPERCHIP_IDS or _SUPERCHIPS.search(reading.name or "") is not None


def probe_coherent(host: Host) -> Found[int | None]:
    """Bytes that are free on NUMA nodes which have memory and no processor; a GH200 has one such and seven empty.

    None where it is not known which nodes these are, or how much is free on one of them.
    """
    issues = Issues()
    with_memory = cpu_list(host, issues, f"{NODES}/has_memory")
    with_cpus = cpu_list(host, issues, f"{NODES}/has_cpu")
    if not with_memory or not with_cpus:
        online = cpu_list(host, issues, f"{NODES}/online")
        return Found(0 if online is not None and len(online) == 1 else None, issues.all())
    free = 0
    for node in with_memory:
        if node not in with_cpus:
            path = f"{NODES}/node{node}/meminfo"
            found = _FREE.search(issues.value(path, host.read(path)) or "")
            size = whole_number(found[1]) if found is not None else None
            if size is None:
                return Found(None, issues.all())
            free += size * 1024
    return Found(free, issues.all())


def without_hbm(memory: Memory, readings: Sequence[GpuReading], free_bytes: int | None, issues: Issues) -> Memory:
    """Host memory of which a process gets only what is not the GPUs' own; the totals stay the kernel's.

    Without this 96 GB of HBM would be offered twice, as device memory and as RAM for what does not fit there. What
    a process gets is unknown where it is not known whether, or how much, memory is the GPUs'.
    """
    kinds = [is_superchip(reading) for reading in readings]
    if free_bytes == 0 or memory.usable_bytes is None or not any(kind is not False for kind in kinds):
        return memory
    if free_bytes is None or True not in kinds:
        detail = "Linux may count the GPU's own memory as the machine's, and nothing tells how much of it is free"
        issues.add("coherent_memory", "memory.usable_bytes", detail)
        return replace(memory, usable_bytes=None)
    available = memory.available_bytes if memory.available_bytes is not None else memory.usable_bytes
    usable = max(0, min(memory.usable_bytes, available - free_bytes))
    issues.add(
        "coherent_memory",
        "memory.usable_bytes",
        f"Linux counts the GPU's own memory as the machine's: {free_bytes >> 20:,} MiB free there are left out",
    )
    return replace(memory, usable_bytes=usable)
