"""One `Gpu` from what its driver reports and what the catalogue knows of that very card.

Order of trust: reported; derived from reported; the catalogue's card of exactly this name or id and memory size;
unknown. Where derived and catalogue differ by more than 3 %, an issue says so.
"""

from __future__ import annotations

from typing import Any

from gpucheck.catalog import derive
from gpucheck.catalog.cards import Card, as_seen, pci_names
from gpucheck.catalog.find import Choice, identify
from gpucheck.catalog.segment import segment_of
from gpucheck.machine import amd, nvidia
from gpucheck.machine.binned import binned_choice
from gpucheck.machine.figures import Figures, assemble, idle_usable_bytes, put_card
from gpucheck.machine.types import Gpu, Health, Kind, Mig, NvLink
from gpucheck.machine.unified import SharedMemory, is_shared_part, shared_memory
from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import GpuReading, Memory
from gpucheck.probes.nvidia.words import names_vgpu

VENDOR_IDS = {"NVIDIA": "10de", "AMD": "1002", "Intel": "8086", "Apple": "106b"}


def build_gpu(reading: GpuReading, index: int, host_memory: Memory, issues: Issues, *, bare_metal: bool = True) -> Gpu:
    """The card that a reading describes, under the number `index`.

    Where the machine may be virtual, an NVIDIA card of which neither mode nor name is known may be a vGPU: its kind is
    unknown then, and so is a memory size that only the catalogue has of the whole card.
    """
    if reading.vendor == "AMD":
        reading = amd.with_product_name(reading)
    choice = _choice(reading, index, issues)
    card = choice.card if choice else None
    figures = Figures()
    _put_reported(figures, reading)
    kind = _kind(reading, card, bare_metal=bare_metal)
    sized = _sized(reading, kind, choice)
    if kind is None:
        detail = "in a virtual machine, and neither mode nor name is known: it may be a share of the card"
        issues.add("may_be_vgpu", f"gpus[{index}]", detail)
    if kind == "vgpu" and reading.memory_total_bytes is None:
        choice = card = None  # whose share it is says nothing of its size
    if reading.vendor == "AMD" and kind != "integrated":
        amd.put_bandwidth(figures, reading, card, index, issues)
    if kind == "integrated" and amd.is_divided(reading):
        amd.put_shared_memory(figures, reading, host_memory, index, issues)
    elif kind in {"integrated", "unified"}:
        _put_pool(figures, shared_memory(reading, host_memory, index, issues))
    else:
        _put_memory(figures, reading, sized)
    if reading.vendor == "NVIDIA":
        nvidia.put_bandwidth(figures, reading, card, index, issues)
    if card is not None:
        put_card(figures, card)
    name = reading.name or (card.name if card else _pci_name(reading))
    segment = card.segment if card else segment_of(name, reading.brand)
    if reading.vendor == "NVIDIA":
        nvidia.put_derived(figures, reading, segment)
    elif reading.vendor == "AMD":
        amd.put_derived(figures, reading)
    gpu = assemble(
        figures,
        index=index,
        name=name,
        vendor=reading.vendor,
        state=reading.state,
        kind=kind,
        segment=segment,
        catalogue_id=card.id if card else None,
        chip=card.chip if card else None,
        mig=_mig(reading),
        **_state_facts(reading),
        **amd.state_facts(reading),
    )
    _note_unknown(gpu, issues)
    return gpu


def _choice(reading: GpuReading, index: int, issues: Issues) -> Choice | None:
    """The catalogue's card, unless what the driver counts on the board contradicts it."""
    found = (
        amd.identified(reading)
        if reading.vendor == "AMD"
        else identify(
            reading.vendor,
            reading.name,
            reading.pci_device_id,
            reading.memory_total_bytes,
            reading.multiprocessors,
        )
    )
    found = found or binned_choice(reading)
    if found is None and reading.vendor == "AMD":
        amd.note_ambiguous(reading, index, issues)
    if found is None:
        return None
    choice = Choice(as_seen(found.card), found.size_index)
    card = choice.card
    pairs = ((reading.shader_cores, card.shader_cores), (reading.compute_capability, card.compute_capability))
    for reported, listed in pairs:
        if reported is not None and listed is not None and reported != listed:
            detail = f"GPU {index}: {reading.name} reports {reported} where the catalogue's {card.name} has {listed}"
            issues.add("not_the_catalogue_card", "catalogue", detail)
            return None
    return choice


def _sized(reading: GpuReading, kind: Kind | None, choice: Choice | None) -> Choice | None:
    """The catalogue's card, None where a memory size that the driver did not tell may be another than that card's."""
    if choice is None or reading.memory_total_bytes is not None:
        return choice
    return None if kind in {None, "vgpu"} or choice.card.id in nvidia.SIZE_IS_OPEN else choice


def _put_reported(figures: Figures, reading: GpuReading) -> None:
    reported = {
        "architecture": reading.architecture,
        "compute_capability": reading.compute_capability,
        "gfx_target": reading.gfx_target,
        "memory.bus_bits": reading.memory_bus_bits,
        "memory.clock_mhz": reading.memory_clock_max_mhz,
        "multiprocessors": reading.multiprocessors,
        "shader_cores": reading.shader_cores,
        "pcie.generation": reading.pcie_generation,
        "pcie.width": reading.pcie_width,
        "pcie.max_generation": reading.pcie_max_generation,
        "pcie.max_width": reading.pcie_max_width,
        "tdp_w": reading.power_default_limit_w,
        "power_limit_w": reading.power_limit_w,
        "processes": reading.processes,
        "processes_memory_bytes": reading.processes_memory_bytes,
    }
    for path, value in reported.items():
        figures.put(path, value, "reported")


