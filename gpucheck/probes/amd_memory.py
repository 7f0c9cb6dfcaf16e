"""Memory of AMD cards in sysfs, and which of them are APUs that compute in the machine's own."""

from __future__ import annotations

from msgspec import Struct

from gpucheck.host.host import Host
from gpucheck.probes.collect import Issues, whole_number
from gpucheck.probes.pci import DEVICES

# APUs of LLVM's AMDGPU processor table. On newer kernels KFD lists their GPU apart from the CPU cores, so that
# only the target tells. gfx942 is not here: MI300A and MI300X share it.
APU_TARGETS = frozenset({
    "gfx801", "gfx902", "gfx909", "gfx90c", "gfx1013", "gfx1033", "gfx1035", "gfx1036", "gfx1037", "gfx1103",
    "gfx1150", "gfx1151", "gfx1152", "gfx1153", "gfx1170", "gfx1171", "gfx1172",
})  # fmt: skip
# The same by PCI id, where KFD does not list them: Raven to Cezanne, Van Gogh, Rembrandt, Raphael, Mendocino,
# Granite Ridge, Phoenix, Hawk Point, Strix, Strix Halo, Krackan (pci.ids).
APU_DEVICES = frozenset({
    "15dd", "15d8", "1636", "164c", "1638", "15e7", "163f", "1435", "1681", "164d", "164e", "1506",
    "13c0", "15bf", "15c8", "1900", "1901", "150e", "1586", "1114",
})  # fmt: skip
# The kernel's translation table manager bounds what all GPUs together take of the machine's memory; AMD's own
# package has a copy of it under another name.
PAGES_LIMITS = ("/sys/module/ttm/parameters/pages_limit", "/sys/module/amdttm/parameters/pages_limit")
_PAGE_BYTES = 4096


class SysfsMemory(Struct, frozen=True):
    """What amdgpu says of one card's memory: its own (an APU's carve-out), and what it may map of the machine's."""

    vram_total_bytes: int | None = None
    vram_used_bytes: int | None = None
    gtt_total_bytes: int | None = None
    gtt_used_bytes: int | None = None


def sysfs_memory(host: Host, issues: Issues, address: str) -> SysfsMemory:
    """The card's memory; the graphics translation table's size is no more than the kernel lets GPUs take.

    Where that limit is there and could not be read, it may be smaller than the table: the size is unknown.
    """

    def read(name: str) -> int | None:
        path = f"{DEVICES}/{address}/mem_info_{name}"
        return whole_number(issues.value(path, host.read(path)))

    gtt = read("gtt_total")
    if gtt is not None:
        limits = [_limit_bytes(host, issues, path, gtt) for path in PAGES_LIMITS]
        gtt = None if None in limits else min(gtt, *(limit for limit in limits if limit is not None))
    return SysfsMemory(read("vram_total"), read("vram_used"), gtt, read("gtt_used"))


def is_apu(gfx_target: str | None, device_id: str | None, shares_cpu: bool) -> bool:
    """Whether the GPU computes in the machine's memory, beside a carve-out of it."""
    return shares_cpu or gfx_target in APU_TARGETS or device_id in APU_DEVICES


def _limit_bytes(host: Host, issues: Issues, path: str, unlimited: int) -> int | None:
    """The limit, `unlimited` where the kernel has none, None where it has one that nobody could read."""
    answer = host.read(path)
    pages = whole_number(issues.value(path, answer))
    if pages is None:
        return unlimited if answer.absent else None
    return pages * _PAGE_BYTES or unlimited
