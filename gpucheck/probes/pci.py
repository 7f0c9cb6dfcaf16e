"""Display and accelerator devices on the PCI bus, whether or not anything drives them."""

from __future__ import annotations

import re

from msgspec import Struct

from gpucheck.host.answer import IO_ERROR, NOT_FOUND, NOT_RECORDED
from gpucheck.host.host import Host
from gpucheck.probes.collect import Found, Issues, whole_number
from gpucheck.probes.facts import PciDevice
from gpucheck.probes.systems import is_linux

DEVICES = "/sys/bus/pci/devices"
# VGA, 3D, other display, accelerator, co-processor
CLASSES = frozenset({"0300", "0302", "0380", "1200", "0b40"})
GENERATIONS = {"2.5": 1, "5": 2, "8": 3, "16": 4, "32": 5, "64": 6}  # by GT/s
# Root ports of hypervisors (Red Hat, VMware, Microsoft, VirtualBox) give links that no cable has: QEMU's said
# x1 at 2.5 GT/s before version 4.0, whatever hardware was passed through.
VIRTUAL_BRIDGES = frozenset({"1b36", "15ad", "1414", "80ee"})

_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_MAX_LINE = 1000  # characters; the search for brackets takes the square of them
_LSPCI = re.compile(
    r"((?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]) .*?\[([0-9a-f]{4})\]: .*"
    r"\[([0-9a-f]{4}):([0-9a-f]{4})\](?: \(rev ([0-9a-f]{2})\))?(?: \(prog-if .*\))?"
)


def probe_pci(host: Host) -> Found[tuple[PciDevice, ...]]:
    """Devices of the classes that AI hardware has, in PCI order: from sysfs, or lspci where that is missing.

    A machine may have hundreds of devices, so all but `class` is read only for those that matter.
    """
    issues = Issues()
    names = host.listdir(DEVICES)
    if names.error == NOT_FOUND:
        answer = issues.value("lspci", host.run("lspci", "-Dnn"))
        return Found(parse_lspci(answer.stdout) if answer else (), issues.all())
    if names.error == NOT_RECORDED and is_linux(host):
        issues.add(NOT_RECORDED, DEVICES, "what is on the bus is not known")
    found = []
    for address in issues.value(DEVICES, names) or ():
        kind = _id(_always(host, issues, f"{DEVICES}/{address}/class"), 6)[:4]
        if kind in CLASSES and _ADDRESS.fullmatch(address):
            found.append(_device(host, issues, address, kind))
    return Found(tuple(sorted(found, key=lambda device: pci_order(device.address))), issues.all())


def parse_lspci(text: str) -> tuple[PciDevice, ...]:
    """Devices in the lines of `lspci -nn`, which leaves out a domain of 0000 unless `-D` is given.

    `01:00.0 VGA compatible controller [0300]: NVIDIA Corporation AD102 [GeForce RTX 4090] [10de:2684]`
    """
    found = []
    for line in text.splitlines():
        match = _LSPCI.fullmatch(line.strip()) if len(line) <= _MAX_LINE else None
        if match is not None and match[2] in CLASSES:
            address = match[1] if match[1].count(":") == 2 else f"0000:{match[1]}"
            found.append(PciDevice(address, match[3], match[4], match[2], revision=match[5]))
    return tuple(sorted(found, key=lambda device: pci_order(device.address)))


def parse_generation(text: str) -> int | None:
    """The generation of "16.0 GT/s PCIe", of "8 GT/s" (older kernels), None of "Unknown"."""
    return GENERATIONS.get(text.strip().partition(" ")[0].removesuffix(".0"))


def bridges_of(target: str) -> list[str]:
    """Addresses above a device, nearest first, in its link.

    `../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0`
    """
    path = [part for part in target.split("/") if _ADDRESS.fullmatch(part)]
    return path[-2::-1]


def pci_order(address: str) -> tuple[int, ...]:
    """A key that sorts addresses; domains may have more than four digits, so their text does not."""
    return tuple(int(part, 16) for part in re.split(r"[:.]", address))


