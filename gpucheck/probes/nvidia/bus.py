"""The last rung: cards on the PCI bus. One physical card becomes one reading, whoever knows of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from gpucheck.host.answer import NO_PERMISSION, NOT_FOUND, NOT_RECORDED, OTHER_ROOT
from gpucheck.host.host import Host
from gpucheck.probes.facts import UNKNOWN_DRIVER, GpuReading, PciDevice, State
from gpucheck.probes.nvidia.kernel import CARDS, KernelCard
from gpucheck.probes.nvidia.smi_log import complete, sourced
from gpucheck.probes.nvidia.values import pci_address

VENDOR = "10de"
CLASSES = frozenset({"0300", "0302", "0380", "1200"})
CONTROL = "/dev/nvidiactl"
MODULE = "nvidia"
_LANES = frozenset({"pcie_width", "pcie_max_width"})
# What schedulers say they have given to this job; their device rules hide the other cards from NVML alone.
GIVEN = ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "SLURM_GPUS_ON_NODE", "PBS_NGPUS")


class Card(Struct, frozen=True):
    """One card as bus and kernel module know it; either may not."""

    address: str
    pci: PciDevice | None = None
    kernel: KernelCard | None = None

    @property
    def driver(self) -> str | None:
        """The bound kernel driver; a card that only the module lists is bound to it."""
        return MODULE if self.pci is None or self._module_alone_tells else self.pci.driver

    @property
    def may_be_bound(self) -> bool:
        """Whether NVIDIA's driver is bound to it, or may be."""
        return self.driver == MODULE or (self.pci is not None and not self.pci.driver_known)

    @property
    def _module_alone_tells(self) -> bool:
        return self.kernel is not None and self.pci is not None and not self.pci.driver_known


class Interface(Struct, frozen=True):
    """Whether the driver's interface answers this process, and if not, why."""

    error: str | None = None
    detail: str = ""
    mismatch: bool = False
    module_version: str | None = None


def gpu_devices(pci: Iterable[PciDevice]) -> tuple[PciDevice, ...]:
    """NVIDIA's GPUs among the devices: bridges, audio and USB functions of the same card are none."""
    return tuple(device for device in pci if device.vendor_id.lower() == VENDOR and device.pci_class[:4] in CLASSES)


def merge_cards(pci: Iterable[PciDevice], kernel: Mapping[str, KernelCard]) -> list[Card]:
    """All cards in address order."""
    devices = {pci_address(device.address) or device.address: device for device in pci}
    addresses = sorted({*devices, *kernel}, key=_order)
    return [Card(address=one, pci=devices.get(one), kernel=kernel.get(one)) for one in addresses]


def join_bus(host: Host, readings: Sequence[GpuReading], cards: Sequence[Card], talk: Interface) -> list[GpuReading]:
    """One reading per card, and those of the driver that are on no visible bus (WSL2, Jetson), in order."""
    left = {card.address: card for card in cards}
    joined = []
    for reading in _addressed(readings, cards):
        card = left.pop(reading.pci_address or "", None)
        joined.append(reading if card is None else _filled(reading, card))
    known = any(reading.state in {"ok", "needs_reset", "lost"} for reading in joined)
    listed = any(card.kernel is not None for card in cards)
    for card in left.values():
        state, detail = _standing(host, card, talk, known=known, listed=listed)
        joined.append(_filled(GpuReading(vendor="NVIDIA", state=state, detail=detail), card))
    return sorted(joined, key=_place)


def _addressed(readings: Sequence[GpuReading], cards: Sequence[Card]) -> list[GpuReading]:
    """The readings, those without an address put on the free cards in order: NVML counts in bus order.

    A GPU that fell off the bus often gives not even a handle ("Unable to determine the device handle", gpud
    #604), so that NVML knows its index only.
    """
    taken = {reading.pci_address for reading in readings}
    free = [card for card in cards if card.address not in taken and card.may_be_bound]
    placed = []
    for reading in readings:
        if reading.pci_address is None and free:
            own = [card for card in free if card.kernel is not None and card.kernel.uuid == reading.uuid]
            card = own[0] if reading.uuid is not None and own else free[0]
            free.remove(card)
            reading = msgspec.structs.replace(reading, pci_address=card.address)  # noqa: PLW2901 - the placed one
        placed.append(reading)
    return placed


