"""Display adapters of Windows: their makers by CIM, their memory by the registry, NVIDIA's by NVML beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gpucheck.host.answer import NOT_FOUND
from gpucheck.host.host import Host
from gpucheck.probes.collect import Found, Issues
from gpucheck.probes.facts import GpuReading, State, Vendor
from gpucheck.probes.intel_ids import is_card
from gpucheck.probes.windows import REGISTRY, ask_json, cim, count, objects, pci_ids, text

VENDORS: dict[str, Vendor] = {"10de": "NVIDIA", "1002": "AMD", "8086": "Intel"}
SIZE = "HardwareInformation.qwMemorySize"
SOURCE = "registry qwMemorySize"
WDDM = 0  # nvmlDriverModel_t
# Graphics of AMD's processors: "AMD Radeon(TM) Graphics", "AMD Radeon(TM) 780M Graphics", "… 8060S Graphics"
_AMD_INTEGRATED = re.compile(r"radeon(?:\(tm\))?(?: rx)? (?:vega \d+ )?(?:\d{3}m\b|8\d{3}s\b|graphics)", re.IGNORECASE)


class Adapter(Struct, frozen=True):
    """One display adapter on the PCI bus."""

    name: str | None
    vendor: Vendor
    device_id: str
    subsystem: str | None = None
    memory_bytes: int | None = None  # its own; of integrated graphics the part set aside at start
    error_code: int | None = None  # of the device manager: 0 works, 22 is disabled, 43 reported a problem


def probe_adapters(host: Host) -> Found[tuple[Adapter, ...]]:
    """Every adapter of a maker that AI frameworks know; nothing on other systems."""
    issues = Issues()
    entries = objects(cim(host, issues).get("video", []))
    known = [(entry, ids) for entry in entries if (ids := pci_ids(text(entry, "PNPDeviceID") or ""))]
    if not known:
        return Found((), issues.all())
    registry = objects(ask_json(host, REGISTRY, SOURCE, issues))
    adapters = []
    for entry, (vendor_id, device_id, subsystem) in known:
        if vendor_id in VENDORS:
            name = text(entry, "Name")
            code = entry.get("ConfigManagerErrorCode")
            adapters.append(
                Adapter(
                    name=name,
                    vendor=VENDORS[vendor_id],
                    device_id=device_id,
                    subsystem=subsystem,
                    memory_bytes=registry_bytes(registry, name, vendor_id, device_id, issues),
                    error_code=code if type(code) is int else None,
                )
            )
    return Found(tuple(adapters), issues.all())


def registry_bytes(
    registry: Sequence[Mapping[str, Any]], name: str | None, vendor_id: str, device_id: str, issues: Issues
) -> int | None:
    """The driver's own 64-bit figure, found by the card's id and name, never by its place in a list.

    `AdapterRAM` is not even asked for: it has 32 bits and says 4293918720 of everything larger (llmfit #830,
    mesh-llm #1836). Keys of cards long gone stay in the registry.
    """
    sizes: set[int] = set()
    for entry in registry:
        ids = pci_ids(text(entry, "MatchingDeviceId") or "")
        if ids is not None and ids[:2] == (vendor_id, device_id) and text(entry, "DriverDesc") == name:
            size = _size(entry.get(SIZE))
            sizes.update({size} if size else ())
    if len(sizes) > 1:
        issues.add("ambiguous", SOURCE, f"{name} has several sizes: {sorted(sizes)}")
    return sizes.pop() if len(sizes) == 1 else None


def memory_bytes(host: Host) -> int | None:
    """The machine's memory, to tell what is set aside for graphics apart from what a card has."""
    found = host.psutil("virtual_memory").value
    return count(found, "total") if isinstance(found, dict) else None


def with_adapters(
    readings: Sequence[GpuReading], adapters: Sequence[Adapter], host_bytes: int | None, issues: Issues
) -> list[GpuReading]:
    """The readings of NVML, and one for each adapter that it does not name."""
    left, found = list(adapters), []
    for reading in readings:
        adapter = _adapter_of(reading, left)
        if adapter is None:
            found.append(reading)
            continue
        left.remove(adapter)
        found.append(
            replace(
                reading,
                name=reading.name or adapter.name,
                pci_device_id=reading.pci_device_id or adapter.device_id,
                pci_subsystem=reading.pci_subsystem or adapter.subsystem,
            )
        )
    return [*found, *(_reading(adapter, host_bytes, issues) for adapter in left)]


def _adapter_of(reading: GpuReading, adapters: Sequence[Adapter]) -> Adapter | None:
    """NVML's card among the adapters: by id, by name, and one of which NVML knows neither is any of NVIDIA's."""
    own = [adapter for adapter in adapters if adapter.vendor == reading.vendor]
    if reading.pci_device_id is not None:
        own = [adapter for adapter in own if adapter.device_id == reading.pci_device_id]
    elif reading.name is not None:
        own = [adapter for adapter in own if adapter.name == reading.name]
    return own[0] if own else None


def note_wddm(host: Host, readings: Sequence[GpuReading], issues: Issues) -> None:
    """Say which cards run under WDDM, as all GeForce cards do; TCC and MCDM are for computing alone."""
    for reading in readings:
        model = host.nvml(f"gpu{reading.driver_index}", "CurrentDriverModel")
        if reading.driver_index is not None and model.value == WDDM:
            issues.add(
                "wddm",
                f"nvml gpu{reading.driver_index}",
                "under WDDM Windows moves programs' memory out of the card for others: what is free is no promise,"
                " and who uses how much is not told",
            )


def is_integrated(adapter: Adapter) -> bool:
    """Whether it shares the host's memory: by Intel's ids and AMD's names, as Windows tells no place on the bus."""
    if adapter.vendor == "Intel":
        return not is_card(adapter.device_id)
    return adapter.vendor == "AMD" and _AMD_INTEGRATED.search(adapter.name or "") is not None


def _reading(adapter: Adapter, host_bytes: int | None, issues: Issues) -> GpuReading:
    integrated = is_integrated(adapter)
    memory = adapter.memory_bytes
    if integrated and memory is not None and (host_bytes is None or memory <= host_bytes):
        memory = None  # set aside at start; a Strix Halo may have 96 GiB set aside and leave Windows 32
    if memory is None and not integrated:
        issues.add(NOT_FOUND, f"{adapter.name} memory", "neither NVML nor the registry tells it")
    state, detail = _state(adapter)
    return GpuReading(
        vendor=adapter.vendor,
        state=state,
        name=adapter.name,
        pci_device_id=adapter.device_id,
        pci_subsystem=adapter.subsystem,
        integrated=integrated if adapter.vendor != "NVIDIA" else None,
        memory_total_bytes=memory,
        detail=detail,
        sources={"memory_total_bytes": SOURCE} if memory is not None else {},
    )


def _state(adapter: Adapter) -> tuple[State, str | None]:
    """The device manager's verdict; an NVIDIA card without NVML computes nothing."""
    if adapter.error_code:
        return "no_driver", f"Windows gives it the error code {adapter.error_code}"
    if "microsoft basic" in (adapter.name or "").lower():
        return "no_driver", "Windows runs it with its basic display driver"
    if adapter.vendor == "NVIDIA":
        return "unreachable", "Windows has a driver for it, but NVML does not name it: reinstall NVIDIA's driver"
    return "ok", None


def _size(value: object) -> int | None:
    """A REG_QWORD as a number; some drivers write REG_BINARY, which comes as a list of bytes, lowest first."""
    if isinstance(value, list) and len(value) in {4, 8} and all(type(b) is int and 0 <= b < 256 for b in value):
        value = int.from_bytes(bytes(value), "little")
    return value if type(value) is int and 0 < value < 1 << 50 else None
