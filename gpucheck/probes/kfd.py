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
_DEVICE_HEAPS = frozenset({1, 2})  # 1 is visible to the CPU, 2 is not; 0 is the host's


class Banks(Struct, frozen=True):
    """Device memory of a node. Width and clock are the whole package's, also of a partition."""

    size_bytes: int | None = None
    width_bits: int | None = None
    clock_max_mhz: int | None = None


class KfdNode(Struct, frozen=True):
    """One GPU node: a whole card, or one partition of it."""

    index: int  # among the GPU nodes, as ROCm numbers devices
    number: int  # the node's own, as links name it
    address: str  # 0000:05:00.3; the function of a partition numbers the partition
    device_id: str
    gfx_target: str | None
    compute_units: int | None
    memory: Banks
    shares_cpu: bool  # an APU: the node has CPU cores too
    unique_id: int | None
    hive_id: int | None = None  # cards of one XGMI hive have the same
    render_minor: int | None = None  # of /dev/dri/renderD128
    engine_clock_max_mhz: int | None = None

    @property
    def memory_bytes(self) -> int | None:
        """What ROCm will count as the node's memory."""
        return self.memory.size_bytes


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
            found[place] = _node(host, issues, number, facts, len(found))
    return tuple(found.values())


def by_card(nodes: Iterable[KfdNode], addresses: frozenset[str]) -> dict[str, tuple[KfdNode, ...]]:
    """Nodes by the PCI address of their card.

    In CPX mode an MI300X shows as eight nodes, which differ in the function alone while the card has only
    function 0 (amdsmi #99). A function that is on the bus is a device of its own: a virtual function, say.
    So is one with another unique id than its neighbour, where a container sees no bus.
    """
    cards: dict[str, tuple[KfdNode, ...]] = {}
    for node in nodes:
        whole = node.address if node.address in addresses else node.address[:-1] + "0"
        known = {other.unique_id for other in cards.get(whole, ())} - {None}
        if node.unique_id is not None and known and node.unique_id not in known:
            whole = node.address
        cards[whole] = (*cards.get(whole, ()), node)
    return cards


def _node(host: Host, issues: Issues, number: int, facts: dict[str, int], index: int) -> KfdNode:
    version, device = facts.get("gfx_target_version"), facts.get("device_id", 0)
    per_unit = facts.get("simd_per_cu")
    banks = _banks(host, issues, f"{NODES}/{number}")
    if banks.size_bytes is None:  # kernels before 5.x state it beside the banks, newer ones a 0
        banks = Banks(facts.get("local_mem_size") or None, banks.width_bits, banks.clock_max_mhz)
    return KfdNode(
        index=index,
        number=number,
        address=kfd_address(facts.get("domain", 0), facts["location_id"]),
        device_id=f"{device:04x}",
        gfx_target=gfx_target(version) if version else OLD_TARGETS.get(device),
        compute_units=facts["simd_count"] // per_unit if per_unit else None,
        memory=banks,
        shares_cpu=bool(facts.get("cpu_cores_count")),
        unique_id=facts.get("unique_id") or None,
        hive_id=facts.get("hive_id") or None,
        render_minor=facts.get("drm_render_minor") or None,
        engine_clock_max_mhz=facts.get("max_engine_clk_fcompute") or None,
    )


def _banks(host: Host, issues: Issues, folder: str) -> Banks:
    """The banks in device memory as one: sizes added up, width and clock of the first that has them."""
    size, width, clock = 0, 0, 0
    for bank in issues.value(f"{folder}/mem_banks", host.listdir(f"{folder}/mem_banks")) or ():
        path = f"{folder}/mem_banks/{bank}/properties"
        facts = parse_properties(issues.value(path, host.read(path)) or "")
        if facts.get("heap_type") in _DEVICE_HEAPS:
            size += facts.get("size_in_bytes", 0)
            width = width or facts.get("width", 0)
            clock = clock or facts.get("mem_clk_max", 0)
    return Banks(size or None, width or None, clock or None)


def _number(text: str) -> int | None:
    """Unlike other files these hold 64-bit numbers of twenty digits."""
    text = text.strip()
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= 20 else None
    return number if number is not None and number < 1 << 64 else None