def _device(host: Host, issues: Issues, address: str, kind: str) -> PciDevice:
    folder = f"{DEVICES}/{address}"

    def read(name: str) -> str | None:
        return issues.value(f"{folder}/{name}", host.read(f"{folder}/{name}"))

    subsystem = f"{_id(read('subsystem_vendor'), 4)}:{_id(read('subsystem_device'), 4)}"
    bound = host.readlink(f"{folder}/driver")
    driver = issues.value(f"{folder}/driver", bound)
    link = _link(host, issues, folder)
    return PciDevice(
        address=address,
        vendor_id=_id(_always(host, issues, f"{folder}/vendor"), 4),
        device_id=_id(_always(host, issues, f"{folder}/device"), 4),
        pci_class=kind,
        subsystem=subsystem if len(subsystem) == 9 else None,
        revision=_id(read("revision"), 2) or None,
        driver=driver.rstrip("/").rpartition("/")[2] if driver else None,
        driver_known=bool(driver) or bound.absent,
        link_width=link.width,
        link_max_width=link.max_width,
        link_generation=link.generation,
        link_max_generation=link.max_generation,
        link_complete=link.complete,
        numa_node=whole_number(read("numa_node")),  # -1 where the firmware does not say
    )


def _always(host: Host, issues: Issues, path: str) -> str | None:
    """The text of a file that every device has, so that its absence is news."""
    answer = host.read(path)
    if answer.absent:
        issues.add(answer.error or NOT_FOUND, path, "the bus lists this device, but nothing says what it is")
    return issues.value(path, answer)


class _Link(Struct, frozen=True):
    """The narrowest and slowest link between a card and its root port; nothing of a way that is not known whole."""

    width: int | None = None
    generation: int | None = None
    max_width: int | None = None
    max_generation: int | None = None
    complete: bool = True


def _link(host: Host, issues: Issues, folder: str) -> _Link:
    """Width and generation, now and at most, of the narrowest and slowest link up to the root port.

    A card with a switch of its own says x16 of the link to that switch while the slot has four lanes
    (nokyan/resources #512, LACT #334). So a link that cannot be read leaves the whole way unknown.
    """
    bridges = _bridges(host, issues, folder)
    if bridges is None:
        return _Link(complete=False)
    values: list[int | None] = []
    for when in ("current", "max"):
        for name, parse in (("width", _lanes), ("speed", parse_generation)):
            texts = [_link_text(host, issues, f"{one}/{when}_link_{name}") for one in (folder, *bridges)]
            if None in texts:
                return _Link(complete=False)
            values.append(min((value for text in texts if (value := parse(text or ""))), default=None))
    return _Link(values[0], values[1], values[2], values[3])


def _lanes(text: str) -> int | None:
    """Lanes of a link: none at all is 0, and one that cannot be told 255."""
    width = whole_number(text)
    return width if width and width <= 32 else None


def _bridges(host: Host, issues: Issues, folder: str) -> list[str] | None:
    """Folders of the real bridges above a device; None where not all of them are known."""
    answer = host.readlink(folder)
    stated = host.read(f"{folder}/current_link_width").value is not None  # its own link, which needs no bridge
    target = (issues.listed if stated else issues.value)(folder, answer)
    if target is None and (stated or not answer.absent):
        return None
    found = []
    for address in bridges_of(target or ""):
        path = f"{DEVICES}/{address}/vendor"
        vendor = host.read(path)
        if issues.value(path, vendor) is None and not vendor.absent:
            return None
        if _id(vendor.value, 4) not in VIRTUAL_BRIDGES:
            found.append(f"{DEVICES}/{address}")
    return found


def _link_text(host: Host, issues: Issues, path: str) -> str | None:
    """The file's text, None where it cannot be read; devices without a link say "Invalid argument" on older kernels."""
    answer = host.read(path)
    if answer.error == IO_ERROR or answer.absent:
        return ""
    return issues.value(path, answer)


def _id(text: str | None, digits: int) -> str:
    """The digits of "0x10de", empty for anything else."""
    found = re.fullmatch(r"0x([0-9a-f]+)", (text or "").strip().lower())
    return found[1].zfill(digits) if found is not None and len(found[1]) <= digits else ""
