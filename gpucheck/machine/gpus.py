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
from gpucheck.machine import amd
from gpucheck.machine.binned import binned_choice
from gpucheck.machine.types import Flops, Gpu, GpuMemory, Health, Kind, Mig, NvLink, Pcie
from gpucheck.machine.unified import SharedMemory, is_shared_part, shared_memory
from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import Basis, GpuReading, Memory

VENDOR_IDS = {"NVIDIA": "10de", "AMD": "1002", "Intel": "8086", "Apple": "106b"}
_RESERVE_BYTES = 512 << 20  # what the driver keeps of an idle card: 0.4 to 0.6 GiB by NVML's second memory structure
# Above this the clock is another memory's: a GTX 1650 with GDDR6 has half as much again as its namesake with GDDR5.
_HIGHEST_OVERCLOCK = 1.25
_RATES = {"fp64": "fp64_tflops", "fp32": "fp32_tflops", "tf32": "tf32_tflops", "fp16": "fp16_tflops",
          "bf16": "bf16_tflops", "fp8": "fp8_tflops", "fp4": "fp4_tflops", "int8": "int8_tops"}  # fmt: skip


class Figures:
    """Known values by field path, each with its basis; the first that is known is kept."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.sources: dict[str, Basis] = {}

    def put(self, path: str, value: Any, basis: Basis) -> None:
        """Keep `value` for `path` unless it is unknown or a better source has spoken."""
        if value is not None and path not in self.values:
            self.values[path] = value
            self.sources[path] = basis

    def part(self, prefix: str) -> dict[str, Any]:
        """The values below a prefix: "flops" gives {"fp16": …}."""
        dot = prefix + "."
        return {path.removeprefix(dot): value for path, value in self.values.items() if path.startswith(dot)}

    def top(self) -> dict[str, Any]:
        """The values without a prefix."""
        return {path: value for path, value in self.values.items() if "." not in path}


def build_gpu(reading: GpuReading, index: int, host_memory: Memory, issues: Issues) -> Gpu:
    """The card that a reading describes, under the number `index`."""
    if reading.vendor == "AMD":
        reading = amd.with_product_name(reading)
    choice = _choice(reading, index, issues)
    card = choice.card if choice else None
    figures = Figures()
    _put_reported(figures, reading)
    kind = _kind(reading, card)
    if reading.vendor == "AMD" and kind == "integrated":
        amd.put_shared_memory(figures, reading, host_memory, index, issues)
    elif reading.vendor == "AMD":
        amd.put_bandwidth(figures, reading, card, index, issues)
    if kind in {"integrated", "unified"}:
        _put_pool(figures, shared_memory(reading, host_memory, index, issues))
    else:
        _put_memory(figures, reading, choice)
    _put_bandwidth(figures, reading, card, index, issues)
    if card is not None:
        put_card(figures, card)
    name = reading.name or (card.name if card else _pci_name(reading))
    segment = card.segment if card else segment_of(name, reading.brand)
    _put_derived(figures, reading, segment)
    if reading.vendor == "AMD":
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


def assemble(figures: Figures, **facts: Any) -> Gpu:
    """A `Gpu` from collected figures and plain facts."""
    return Gpu(
        memory=GpuMemory(**figures.part("memory")),
        flops=Flops(**figures.part("flops")),
        pcie=Pcie(**figures.part("pcie")),
        sources=dict(sorted(figures.sources.items())),
        **figures.top(),
        **facts,
    )


def put_card(figures: Figures, card: Card) -> None:
    """What the catalogue says of a card; memory size apart, which depends on the variant."""
    figures.put("architecture", card.architecture, "catalogue")
    figures.put("compute_capability", card.compute_capability, "catalogue")
    figures.put("gfx_target", card.gfx_target, "catalogue")
    figures.put("memory.type", card.memory_type if "|" not in (card.memory_type or "") else None, "catalogue")
    figures.put("memory.bus_bits", card.memory_bus_bits, "catalogue")
    figures.put("bandwidth_bytes_per_s", _scaled(card.bandwidth_gbs, 1e9), "catalogue")
    figures.put("l2_cache_bytes", _scaled(card.l2_cache_mib, 1 << 20), "catalogue")
    figures.put("infinity_cache_bytes", _scaled(card.infinity_cache_mib, 1 << 20), "catalogue")
    figures.put("multiprocessors", card.sm_cu_count, "catalogue")
    figures.put("shader_cores", card.shader_cores, "catalogue")
    figures.put("matrix_cores", card.matrix_cores, "catalogue")
    figures.put("matrix_generation", card.matrix_core_gen if card.matrix_cores != 0 else None, "catalogue")
    figures.put("tdp_w", card.tdp_w, "catalogue")
    figures.put("release_year", card.release_year, "catalogue")
    figures.put("pcie.max_generation", card.pcie_gen, "catalogue")
    figures.put("pcie.max_width", card.pcie_lanes, "catalogue")
    for name, field in _RATES.items():
        figures.put(f"flops.{name}", _scaled(getattr(card, field), 1e12), "catalogue")


def idle_usable_bytes(total_bytes: int, card: Card, nominal: bool) -> int:
    """What one process gets of an idle discrete card that cannot be asked: total less the driver's reserve.

    A data-centre card with GDDR memory keeps its ECC codes in it: one sixteenth, unless `total_bytes` is what
    the driver reports (T4: 15,360 of 16,384 MiB).
    """
    inline_ecc = nominal and card.segment == "datacenter" and (card.memory_type or "").startswith("GDDR")
    return max(0, (total_bytes * 15 // 16 if inline_ecc else total_bytes) - _RESERVE_BYTES)


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


def _put_bandwidth(figures: Figures, reading: GpuReading, card: Card | None, index: int, issues: Issues) -> None:
    """Derived from bus and clock; the catalogue's where the clock has been raised a little, or is not reported."""
    arch = derive.architecture(reading.compute_capability)
    unified = (card.shares_memory if card else False) or (arch.unified_memory if arch else False)
    if reading.vendor != "NVIDIA" or unified or not reading.memory_clock_max_mhz:
        return
    bus_bits = reading.memory_bus_bits or (card.memory_bus_bits if card else None)
    if not bus_bits:
        return
    derived = derive.bandwidth_bytes_per_s(bus_bits, reading.memory_clock_max_mhz)
    stated = _scaled(card.bandwidth_gbs, 1e9) if card else None
    if stated is not None and abs(derived / stated - 1) > 0.03:
        issues.add(
            "bandwidth_differs",
            "catalogue",
            f"GPU {index}: {bus_bits} bits at {reading.memory_clock_max_mhz} MHz make {derived / 1e9:,.0f} GB/s,"
            f" the catalogue says {stated / 1e9:,.0f}",
        )
        if stated < derived <= _HIGHEST_OVERCLOCK * stated:  # a user's setting, not the card
            return
    figures.put("bandwidth_bytes_per_s", derived, "derived")


