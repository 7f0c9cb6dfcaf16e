"""What is AMD's own in making a `Gpu`: shared product ids, APUs' memory, and figures by formula.

Its tables are read where they are needed: this module is imported for every machine with a GPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from gpucheck.catalog.cards import Card, all_cards
from gpucheck.catalog.find import Choice, identify
from gpucheck.catalog.names import tokens
from gpucheck.machine.types import Partition
from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import GpuReading, Memory

if TYPE_CHECKING:
    from gpucheck.machine.figures import Figures

_DIFFERENCE = 0.03  # between two sources, from which on an issue names both
_HIGHEST_OVERCLOCK = 1.25  # above this it is another memory, not a user's setting


def with_product_name(reading: GpuReading) -> GpuReading:
    """The reading with the name that its id and revision have, where the driver told none."""
    if reading.name is not None:
        return reading
    return replace(reading, name=_by_revision(reading))


def identified(reading: GpuReading) -> Choice | None:
    """The catalogue's card, by name or by id with memory and compute units.

    A revision that names a product which the catalogue lacks is none of the other products of its id. The size
    of an APU's carve-out is its owner's choice and tells no product.
    """
    by_revision = _by_revision(reading)
    if by_revision is not None and by_revision == reading.name and not _is_listed(by_revision):
        return None
    total = None if reading.integrated else reading.memory_total_bytes
    return identify("AMD", reading.name, reading.pci_device_id, total, reading.multiprocessors)


def asks_tools(reading: GpuReading) -> bool:
    """Whether a card's memory is not known, or its name to neither its driver, its revision, nor the catalogue."""
    if reading.memory_total_bytes is None:
        return True
    named = with_product_name(reading)
    return named.name is None and identified(named) is None


def note_ambiguous(reading: GpuReading, index: int, issues: Issues) -> None:
    """An issue for a card whose id several products have that nothing tells apart: its name is then the id's."""
    cards = [card for card in _cards() if reading.pci_device_id in card.pci_device_ids]
    units = reading.multiprocessors
    cards = [card for card in cards if units is None or card.sm_cu_count in {None, units * card.seen_as}]
    total = None if reading.integrated else reading.memory_total_bytes
    cards = [card for card in cards if total is None or not card.vram_gib or card.size_near(total) is not None]
    if len(cards) > 1:
        names = ", ".join(card.name for card in cards)
        detail = f"PCI id 1002:{reading.pci_device_id} with what else is known could be {names}"
        issues.add("ambiguous", f"gpus[{index}].name", detail)


def put_derived(figures: Figures, reading: GpuReading) -> None:
    """Cores and peak rates by formula, for what neither driver nor catalogue gave."""
    from gpucheck.catalog import derive_amd

    values = figures.values
    arch = derive_amd.generation(values.get("gfx_target"))
    if arch is None:
        return
    figures.put("architecture", arch.name, "derived")
    if figures.values.get("memory.kind") == "dedicated":
        figures.put("memory.type", arch.memory_type, "derived")
    units = values.get("multiprocessors")
    figures.put("matrix_cores", 0 if not arch.matrix_cores_per_cu else None, "derived")
    figures.put("matrix_generation", arch.matrix_generation, "derived")
    if units is None:
        return
    figures.put("shader_cores", units * derive_amd.SHADERS_PER_CU, "derived")
    figures.put("matrix_cores", units * arch.matrix_cores_per_cu, "derived")
    if reading.sm_clock_max_mhz:
        rates = derive_amd.peak_tflops(values["gfx_target"], units, reading.sm_clock_max_mhz)
        for name, tflops in rates.items():
            figures.put(f"flops.{name}", float(f"{tflops:.3g}") * 1e12, "derived")


def state_facts(reading: GpuReading) -> dict[str, Any]:
    """How ROCm numbers and divides the card; nothing for other makers' cards."""
    if reading.vendor != "AMD":
        return {"driver_index": reading.driver_index}
    return {
        "driver_index": reading.driver_index,
        "partition": Partition(reading.compute_partition, reading.memory_partition, reading.partitions),
    }


def is_divided(reading: GpuReading) -> bool:
    """Whether an integrated GPU has a carve-out and a loan, as amdgpu tells of them; Windows has one pool."""
    return reading.vendor == "AMD" and reading.pci_address is not None


