"""AMD's compute topology: what the KFD driver says of GPUs, with the partitions of one card put together."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from gpucheck.host.answer import MALFORMED, NO_PERMISSION, NOT_FOUND, NOT_RECORDED
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


class Topology(Struct, frozen=True):
    """The GPU nodes in their own order. Of a list that could not be read `whole` nothing can be counted."""

    nodes: tuple[KfdNode, ...]
    whole: bool


class KfdNode(Struct, frozen=True):
    """One GPU node: a whole card, or one partition of it."""

    index: int | None  # among the GPU nodes, as ROCm numbers devices; None after a node that could not be read
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


def kfd_topology(host: Host, issues: Issues) -> Topology:
    """The GPU nodes, numbered as ROCm does; a machine without the driver has none.

    A node that could not be read may be a GPU: what comes after it has no number then. One that the kernel
    refuses is a card that this container was not given, which ROCm does not count either (`kfd_topology.c` of
    Linux, `topology_sysfs_check_node_supported` of libhsakmt).
    """
    listing = host.listdir(NODES)
    if listing.error == NOT_RECORDED:  # no driver is another thing: then the folder is not there
        issues.add(NOT_RECORDED, NODES, "what computes with which memory is not known")
    numbers = (whole_number(name) for name in issues.value(NODES, listing) or ())
    found: dict[tuple[int, int], KfdNode] = {}
    whole = True
    for number in sorted(number for number in numbers if number is not None):
        facts = _node_facts(host, issues, f"{NODES}/{number}/properties")
        if facts is None:
            whole = False
            continue
        place = facts.get("domain", 0), facts.get("location_id", -1)
        if facts.get("simd_count") and place[1] >= 0 and place not in found:
            found[place] = _node(host, issues, number, facts, len(found) if whole else None)
    return Topology(tuple(found.values()), whole)


def _node_facts(host: Host, issues: Issues, path: str) -> dict[str, int] | None:
    """What the file says of a node: {} of one that is refused, None where it may be any."""
    answer = host.read(path)
    facts = parse_properties(issues.value(path, answer) or "")
    if answer.error == NO_PERMISSION:
        return {}
    if "simd_count" in facts:  # every kernel states it, 0 of a processor
        return facts
    detail = "what it is, is not known: ROCm's numbers of those after it, and how many partitions a card has, are not"
    code = MALFORMED if answer.error is None else NOT_FOUND if answer.absent else answer.error
    issues.add(code, path, detail)
    return None


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


def _node(host: Host, issues: Issues, number: int, facts: dict[str, int], index: int | None) -> KfdNode:
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
    """The banks in device memory as one: sizes added up, width and clock of the first that has them.

    Where one of them could not be read there is no sum.
    """
    size, width, clock, whole = 0, 0, 0, True
    for bank in issues.listed(f"{folder}/mem_banks", host.listdir(f"{folder}/mem_banks")) or ():
        path = f"{folder}/mem_banks/{bank}/properties"
        facts = parse_properties(issues.listed(path, host.read(path)) or "")
        whole = whole and "heap_type" in facts
        if facts.get("heap_type") in _DEVICE_HEAPS:
            size += facts.get("size_in_bytes", 0)
            width = width or facts.get("width", 0)
            clock = clock or facts.get("mem_clk_max", 0)
    return Banks(size if size and whole else None, width or None, clock or None)


def _number(text: str) -> int | None:
    """Unlike other files these hold 64-bit numbers of twenty digits."""
    text = text.strip()
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= 20 else None
    return number if number is not None and number < 1 << 64 else None
