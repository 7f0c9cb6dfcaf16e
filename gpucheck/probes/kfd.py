"""AMD's compute topology: what the KFD driver says of GPUs, with the partitions of one card put together."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from gpucheck.host.host import Host
from gpucheck.probes.collect import Issues, whole_number

NODES = "/sys/class/kfd/kfd/topology/nodes"

# Old kernels give no gfx_target_version. Ids: drivers/gpu/drm/amd/amdkfd/kfd_device.c of Linux 5.4.
OLD_TARGETS = {
    **dict.fromkeys((0x6860, 0x6861, 0x6862, 0x6863, 0x6864, 0x6867, 0x6868), "gfx900"),
    **dict.fromkeys((0x6869, 0x686A, 0x686B, 0x686C, 0x686D, 0x686E, 0x686F, 0x687F), "gfx900"),
    **dict.fromkeys((0x66A0, 0x66A1, 0x66A2, 0x66A3, 0x66A4, 0x66A7, 0x66AF), "gfx906"),
    **dict.fromkeys((0x7300, 0x67C0, 0x67DF), "gfx803"),
}


class KfdNode(Struct, frozen=True):
    """One GPU node: a whole card, or one partition of it."""

    index: int  # among the GPU nodes, as ROCm numbers devices
    address: str  # 0000:05:00.3; the function of a partition numbers the partition
    device_id: str
    gfx_target: str | None
    compute_units: int | None
    memory_bytes: int | None
    shares_cpu: bool  # an APU: the node has CPU cores too
    unique_id: int | None


def parse_properties(text: str) -> dict[str, int]:
    """Numbers by name in a KFD properties file."""
    pairs = (line.partition(" ") for line in text.splitlines())
    numbers = ((name, _number(value)) for name, _, value in pairs)
    return {name: number for name, number in numbers if number is not None}


def gfx_target(version: int) -> str:
    """The compiler's name: 90402 is gfx942, 90010 gfx90a, 110501 gfx1151; minor and step are hexadecimal."""
    return f"gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}"


def kfd_address(domain: int, location_id: int) -> str:
    """The PCI address in a node's properties: bus, device and function in 16 bits.

    Kernels put the number of a partition into the function's three bits, or above the sixteen.
    """
    return f"{domain:04x}:{location_id >> 8 & 0xFF:02x}:{location_id >> 3 & 0x1F:02x}.{location_id & 7}"


def kfd_nodes(host: Host, issues: Issues) -> tuple[KfdNode, ...]:
    """The GPU nodes in their own order; a machine without the driver has none."""
    numbers = (whole_number(name) for name in issues.value(NODES, host.listdir(NODES)) or ())
    found: dict[tuple[int, int], KfdNode] = {}
    for number in sorted(number for number in numbers if number is not None):
        path = f"{NODES}/{number}/properties"
        facts = parse_properties(issues.value(path, host.read(path)) or "")
        place = facts.get("domain", 0), facts.get("location_id", -1)
        if facts.get("simd_count") and place[1] >= 0 and place not in found:
            found[place] = _node(host, issues, f"{NODES}/{number}", facts, len(found))
    return tuple(found.values())


def by_card(nodes: Iterable[KfdNode], addresses: frozenset[str]) -> dict[str, tuple[KfdNode, ...]]:
    """Nodes by the PCI address of their card.

    In CPX mode an MI300X shows as eight nodes, which differ in the function alone while the card has only
    function 0 (amdsmi #99). A function that is on the bus is a device of its own: a virtual function, say.
    """
    cards: dict[str, tuple[KfdNode, ...]] = {}
    for node in nodes:
        whole = node.address if node.address in addresses else node.address[:-1] + "0"
        cards[whole] = (*cards.get(whole, ()), node)
    return cards


def _node(host: Host, issues: Issues, folder: str, facts: dict[str, int], index: int) -> KfdNode:
    version, device = facts.get("gfx_target_version"), facts.get("device_id", 0)
    per_unit = facts.get("simd_per_cu")
    return KfdNode(
        index=index,
        address=kfd_address(facts.get("domain", 0), facts["location_id"]),
        device_id=f"{device:04x}",
        gfx_target=gfx_target(version) if version else OLD_TARGETS.get(device),
        compute_units=facts["simd_count"] // per_unit if per_unit else None,
        memory_bytes=_memory_bytes(host, issues, folder),
        shares_cpu=bool(facts.get("cpu_cores_count")),
        unique_id=facts.get("unique_id") or None,
    )


def _memory_bytes(host: Host, issues: Issues, folder: str) -> int | None:
    """The sum of the banks in device memory: heap 1 is visible to the CPU, heap 2 is not."""
    total = 0
    for bank in issues.value(f"{folder}/mem_banks", host.listdir(f"{folder}/mem_banks")) or ():
        path = f"{folder}/mem_banks/{bank}/properties"
        facts = parse_properties(issues.value(path, host.read(path)) or "")
        if facts.get("heap_type") in {1, 2}:
            total += facts.get("size_in_bytes", 0)
    return total or None


def _number(text: str) -> int | None:
    """Unlike other files these hold 64-bit numbers of twenty digits."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 20 else None