def _put_derived(figures: Figures, reading: GpuReading, segment: str | None) -> None:
    """Cores and peak rates by formula, for what neither driver nor catalogue gave."""
    values = figures.values
    if reading.vendor != "NVIDIA":
        return
    arch = derive.architecture(values.get("compute_capability"))
    if arch is None:
        return
    figures.put("architecture", arch.name, "derived")
    if "shader_cores" not in values and "multiprocessors" in values:
        figures.put("shader_cores", values["multiprocessors"] * arch.cores_per_sm, "derived")
    if "multiprocessors" not in values and "shader_cores" in values:
        figures.put("multiprocessors", values["shader_cores"] // arch.cores_per_sm, "derived")
    units = _has_matrix_units(values.get("compute_capability"), reading.name)
    if units is None:
        pass  # neither counted nor denied
    elif not units or not arch.matrix_cores_per_sm:
        figures.put("matrix_cores", 0, "derived")
    else:
        if "multiprocessors" in values:
            figures.put("matrix_cores", values["multiprocessors"] * arch.matrix_cores_per_sm, "derived")
        figures.put("matrix_generation", arch.matrix_generation, "derived")
    if "shader_cores" in values and reading.sm_clock_max_mhz and not arch.unified_memory:
        clock_mhz = derive.boost_mhz(reading.sm_clock_max_mhz, segment)
        rates = derive.peak_tflops(
            values["compute_capability"], values["shader_cores"], clock_mhz,
            geforce=segment in {"consumer", "laptop"}, matrix_units=bool(units),
        )  # fmt: skip
        for name, tflops in rates.items():
            if units is None and name not in {"fp32", "fp64"}:
                continue
            figures.put(f"flops.{name}", float(f"{tflops:.3g}") * 1e12, "derived")


def _has_matrix_units(compute_capability: str | None, name: str | None) -> bool | None:
    """Whether there are tensor cores. 7.5 alone is no proof: GTX 16 cards, MX450 and T400 to T1200 have none."""
    arch = derive.architecture(compute_capability)
    if arch is None:
        return None
    if compute_capability != "7.5":
        return arch.matrix_cores_per_sm > 0
    words = set((name or "").upper().replace("-", " ").split())
    if words & {"RTX", "T4", "T4G"}:
        return True
    if words & {"GTX", "MX450", "MX550", "T400", "T500", "T550", "T600", "T1000", "T1200"}:
        return False
    return None


def _kind(reading: GpuReading, card: Card | None) -> Kind:
    if reading.virtualization == "vgpu":
        return "vgpu"
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
    }


def _pci_name(reading: GpuReading) -> str | None:
    """The bus database's name, which may stand for several products: "Navi 31 [Radeon RX 7900 XT/…]"."""
    return pci_names().get(_pci_id(reading) or "")


def _pci_id(reading: GpuReading) -> str | None:
    """Vendor and device as the bus has them, 10de:2684. Intel's Gaudi still carries the vendor id of Habana."""
    if reading.pci_device_id is None:
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


def _scaled(value: float | None, unit: float) -> int | None:
    return None if value is None else round(value * unit)
