"""Intel GPUs and Gaudi accelerators, as the PCI bus and the xe and i915 drivers describe them."""

from __future__ import annotations

from gpucheck.host.answer import NOT_FOUND
from gpucheck.host.host import Host
from gpucheck.probes.collect import Found, Issues
from gpucheck.probes.facts import GpuReading, OtherDriver, PciDevice, State
from gpucheck.probes.pci import DEVICES

GRAPHICS, HABANA = "8086", "1da3"
DISPLAY = frozenset({"0300", "0302", "0380"})  # 1200 is an NPU here, as in Meteor Lake
DRIVERS = {GRAPHICS: ("xe", "i915"), HABANA: ("habanalabs",)}
INTEGRATED = "0000:00:02.0"


def probe_intel(host: Host, pci: tuple[PciDevice, ...]) -> Found[tuple[GpuReading, ...]]:
    """One reading per graphics or Gaudi device, in PCI order."""
    issues = Issues()
    readings = [
        _reading(host, issues, device)
        for device in pci
        if device.vendor_id == HABANA or (device.vendor_id == GRAPHICS and device.pci_class in DISPLAY)
    ]
    return Found(tuple(readings), issues.all())


def probe_intel_driver(host: Host) -> Found[OtherDriver | None]:
    """The graphics driver that is loaded; both come with the kernel and have no version of their own."""
    issues = Issues()
    for name in (*DRIVERS[GRAPHICS], *DRIVERS[HABANA]):
        folder = f"/sys/module/{name}"
        if issues.value(folder, host.listdir(folder)) is not None:
            version = issues.value(f"{folder}/version", host.read(f"{folder}/version"))
            return Found(OtherDriver(name, (version or "").strip() or None), issues.all())
    return Found(None, issues.all())


def parse_bytes(text: str | None) -> int | None:
    """A size as the drivers print it: "0x00000003fa000000" (the kernel's %pa), or decimal."""
    try:
        size = int((text or "").strip()[:20], 0)
    except ValueError:
        return None
    return size if size > 0 else None


def _reading(host: Host, issues: Issues, device: PciDevice) -> GpuReading:
    integrated = device.vendor_id == GRAPHICS and device.address == INTEGRATED
    state, detail = _state(device)
    memory = None if integrated else _memory_bytes(host, issues, f"{DEVICES}/{device.address}")
    if memory is None and not integrated and state == "ok":
        issues.add(NOT_FOUND, f"{device.address} memory", "its driver does not tell it")
    return GpuReading(
        vendor="Intel",
        state=state,
        pci_address=device.address,
        pci_device_id=device.device_id,
        pci_subsystem=device.subsystem,
        integrated=integrated,
        memory_total_bytes=memory,
        pcie_generation=device.link_generation,
        pcie_width=device.link_width,
        pcie_max_generation=device.link_max_generation,
        pcie_max_width=device.link_max_width,
        detail=detail,
    )


def _state(device: PciDevice) -> tuple[State, str | None]:
    wanted = DRIVERS[device.vendor_id]
    if device.driver is None:
        return "no_driver", "no kernel driver is bound to it"
    if device.driver not in wanted:
        return "wrong_driver", f"{device.driver} is bound to it, not {' or '.join(wanted)}"
    return "ok", None


def _memory_bytes(host: Host, issues: Issues, folder: str) -> int | None:
    """Local memory: summed over the tiles (xe), or of the card (i915, llmfit #733)."""
    names = issues.value(folder, host.listdir(folder)) or ()
    paths = [f"{folder}/{name}/physical_vram_size_bytes" for name in names if name.startswith("tile")]
    tiles = [parse_bytes(issues.value(path, host.read(path))) for path in paths]
    if any(tiles):
        return sum(size for size in tiles if size)
    for name in issues.value(f"{folder}/drm", host.listdir(f"{folder}/drm")) or ():
        path = f"{folder}/drm/{name}/lmem_total_bytes"
        if name.startswith("card") and (size := parse_bytes(issues.value(path, host.read(path)))):
            return size
    return None