def _put_pool(figures: Figures, pool: SharedMemory) -> None:
    """The memory that the GPU shares with the processor."""
    figures.put("memory.kind", "shared", "derived")
    for name, share in (("total", pool.total), ("free", pool.free), ("usable", pool.usable)):
        figures.put(f"memory.{name}_bytes", share.value, share.basis)


def _put_memory(figures: Figures, reading: GpuReading, choice: Choice | None) -> None:
    """Total, free and usable bytes of a card's own memory."""
    figures.put("memory.kind", "dedicated", "derived")
    figures.put("memory.total_bytes", reading.memory_total_bytes, "reported")
    figures.put("memory.free_bytes", reading.memory_free_bytes, "reported")
    figures.put("memory.usable_bytes", reading.memory_free_bytes, "reported")
    if choice is not None and choice.size_index is not None:
        figures.put("memory.total_bytes", choice.card.total_bytes(choice.size_index), "catalogue")
        if reading.state == "ok":
            total = figures.values["memory.total_bytes"]
            nominal = reading.memory_total_bytes is None and choice.size_index >= len(choice.card.reported_mib)
            figures.put("memory.usable_bytes", idle_usable_bytes(total, choice.card, nominal), "assumed")


def _kind(reading: GpuReading, card: Card | None, *, bare_metal: bool) -> Kind | None:
    if reading.virtualization == "vgpu" or (reading.vendor == "NVIDIA" and names_vgpu(reading.name)):
        return "vgpu"
    silent = reading.virtualization is None and reading.name is None
    if reading.vendor == "NVIDIA" and silent and not bare_metal:
        return None
    arch = derive.architecture(reading.compute_capability)
    if reading.vendor == "Apple" or (card and card.segment in {"soc", "embedded"}) or (arch and arch.unified_memory):
        return "unified"
    if card and card.shares_memory and card.segment != "apu":
        return "unified"
    if reading.vendor == "NVIDIA" and is_shared_part(reading):
        return "unified"
    return "integrated" if reading.integrated or (card and card.shares_memory) else "discrete"


def _mig(reading: GpuReading) -> Mig:
    listed = reading.mig_mode == "enabled" and reading.mig_devices is not None and reading.mig_devices_complete
    return Mig(mode=reading.mig_mode, instances=len(reading.mig_devices or ()) if listed else None)


def _state_facts(reading: GpuReading) -> dict[str, Any]:
    """What describes this board now, rather than its kind."""
    return {
        "nvlink": NvLink(active_links=reading.nvlinks_active, generation=reading.nvlink_version),
        "health": Health(
            fabric_state=reading.fabric_state,
            remap_pending=reading.remap_pending,
            remap_failed=reading.remap_failed,
            retired_pages_pending=reading.retired_pages_pending,
            xids=reading.xids,
            ecc_volatile_uncorrected=reading.ecc_volatile_uncorrected,
            ecc_aggregate_uncorrected=reading.ecc_aggregate_uncorrected,
        ),
        "numa_node": reading.numa_node,
        "ecc_enabled": reading.ecc_enabled,
        "compute_mode": reading.compute_mode,
        "persistence": reading.persistence,
        "virtualization": reading.virtualization,
        "throttle_reasons": reading.throttle_reasons,
        "pci_address": reading.pci_address,
        "pci_id": _pci_id(reading),
        "uuid": reading.uuid,
        "detail": reading.detail,
        "display_active": reading.display_active,
        "vgpu_licensed": reading.vgpu_licensed,
    }


def _pci_name(reading: GpuReading) -> str | None:
    """The bus database's name, which may stand for several products: "Navi 31 [Radeon RX 7900 XT/…]"."""
    return pci_names().get(_pci_id(reading) or "")


def _pci_id(reading: GpuReading) -> str | None:
    """Vendor and device as the bus has them, 10de:2684. Intel's Gaudi still carries the vendor id of Habana."""
    if not reading.pci_device_id:  # empty where the bus has it and cannot tell
        return None
    if reading.vendor == "Intel" and (habana := f"1da3:{reading.pci_device_id}") in pci_names():
        return habana
    return f"{VENDOR_IDS[reading.vendor]}:{reading.pci_device_id}"


def _note_unknown(gpu: Gpu, issues: Issues) -> None:
    """An issue for each figure that a report shows and nothing gave."""
    shown = {
        "memory.total_bytes": gpu.memory.total_bytes,
        "memory.free_bytes": gpu.memory.free_bytes,
        "bandwidth_bytes_per_s": gpu.bandwidth_bytes_per_s,
        "shader_cores": gpu.shader_cores,
        "matrix_cores": gpu.matrix_cores,
        "flops.fp16": gpu.flops.fp16,
        "l2_cache_bytes": gpu.l2_cache_bytes,
        "tdp_w": gpu.tdp_w,
    }
    missing = [path for path, value in shown.items() if value is None]
    if missing:
        issues.add("unknown", f"gpus[{gpu.index}]", f"neither driver nor catalogue gives {', '.join(missing)}")
