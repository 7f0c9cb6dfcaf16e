"""AMD GPUs: the PCI bus says which there are, sysfs how much memory they have, KFD what they compute with."""

from __future__ import annotations

from collections.abc import Iterable

from gpucheck.host.answer import NOT_FOUND
from gpucheck.host.host import Host
from gpucheck.probes.collect import Found, Issues, whole_number
from gpucheck.probes.facts import GpuReading, OtherDriver, PciDevice, State
from gpucheck.probes.kfd import KfdNode, by_card, kfd_nodes
from gpucheck.probes.pci import DEVICES, pci_order

VENDOR = "1002"
DRIVER = "amdgpu"
KFD = "/dev/kfd"
MODULE = "/sys/module/amdgpu"


def probe_amd(host: Host, pci: tuple[PciDevice, ...]) -> Found[tuple[GpuReading, ...]]:
    """One reading per card, in PCI order; a card in partitions is one card with what its partitions have."""
    issues = Issues()
    devices = {device.address: device for device in pci if device.vendor_id == VENDOR}
    cards = by_card(kfd_nodes(host, issues), frozenset(devices))
    readings = [
        _reading(host, issues, address, devices.get(address), cards.get(address, ()))
        # a container may be shown the compute topology and no PCI bus
        for address in sorted({*devices, *cards}, key=pci_order)
    ]
    return Found(tuple(readings), issues.all())


def probe_amd_driver(host: Host) -> Found[OtherDriver | None]:
    """The kernel driver where it is loaded; AMD's own package has a version, the kernel's own has none."""
    issues = Issues()
    if issues.value(MODULE, host.listdir(MODULE)) is None:
        return Found(None, issues.all())
    version = issues.value(f"{MODULE}/version", host.read(f"{MODULE}/version"))
    return Found(OtherDriver(DRIVER, (version or "").strip() or None), issues.all())


def state_of(device: PciDevice | None, in_kfd: bool, kfd_open: bool | None) -> tuple[State, str | None]:
    """What stands between the card and ROCm; `kfd_open` None is a device file that is not there."""
    if device is not None and device.driver is None:
        return "no_driver", "no kernel driver is bound to it"
    if device is not None and device.driver != DRIVER:
        return "wrong_driver", f"{device.driver} is bound to it; ROCm needs {DRIVER}"
    if in_kfd and kfd_open is None:
        return "unreachable", f"{KFD} is not here: a container needs --device={KFD} --device=/dev/dri"
    if in_kfd and kfd_open is False:  # rocm-smi works while HIP sees no device (ROCm-docker #116)
        return "no_permission", f"{KFD} cannot be opened for reading and writing"
    return "ok", None


def _reading(
    host: Host, issues: Issues, address: str, device: PciDevice | None, nodes: tuple[KfdNode, ...]
) -> GpuReading:
    state, detail = state_of(device, bool(nodes), _kfd_open(host, issues) if nodes else None)
    first = nodes[0] if nodes else None
    folder = f"{DEVICES}/{address}"
    total, used = (_bytes(host, issues, f"{folder}/mem_info_vram_{what}") for what in ("total", "used"))
    source = "sysfs" if total is not None else "kfd"
    if total is None:
        total = _sum(node.memory_bytes for node in nodes)
    if total is None and state == "ok":
        issues.add(NOT_FOUND, f"{address} memory", "neither sysfs nor KFD tells it")
    # only boards with an FRU chip, which data-centre cards have, know their name
    name = issues.value(f"{folder}/product_name", host.read(f"{folder}/product_name"))
    return GpuReading(
        vendor="AMD",
        state=state,
        driver_index=first.index if first else None,
        name=(name or "").strip() or None,
        uuid=f"GPU-{first.unique_id:016x}" if first and first.unique_id else None,
        pci_address=address,
        pci_device_id=device.device_id if device else first.device_id if first else None,
        pci_subsystem=device.subsystem if device else None,
        gfx_target=first.gfx_target if first else None,
        integrated=first.shares_cpu if first else None,
        memory_total_bytes=total,
        memory_free_bytes=max(0, total - used) if total is not None and used is not None else None,
        memory_used_bytes=used,
        multiprocessors=_sum(node.compute_units for node in nodes),
        pcie_generation=device.link_generation if device else None,
        pcie_width=device.link_width if device else None,
        pcie_max_generation=device.link_max_generation if device else None,
        pcie_max_width=device.link_max_width if device else None,
        detail=detail,
        sources={"memory_total_bytes": source} if total is not None else {},
    )


def _kfd_open(host: Host, issues: Issues) -> bool | None:
    """Whether this process may compute; None where the file is missing, True where nobody can tell."""
    answer = host.may("rw", KFD)
    if answer.error == NOT_FOUND:
        return None
    return issues.value(KFD, answer) is not False


def _bytes(host: Host, issues: Issues, path: str) -> int | None:
    return whole_number(issues.value(path, host.read(path)))


def _sum(values: Iterable[int | None]) -> int | None:
    """The sum of what is known, None when nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
