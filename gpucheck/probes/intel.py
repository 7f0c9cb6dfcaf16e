"""Intel GPUs and Gaudi accelerators, as the PCI bus and the xe, i915 and habanalabs drivers describe them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpucheck.host.answer import MALFORMED, NOT_FOUND
from gpucheck.host.host import Host
from gpucheck.probes.collect import Found, Issues, whole_number
from gpucheck.probes.facts import UNKNOWN_DRIVER, GpuReading, OtherDriver, PciDevice, State
from gpucheck.probes.intel_ids import is_card
from gpucheck.probes.intel_tools import ToolReading, ask_hl_smi, ask_xpu_smi
from gpucheck.probes.pci import DEVICES

GRAPHICS, HABANA = "8086", "1da3"
DISPLAY = frozenset({"0300", "0302", "0380"})  # 1200 is an NPU here, as in Meteor Lake
DRIVERS = {GRAPHICS: ("xe", "i915"), HABANA: ("habanalabs",)}
INTEGRATED = "0000:00:02.0"
TTM_PAGES = "/sys/module/ttm/parameters/pages_limit"
PAGE_BYTES = 4096


def probe_intel(host: Host, pci: tuple[PciDevice, ...]) -> Found[tuple[GpuReading, ...]]:
    """One reading per graphics or Gaudi device, in PCI order; a card of two tiles is one device."""
    issues = Issues()
    gaudis = [device for device in pci if device.vendor_id == HABANA]
    told = ask_hl_smi(host, issues) if any(device.driver in DRIVERS[HABANA] for device in gaudis) else {}
    readings = [
        _gaudi(host, issues, device, told) if device.vendor_id == HABANA else _graphics(host, issues, device)
        for device in pci
        if device.vendor_id == HABANA or (device.vendor_id == GRAPHICS and device.pci_class in DISPLAY)
    ]
    for reading in readings:
        if not reading.pci_device_id:  # the bus has one of every device
            issues.add(NOT_FOUND, f"{DEVICES}/{reading.pci_address}/device", "it does not say which device this is")
    return Found(tuple(readings), issues.all())


def probe_intel_driver(host: Host, pci: tuple[PciDevice, ...] = ()) -> Found[OtherDriver | None]:
    """The driver that is loaded. habanalabs of Intel's package has a version, the kernel's own has none.

    Of xe and i915 nobody can say so: also those of Intel's packages may have none. A driver that is bound to a device
    is there, also where nothing tells of its module.
    """
    issues = Issues()
    names = (*DRIVERS[GRAPHICS], *DRIVERS[HABANA])
    for name in names:
        folder = f"/sys/module/{name}"
        if issues.value(folder, host.listdir(folder)) is not None:
            answer = host.read(f"{folder}/version")
            version = (answer.value or "").strip() or None
            if answer.error is not None and answer.error != NOT_FOUND:
                issues.add(answer.error, f"{folder}/version", answer.detail)
            in_tree = True if answer.error == NOT_FOUND and name in DRIVERS[HABANA] else False if version else None
            return Found(OtherDriver(name, version, in_tree), issues.all())
    bound = next((device.driver for device in pci if device.driver in names), None)
    if bound is None:
        return Found(None, issues.all())
    issues.add(NOT_FOUND, f"/sys/module/{bound}", "it drives a device; its module tells nothing of its version")
    return Found(OtherDriver(bound), issues.all())


def parse_bytes(text: str | None) -> int | None:
    """A size as the drivers print it: "0x00000003fa000000" (the kernel's %pa), or decimal."""
    try:
        size = int((text or "").strip()[:20], 0)
    except ValueError:
        return None
    return size if 0 < size < 1 << 63 else None


def is_integrated(device: PciDevice) -> bool:
    """Whether the GPU is the processor's own: by its id, and by its place for an id that no list has."""
    if is_card(device.device_id):
        return False
    return device.address == INTEGRATED or device.address.startswith("0000:00:")


def _graphics(host: Host, issues: Issues, device: PciDevice) -> GpuReading:
    folder, integrated = f"{DEVICES}/{device.address}", is_integrated(device)
    state, detail = _state(device)
    names = issues.value(folder, host.listdir(folder)) or ()
    tiles = sorted(name for name in names if name.startswith("tile") and name[4:].isdecimal())
    facts: dict[str, Any] = {"integrated": integrated, "sm_clock_max_mhz": _clock_mhz(host, issues, folder, tiles)}
    if integrated:
        if device.driver == "xe":
            facts["memory_limit_bytes"] = _lent_bytes(host, issues)
            facts["memory_limit_known"] = facts["memory_limit_bytes"] is not None
        return _reading(device, state, detail, facts, {"memory_limit_bytes": TTM_PAGES})
    memory, source = _memory_bytes(host, issues, folder, tiles), "sysfs"
    if memory is None and state == "ok":
        tool = ask_xpu_smi(host, issues).get(device.address, ToolReading())
        memory, source = tool.memory_total_bytes, "xpu-smi"
    if memory is None and state == "ok":
        issues.add(NOT_FOUND, f"{device.address} memory", "its driver does not tell it")
    if len(tiles) > 1:
        detail_text = f"{len(tiles)} tiles: oneAPI shows each as a device of its own"
        issues.add("tiles", device.address, f"{detail_text} unless ZE_FLAT_DEVICE_HIERARCHY=COMPOSITE")
    return _reading(device, state, detail, {**facts, "memory_total_bytes": memory}, {"memory_total_bytes": source})


def _gaudi(host: Host, issues: Issues, device: PciDevice, told: Mapping[str, ToolReading]) -> GpuReading:
    """A Gaudi: memory by hl-smi alone, health by the driver's own word."""
    state, detail = _state(device)
    path = f"{DEVICES}/{device.address}/status"
    word = (issues.value(path, host.read(path)) or "").strip()
    if state == "ok" and word and word.lower() != "operational":
        state, detail = "needs_reset", f"habanalabs says: {word}"
    tool = told.get(device.address, ToolReading())
    facts = {
        "integrated": False,
        "name": tool.name,
        "driver_index": tool.index,
        "memory_total_bytes": tool.memory_total_bytes,
        "memory_free_bytes": tool.memory_free_bytes,
    }
    sources = dict.fromkeys(("name", "memory_total_bytes", "memory_free_bytes"), "hl-smi")
    return _reading(device, state, detail, facts, sources)


def _reading(
    device: PciDevice, state: State, detail: str | None, facts: Mapping[str, Any], sources: Mapping[str, str]
) -> GpuReading:
    return GpuReading(
        vendor="Intel",
        state=state,
        pci_address=device.address,
        pci_device_id=device.device_id,
        pci_subsystem=device.subsystem,
        pcie_generation=device.link_generation,
        pcie_width=device.link_width,
        pcie_max_generation=device.link_max_generation,
        pcie_max_width=device.link_max_width,
        detail=detail,
        sources={fact: source for fact, source in sources.items() if facts.get(fact) is not None},
        **facts,
    )


def _state(device: PciDevice) -> tuple[State, str | None]:
    wanted = DRIVERS[device.vendor_id]
    if not device.driver_known:
        return "unknown", UNKNOWN_DRIVER
    if device.driver is None:
        return "no_driver", "no kernel driver is bound to it"
    if device.driver not in wanted:
        return "wrong_driver", f"{device.driver} is bound to it, not {' or '.join(wanted)}"
    return "ok", None


def _memory_bytes(host: Host, issues: Issues, folder: str, tiles: list[str]) -> int | None:
    """Local memory: summed over the tiles (xe), or of the card (i915, llmfit #733).

    Level Zero is no better source: it finds no memory on some Arc cards and 6.3 of 8 GB on an A750
    (compute-runtime #742, #586).
    """
    paths = [f"{folder}/{tile}/physical_vram_size_bytes" for tile in tiles]
    sizes = [parse_bytes(issues.value(path, host.read(path))) for path in paths]
    if sizes and all(sizes):
        return sum(size or 0 for size in sizes)
    if any(sizes):
        return None  # the sum of some tiles is not the card's memory
    for name in issues.value(f"{folder}/drm", host.listdir(f"{folder}/drm")) or ():
        path = f"{folder}/drm/{name}/lmem_total_bytes"
        if name.startswith("card") and (size := parse_bytes(issues.value(path, host.read(path)))):
            return size
    return None


def _clock_mhz(host: Host, issues: Issues, folder: str, tiles: list[str]) -> int | None:
    """The GPU's highest clock as it is set now: xe names it by tile, i915 by card."""
    paths = [f"{folder}/{tile}/gt0/freq0/max_freq" for tile in tiles[:1]]
    if not paths:
        names = issues.value(f"{folder}/drm", host.listdir(f"{folder}/drm")) or ()
        paths = [f"{folder}/drm/{name}/gt_max_freq_mhz" for name in names if name.startswith("card")]
    clocks = (whole_number(issues.value(path, host.read(path))) for path in paths)
    return next((clock for clock in clocks if clock), None)


def _lent_bytes(host: Host, issues: Issues) -> int | None:
    """What the kernel's graphics memory manager lends to GPUs at most: half of memory unless it is told more.

    The file is older than the xe driver, so that its absence is an issue as well.
    """
    answer = host.read(TTM_PAGES)
    pages = whole_number(answer.value)
    if not pages:
        issues.add(answer.error or MALFORMED, TTM_PAGES, answer.detail or f"not a number of pages: {answer.value!r}")
        return None
    return pages * PAGE_BYTES
