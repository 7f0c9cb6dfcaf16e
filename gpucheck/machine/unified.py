"""What a process can get of memory that a GPU shares with the processor, and from which source.

One rule for GB10, Jetson, N1X, Apple silicon and integrated graphics; discrete cards never come here, also not those
beside such a part (nvtop #436: a "fix" for GB10 gave an RTX 3090 55 GiB), nor GH200, whose HBM is its own.
"""

from __future__ import annotations

import re

from msgspec import Struct

from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import Basis, GpuReading, Memory

# By compute capability: Nano and TX1, TX2, Xavier, Orin, Thor, GB10 and N1X.
CAPABILITIES = frozenset({"5.3", "6.2", "7.2", "8.7", "11.0", "12.1"})
# Words of such parts in a driver's name: "NVIDIA GB10", "Orin (nvgpu)", "NVIDIA Thor", "NVIDIA Tegra X1".
WORDS = frozenset({"gb10", "n1x", "thor", "orin", "xavier", "nvgpu", "tegra"})
# A driver that reports less of the machine's memory than this reports a carve-out.
_WHOLE_POOL = 0.9
_LARGE_MAC_BYTES = 128 << 30


class Share(Struct, frozen=True):
    """One figure of shared memory; None is unknown."""

    value: int | None
    basis: Basis


class SharedMemory(Struct, frozen=True):
    """The pool as the GPU sees it: its size, what is free of it, and what one process gets."""

    total: Share
    free: Share
    usable: Share


def is_shared_part(reading: GpuReading) -> bool:
    """Whether a GPU is known to have no memory of its own.

    Silence of the driver alone is no proof: a lost card and a MIG slice are silent as well (gpustat #179).
    """
    if reading.vendor == "NVIDIA":
        words = frozenset(re.findall(r"[a-z0-9]+", (reading.name or "").lower()))
        return reading.integrated is True or reading.compute_capability in CAPABILITIES or bool(words & WORDS)
    return reading.vendor == "Apple" or reading.integrated is True


def working_set_bytes(total_bytes: int) -> int:
    """What Metal recommends as the most for its buffers when nobody has set a limit.

    There is no published formula. Users measured 0.74 of 16 and 24 GiB and 0.84 of 128 GiB (llmfit #754,
    sglang #29949, ds4 #893); the lower share is taken up to there.
    """
    return int(total_bytes * (0.84 if total_bytes >= _LARGE_MAC_BYTES else 0.74))


def shared_memory(reading: GpuReading, host: Memory, index: int, issues: Issues) -> SharedMemory:
    """The pool behind a GPU without memory of its own; `index` names it in issues."""
    total = _total(reading, host, index, issues)
    free = _least(_free(reading, host), total)
    metal = _working_set(reading, total, index, issues)
    return SharedMemory(total, free, _usable(reading, host, (total, free), metal))


def _free(reading: GpuReading, host: Memory) -> Share:
    """What the machine has left, page cache included, which a driver's own figure leaves out."""
    if reading.vendor == "AMD" and reading.memory_free_bytes is not None:
        return Share(reading.memory_free_bytes, "reported")  # of its carve-out and of what the kernel lends
    if host.available_bytes is not None:
        # CUDA says MemFree: 1.5 GB where 60 can be had (sglang #10075, unsloth #6757)
        return Share(host.available_bytes, "derived")
    return Share(None if reading.vendor == "NVIDIA" else reading.memory_free_bytes, "reported")


def _least(share: Share, bound: Share) -> Share:
    """The share, or the bound where that is smaller."""
    if share.value is None or bound.value is None or share.value <= bound.value:
        return share
    return bound


def _total(reading: GpuReading, host: Memory, index: int, issues: Issues) -> Share:
    """The machine's memory, unless the driver tells of the whole pool."""
    told, machine = reading.memory_total_bytes, host.total_bytes
    if told is None or reading.vendor == "Intel":
        return Share(machine, "derived")
    if reading.vendor == "NVIDIA" and machine is None:
        detail = f"the driver tells of {told >> 20:,} MiB, which may be a carve-out; the machine's memory is not known"
        issues.add("carve_out", f"gpus[{index}].memory.total_bytes", detail)
        return Share(None, "derived")
    if reading.vendor == "NVIDIA" and machine is not None and told < _WHOLE_POOL * machine:
        # N1X: 8,128 MiB where CUDA allocates from a pool of 46,477 (unsloth #10283, #11208)
        issues.add(
            "carve_out",
            f"gpus[{index}].memory.total_bytes",
            f"the driver tells of {told >> 20:,} MiB, a carve-out; {reading.name or 'this GPU'} shares the machine's"
            f" memory, {machine >> 20:,} MiB, of which CUDA may use less",
        )
        return Share(machine, "derived")
    return Share(told, "reported")


def _usable(reading: GpuReading, host: Memory, pool: tuple[Share, Share], metal: Share) -> Share:
    """The least of what the process may take from the host, what is free, and the GPU's own limit.

    Unknown where a limit may be set that could not be read: it may be smaller than all of them.
    """
    if reading.state != "ok" or not reading.memory_limit_known:
        return Share(None, "derived")
    if host.usable_bytes is None and metal.value is None:
        return Share(None, "derived")
    total, free = pool
    bounds = [Share(host.usable_bytes, "derived"), metal, Share(reading.memory_limit_bytes, "reported"), total]
    if reading.vendor == "AMD":
        bounds.append(free)
    known = [bound for bound in bounds if bound.value is not None]
    return min(known, key=lambda bound: bound.value or 0)


def _working_set(reading: GpuReading, total: Share, index: int, issues: Issues) -> Share:
    """Metal's limit: as somebody has set it, else assumed; unknown of GPUs that are not Apple's."""
    if reading.vendor != "Apple" or reading.state != "ok" or not reading.memory_limit_known:
        return Share(None, "assumed")
    if reading.memory_limit_bytes is not None or not total.value:
        return Share(reading.memory_limit_bytes, "reported")
    limit = working_set_bytes(total.value)
    issues.add(
        "assumed",
        f"gpus[{index}].memory.usable_bytes",
        f"Metal's working set is taken as {limit / total.value:.0%} of memory, as measured on other Macs;"
        " torch.mps.recommended_max_memory() tells this one's",
    )
    return Share(limit, "assumed")
