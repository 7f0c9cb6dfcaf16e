"""AMD GPUs: the PCI bus says which there are, sysfs how much memory they have, KFD what they compute with."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from gpucheck.host.answer import NOT_FOUND
from gpucheck.host.host import Host
from gpucheck.probes.amd_access import DRIVER, state_of
from gpucheck.probes.amd_links import peers_of
from gpucheck.probes.amd_memory import is_apu, sysfs_memory
from gpucheck.probes.collect import Found, Issues
from gpucheck.probes.facts import GpuReading, OtherDriver, PciDevice
from gpucheck.probes.kfd import NODES, KfdNode, by_card, kfd_topology
from gpucheck.probes.pci import DEVICES, pci_order
from gpucheck.probes.screens import has_screen

VENDOR = "1002"
MODULE = "/sys/module/amdgpu"
DISPLAYS = "0300"  # the class of cards that screens can be plugged into
_PARTITIONS = {"SPX": 1, "DPX": 2, "TPX": 3, "QPX": 4}  # CPX: one for each die, which products have 6 or 8 of


def lacks_name_or_memory(reading: GpuReading) -> bool:
    """Whether the driver's files left open what AMD's tools may know."""
    return reading.name is None or reading.memory_total_bytes is None


def probe_amd(
    host: Host,
    pci: tuple[PciDevice, ...],
    ask_tools: Callable[[GpuReading], bool] = lacks_name_or_memory,
) -> Found[tuple[GpuReading, ...]]:
    """One reading per card, in PCI order; a card in partitions is one card with what its partitions have.

    AMD's tools cost seconds: they are asked only if there is a driven card that `ask_tools` says it of.
    """
    issues = Issues()
    devices = {device.address: device for device in pci if device.vendor_id == VENDOR}
    cards = _Cards(host, issues, devices)
    # a container may be shown the compute topology and no PCI bus
    readings = [cards.reading(address) for address in sorted({*devices, *cards.nodes}, key=pci_order)]
    if any(reading.state not in {"no_driver", "wrong_driver"} and ask_tools(reading) for reading in readings):
        from gpucheck.probes.rocm_smi import with_tools

        readings = with_tools(host, issues, readings)
    for reading in readings:
        if reading.memory_total_bytes is None and reading.state == "ok":
            issues.add(NOT_FOUND, f"{reading.pci_address} memory", "neither sysfs nor KFD tells it")
    return Found(tuple(readings), issues.all())


def probe_amd_driver(host: Host, pci: tuple[PciDevice, ...] = ()) -> Found[OtherDriver | None]:
    """The kernel driver where it is loaded; AMD's own package has a version, the kernel's own has none.

    A driver that is bound to a card is there, also where nothing tells of its module.
    """
    issues = Issues()
    if issues.value(MODULE, host.listdir(MODULE)) is None:
        if not any(device.driver == DRIVER for device in pci):
            return Found(None, issues.all())
        issues.add("unknown", MODULE, f"{DRIVER} drives a card; its module tells nothing of its version")
        return Found(OtherDriver(DRIVER), issues.all())
    answer = host.read(f"{MODULE}/version")
    version = (issues.value(f"{MODULE}/version", answer) or "").strip() or None
    in_tree = False if version else True if answer.error == NOT_FOUND else None
    return Found(OtherDriver(DRIVER, version, in_tree), issues.all())


class _Cards:
    """The cards of one machine, and how they were asked."""

    def __init__(self, host: Host, issues: Issues, devices: Mapping[str, PciDevice]) -> None:
        self.host, self.issues, self.devices = host, issues, devices
        topology = kfd_topology(host, issues)
        self.nodes, self._all_read = by_card(topology.nodes, frozenset(devices)), topology.whole
        self._whole: dict[tuple[str, int | None], int] = {}
        for nodes in self.nodes.values():
            kind = _kind(nodes[0])
            self._whole[kind] = max(self._whole.get(kind, 0), len(nodes))

    def reading(self, address: str) -> GpuReading:
        """What is told of the card at `address`."""
        device, nodes = self.devices.get(address), self.nodes.get(address, ())
        state, detail = state_of(self.host, self.issues, device, nodes)
        device_id = (device.device_id if device else "") or (nodes[0].device_id if nodes else "")
        if not device_id:
            self.issues.add(NOT_FOUND, f"{DEVICES}/{address}/device", "nothing tells which product it is")
        gfx = nodes[0].gfx_target if nodes else None
        apu = is_apu(gfx, device_id, any(node.shares_cpu for node in nodes))
        memory = sysfs_memory(self.host, self.issues, address)
        reading = GpuReading(
            vendor="AMD",
            state=state,
            name=self._text(address, "product_name"),  # of boards with an FRU chip
            pci_address=address,
            pci_device_id=device_id,
            gfx_target=gfx,
            integrated=apu if nodes or apu else None,
            memory_total_bytes=memory.vram_total_bytes,
            memory_used_bytes=memory.vram_used_bytes,
            memory_gtt_total_bytes=memory.gtt_total_bytes,
            memory_gtt_used_bytes=memory.gtt_used_bytes,
            compute_partition=self._mode(address, "current_compute_partition"),
            memory_partition=self._mode(address, "current_memory_partition"),
            detail=detail,
            sources={"memory_total_bytes": "sysfs"} if memory.vram_total_bytes is not None else {},
        )
        if device is not None:
            reading = replace(
                reading,
                pci_subsystem=device.subsystem,
                pci_revision=device.revision,
                pcie_generation=device.link_generation,
                pcie_width=device.link_width,
                pcie_max_generation=device.link_max_generation,
                pcie_max_width=device.link_max_width,
                display_active=has_screen(self.host, self.issues, address) if device.pci_class == DISPLAYS else None,
            )
        if nodes:
            reading = self._with_nodes(reading, address)
        elif state == "ok" and self._all_read and self.host.listdir(NODES).error in {None, NOT_FOUND}:
            self.issues.add("not_in_kfd", address, f"{DRIVER} drives it, KFD does not list it: ROCm cannot use it")
        total, used = reading.memory_total_bytes, reading.memory_used_bytes
        if total is not None and used is not None:
            reading = replace(reading, memory_free_bytes=max(0, total - used))
        return reading

    def _with_nodes(self, reading: GpuReading, address: str) -> GpuReading:
        """The reading with what KFD says of the card's nodes, those counted that it ought to have."""
        nodes = self.nodes[address]
        first, there = nodes[0], len(nodes)
        counted = self._partitions(reading, address)
        if self._all_read and counted is not None and there < counted:
            # 64 partitions on eight cards and 63 nodes were seen (amdsmi #99): the card has not lost its units
            detail = f"{there} of its {counted} partitions are there; its figures are those of {counted}"
            self.issues.add("partition_missing", address, detail)
        rocm = _whole_card([node.memory.size_bytes for node in nodes], counted)
        peers = peers_of(self.host, self.issues, address, self.nodes)
        reading = replace(
            reading,
            driver_index=first.index,
            uuid=f"GPU-{first.unique_id:016x}" if first.unique_id else None,
            memory_rocm_bytes=rocm,
            # KFD's figures of an APU's memory are not those of the machine's modules
            memory_bus_bits=None if reading.integrated else first.memory.width_bits,
            memory_clock_max_mhz=None if reading.integrated else first.memory.clock_max_mhz,
            sm_clock_max_mhz=first.engine_clock_max_mhz,
            multiprocessors=_whole_card([node.compute_units for node in nodes], counted),
            partitions=there if self._all_read or there == counted else None,
            xgmi_peers=peers.xgmi,
            p2p_peers=peers.p2p,
        )
        # of an APU's memory KFD counts one part alone, which may be either
        if reading.memory_total_bytes is None and rocm is not None and not reading.integrated:
            return replace(reading, memory_total_bytes=rocm, sources={"memory_total_bytes": "kfd"})
        return reading

    def _partitions(self, reading: GpuReading, address: str) -> int | None:
        """How many nodes the card ought to have; None where one that could not be read may be its own.

        A card on the bus without a mode is never divided.
        """
        mode, there = reading.compute_partition, len(self.nodes[address])
        if mode in _PARTITIONS:
            return max(there, _PARTITIONS[mode])
        if self._all_read:
            return max(there, self._whole[_kind(self.nodes[address][0])])
        return 1 if there == 1 and mode is None and address in self.devices else None

    def _mode(self, address: str, name: str) -> str | None:
        """A mode of partitions; a card in several nodes has one, whether or not the kernel tells it."""
        mode = self._text(address, name)
        if mode is None and len(self.nodes.get(address, ())) > 1:
            self.issues.add("unknown", f"{DEVICES}/{address}/{name}", "a card in partitions, and no mode is told")
        return mode

    def _text(self, address: str, name: str) -> str | None:
        path = f"{DEVICES}/{address}/{name}"
        return (self.issues.value(path, self.host.read(path)) or "").strip() or None


def _kind(node: KfdNode) -> tuple[str, int | None]:
    """Cards of one device id whose nodes have as many compute units are divided alike."""
    return node.device_id, node.compute_units


def _whole_card(values: list[int | None], counted: int | None) -> int | None:
    """The sum of what the card's nodes have, those that are missing taken to be like the others."""
    known = [value for value in values if value is not None]
    if not known or counted is None:
        return None
    return sum(known) if len(known) == counted else known[0] * counted