def _filled(reading: GpuReading, card: Card) -> GpuReading:
    """The reading with its gaps filled from bus and kernel module."""
    facts: dict[str, Any] = {"pci_address": card.address}
    if card.pci is not None:
        facts |= {
            "pci_device_id": card.pci.device_id or None,
            "pci_subsystem": card.pci.subsystem,
            "pcie_generation": card.pci.link_generation,
            "pcie_width": card.pci.link_width,
            "pcie_max_generation": card.pci.link_max_generation,
            "pcie_max_width": card.pci.link_max_width,
            "numa_node": card.pci.numa_node,
        }
    filled = complete(reading, sourced("sysfs", facts, state=reading.state))
    if card.pci is not None:
        filled = _narrowed(filled, card.pci)
    if card.kernel is not None:
        facts = {"name": card.kernel.name, "uuid": card.kernel.uuid}
        filled = complete(filled, sourced(CARDS, facts, state=reading.state))
    return filled


def _narrowed(reading: GpuReading, device: PciDevice) -> GpuReading:
    """The reading with the lanes of the narrowest link up to the root: NVML knows only the one at the card.

    They are unknown where one of these links could not be read: it may be the narrowest.
    """
    if not device.link_complete:
        sources = {fact: source for fact, source in reading.sources.items() if fact not in _LANES}
        return msgspec.structs.replace(reading, pcie_width=None, pcie_max_width=None, sources=sources)
    pairs = (("pcie_width", device.link_width), ("pcie_max_width", device.link_max_width))
    narrower = {fact: lanes for fact, lanes in pairs if lanes is not None and lanes < (getattr(reading, fact) or lanes)}
    if not narrower:
        return reading
    return msgspec.structs.replace(reading, **narrower, sources={**reading.sources, **dict.fromkeys(narrower, "sysfs")})


def _standing(host: Host, card: Card, talk: Interface, *, known: bool, listed: bool) -> tuple[State, str]:
    """State of a card that the driver's interface does not name, and why, in words."""
    if card.driver is None and card.may_be_bound:
        return "unknown", UNKNOWN_DRIVER
    if card.driver is None:
        loaded = f"; the nvidia module {talk.module_version} is loaded" if talk.module_version else ""
        return "no_driver", f"no kernel driver is bound to it{loaded}"
    if card.driver != MODULE:
        return "wrong_driver", f"bound to {card.driver}, not to nvidia"
    if card.kernel is not None and card.kernel.excluded:
        return "unreachable", "excluded in the driver's options (GPU Excluded: Yes)"
    if talk.mismatch:
        module = talk.module_version or "of unknown version"
        return "driver_mismatch", f"the library does not fit the kernel module {module}: {talk.detail}"
    if talk.error in {NOT_RECORDED, OTHER_ROOT}:
        return "unknown", "bound to nvidia; nobody could ask the driver"
    if talk.error in {"nvml_no_permission", NO_PERMISSION}:
        return "no_permission", f"NVML: {talk.detail}"
    minor = card.kernel.minor if known and card.kernel is not None else None
    node = CONTROL if minor is None else f"/dev/nvidia{minor}"
    allowed = host.may("rw", node)
    if allowed.value is False:
        return "no_permission", f"{node} may not be opened"
    if not known:
        missing = f"; there is no {node}" if allowed.error == NOT_FOUND else ""
        return "unreachable", f"bound to nvidia, but NVML does not answer: {talk.detail or 'no GPU'}{missing}"
    if allowed.error == NOT_FOUND and node != CONTROL:
        return "unreachable", f"bound to nvidia, but there is no {node}: not given to this container"
    if listed and card.kernel is None:
        return "unreachable", f"bound to nvidia, but not in {CARDS}: not started or not given to us"
    given = next((f"{name}={count}" for name in GIVEN if (count := host.env(name).value)), None)
    if given is not None:
        return "unreachable", f"bound to nvidia, but not given to this job ({given})"
    return "lost", "bound to nvidia, but the driver names only other GPUs: it may have fallen off the bus"


def _order(address: str) -> tuple[int, str]:
    return len(address), address  # a domain beyond ffff has five digits or more


def _place(reading: GpuReading) -> tuple[bool, tuple[int, str], int]:
    index = reading.driver_index if reading.driver_index is not None else 1 << 20
    return reading.pci_address is None, _order(reading.pci_address or ""), index