def put_shared_memory(figures: Figures, reading: GpuReading, host_memory: Memory, index: int, issues: Issues) -> None:
    """An APU's pool: its carve-out and what the kernel lends it of the machine's memory (gpustack #4848).

    The carve-out is not in the machine's total. ROCm counts one part alone: what may be lent, on kernels since
    6.10 where that is more than the carve-out; the carve-out before (rocm-systems #5167, ollama #17350).
    A sum of which one part is unknown is unknown: neither part stands for the pool, nor does ROCm's figure.
    """
    carved, lent, rocm = reading.memory_total_bytes, reading.memory_gtt_total_bytes, reading.memory_rocm_bytes
    figures.put("memory.kind", "shared", "derived")
    figures.put("memory.carve_out_bytes", carved, "reported")
    figures.put("memory.gtt_bytes", lent, "reported")
    figures.put("memory.rocm_bytes", rocm, "reported")
    if lent is None or carved is None:
        detail = "carve-out and what the kernel lends are not both told, and one part is not the whole"
        issues.add("unknown", f"gpus[{index}].memory.total_bytes", detail)
        return
    figures.put("memory.total_bytes", carved + lent, "derived")
    if rocm is not None and rocm < (1 - _DIFFERENCE) * max(carved, lent):
        detail = (
            f"{carved / 2**30:.1f} GiB carved out and {lent / 2**30:.1f} GiB lent by the kernel; ROCm counts"
            f" {rocm / 2**30:.1f} GiB. ttm.pages_limit and the firmware's carve-out change them"
        )
        issues.add("rocm_memory_differs", f"gpus[{index}].memory.total_bytes", detail)
    _put_free(figures, reading, host_memory, (carved, lent))


def _put_free(figures: Figures, reading: GpuReading, host_memory: Memory, parts: tuple[int, int]) -> None:
    """What is free of carve-out and loan, of which the machine must have the latter; unknown if any of it is."""
    available, allowed = host_memory.available_bytes, host_memory.usable_bytes
    if reading.memory_used_bytes is None or reading.memory_gtt_used_bytes is None or available is None:
        return
    carved_free = max(0, parts[0] - reading.memory_used_bytes)
    lent_free = max(0, parts[1] - reading.memory_gtt_used_bytes)
    free = carved_free + min(lent_free, available)
    figures.put("memory.free_bytes", free, "derived")
    if reading.state == "ok" and allowed is not None:
        figures.put("memory.usable_bytes", min(free, carved_free + min(lent_free, allowed)), "derived")


def put_bandwidth(figures: Figures, reading: GpuReading, card: Card | None, index: int, issues: Issues) -> None:
    """Derived from bus and clock; the catalogue's where the clock has been raised a little, or is not reported."""
    from gpucheck.catalog import derive_amd

    figures.put("memory.type", reading.memory_type, "reported")
    bus_bits = reading.memory_bus_bits or (card.memory_bus_bits if card else None)
    clock_mhz = reading.memory_clock_max_mhz
    arch = derive_amd.generation(reading.gfx_target)
    kind = reading.memory_type or (card.memory_type if card else None) or (arch.memory_type if arch else None)
    if not bus_bits or not clock_mhz:
        return
    derived = derive_amd.bandwidth_bytes_per_s(bus_bits, clock_mhz, kind)
    if derived is None:
        return
    stated = card.bandwidth_gbs * 1e9 if card and card.bandwidth_gbs else None
    if stated is not None and abs(derived / stated - 1) > _DIFFERENCE:
        issues.add(
            "bandwidth_differs",
            "catalogue",
            f"GPU {index}: {bus_bits} bits of {kind} at {clock_mhz} MHz make {derived / 1e9:,.0f} GB/s,"
            f" the catalogue says {stated / 1e9:,.0f}",
        )
        if stated < derived <= _HIGHEST_OVERCLOCK * stated:  # a user's setting, not the card
            return
    figures.put("bandwidth_bytes_per_s", derived, "derived")


def _by_revision(reading: GpuReading) -> str | None:
    from gpucheck.catalog.amd_ids import name_by_revision

    return name_by_revision(reading.pci_device_id, reading.pci_revision)


def _is_listed(name: str) -> bool:
    wanted = tokens(name)
    return any(tokens(known) == wanted for card in _cards() for known in (card.name, *card.driver_names))


def _cards() -> list[Card]:
    return [card for card in all_cards() if card.vendor == "AMD"]
