"""A `Machine` from a host: every probe run, the cards identified, what is hidden marked as hidden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from gpucheck.host.host import Host
from gpucheck.machine.running import Running
from gpucheck.machine.types import DisplayAdapter, Drivers, Gpu, Machine
from gpucheck.probes.collect import Found, Issues
from gpucheck.probes.cpu import probe_cpu
from gpucheck.probes.facts import (
    Cpu,
    GpuReading,
    Limits,
    Memory,
    NumaNode,
    NvidiaDriver,
    PciDevice,
    Place,
    Platform,
    Toolkits,
)  # fmt: skip
from gpucheck.probes.frameworks import Software, probe_software
from gpucheck.probes.limits import probe_limits
from gpucheck.probes.memory import probe_memory
from gpucheck.probes.numa import probe_numa
from gpucheck.probes.nvidia import Nvidia, probe_nvidia
from gpucheck.probes.pci import pci_order, probe_pci
from gpucheck.probes.platform import is_bare_metal, probe_platform
from gpucheck.probes.storage import probe_storage
from gpucheck.probes.sysctl import is_darwin
from gpucheck.probes.systems import is_windows, is_wsl, may_be_arm
from gpucheck.probes.toolkits import probe_toolkits
from gpucheck.probes.visibility import probe_visibility

T = TypeVar("T")


class _Inspection:
    """The issues of all probes of one inspection, gathered as their results are taken."""

    def __init__(self) -> None:
        self.issues = Issues()

    def take(self, running: Running[T]) -> T:
        """A probe's facts, its issues noted."""
        found = running.result()
        for issue in found.issues:
            self.issues.add(issue.code, issue.source, issue.detail)
        return found.facts


def inspect_host(
    host: Host,
    interpreter: str | None = None,
    *,
    kernel_log: bool = False,
    deep: bool = False,
    deep_limit_s: float | None = None,
) -> Machine:
    """The machine behind `host`. Never raises for what the hardware does; that is in `issues`.

    `interpreter` is the Python whose frameworks are looked at, by default the active environment's. With `kernel_log`
    past errors of NVIDIA's cards are looked for too, which takes a command. With `deep` its frameworks are tried in
    child processes, each at most `deep_limit_s` (None: its own limit); what a recording holds of that is always told.
    """
    here = _Inspection()
    if is_windows(host):
        from gpucheck.probes.windows import cim

        # PowerShell takes a second: once, before several probes want it
        cim_call: Running[Mapping[str, Any]] = Running("cim", lambda: Found(cim(host)), {}, 20.0)
        here.take(cim_call)
    pci: Running[tuple[PciDevice, ...]] = Running("pci", lambda: probe_pci(host), (), 3.0)
    platform = Running("platform", lambda: probe_platform(host), Platform(), 3.0)
    cpu = Running("cpu", lambda: probe_cpu(host), Cpu(), 12.0)
    memory = Running("memory", lambda: probe_memory(host), Memory(), 3.0)
    numa: Running[tuple[NumaNode, ...]] = Running("numa", lambda: probe_numa(host), (), 3.0)
    storage: Running[tuple[Place, ...]] = Running("storage", lambda: probe_storage(host), (), 8.0)
    limits = Running("limits", lambda: probe_limits(host), Limits(), 3.0)
    toolkits = Running("toolkits", lambda: probe_toolkits(host), Toolkits(), 3.0)
    frameworks = Running("frameworks", lambda: probe_software(host, interpreter), Software(), 8.0)
    visibility: Running[dict[str, str]] = Running("visibility", lambda: probe_visibility(host), {}, 3.0)

    devices = here.take(pci)
    readings, drivers = _gpu_readings(host, devices, here, kernel_log=kernel_log)
    host_memory = _own_memory(host, here.take(memory), readings, here)
    variables = here.take(visibility)
    surroundings = here.take(platform)
    bare = Running("bare metal", lambda: Found(is_bare_metal(host, surroundings)), False, 3.0)
    gpus = _entries(readings, host_memory, here.issues, bare_metal=here.take(bare))
    if gpus and variables:
        from gpucheck.machine.visible import apply_visibility

        gpus = apply_visibility(gpus, variables, here.issues)
    software = here.take(frameworks)
    machine = Machine(
        source=host.kind,
        platform=surroundings,
        cpu=here.take(cpu),
        memory=host_memory,
        numa_nodes=here.take(numa),
        storage=here.take(storage),
        limits=here.take(limits),
        gpus=gpus,
        display_adapters=_display_adapters(devices, gpus),
        drivers=drivers,
        toolkits=here.take(toolkits),
        frameworks=software.frameworks,
        visibility=variables,
        environment=software.environment,
        programs=software.programs,
        issues=tuple(sorted(here.issues.all())),
    )
    if any(one.name == "torch" for one in machine.frameworks):
        from gpucheck.machine.software import with_torch

        machine = with_torch(machine)
    if machine.frameworks and (deep or host.kind == "recording"):
        from gpucheck.machine.tried import with_tries

        machine = with_tries(machine, host, interpreter, deep_limit_s, asked=deep)
    return machine


def _gpu_readings(
    host: Host, devices: tuple[PciDevice, ...], here: _Inspection, *, kernel_log: bool
) -> tuple[list[GpuReading], Drivers]:
    """All vendors' readings in PCI order, and the kernel drivers. Probes without a trace of their cards stay home."""
    nvidia = Running("nvidia", lambda: probe_nvidia(host, devices, kernel_log=kernel_log), Nvidia(), 30.0)
    others: list[Running[tuple[GpuReading, ...]]] = []
    drivers = Drivers()
    vendors = {device.vendor_id for device in devices}
    if "1002" in vendors or host.listdir("/sys/class/kfd/kfd/topology/nodes").value:
        from gpucheck.machine.amd import asks_tools
        from gpucheck.probes.amd import probe_amd, probe_amd_driver

        # amd-smi and rocm-smi may have their six seconds each
        others.append(Running("amd", lambda: probe_amd(host, devices, asks_tools), (), 20.0))
        drivers = replace(
            drivers, amd=here.take(Running("amd driver", lambda: probe_amd_driver(host, devices), None, 3.0))
        )
    if vendors & {"8086", "1da3"}:
        from gpucheck.probes.intel import probe_intel, probe_intel_driver

        others.append(Running("intel", lambda: probe_intel(host, devices), (), 8.0))
        driver = here.take(Running("intel driver", lambda: probe_intel_driver(host, devices), None, 3.0))
        drivers = replace(drivers, intel=driver)
    if is_darwin(host):
        from gpucheck.probes.apple import probe_apple

        others.append(Running("apple", lambda: probe_apple(host), (), 12.0))
    found = here.take(nvidia)
    here.take(Running("wsl", lambda: _probe_wsl(host, found.gpus), None, 3.0))
    found = replace(found, gpus=_beyond_nvml(host, found.gpus, here))
    readings = [*found.gpus, *(reading for running in others for reading in here.take(running))]
    readings.sort(key=_place_on_bus)
    return readings, replace(drivers, nvidia=_with_cuda(found.driver, here.issues))


def _own_memory(host: Host, memory: Memory, readings: Sequence[GpuReading], here: _Inspection) -> Memory:
    """Host memory without the GPUs' own, which Linux counts in on Grace superchips."""
    if not may_be_arm(host) or not readings:
        return memory
    from gpucheck.probes.coherent import is_superchip, probe_coherent, without_hbm

    if all(is_superchip(reading) is False for reading in readings):
        return memory
    coherent: Running[int | None] = Running("coherent memory", lambda: probe_coherent(host), None, 3.0)
    free = here.take(coherent)
    return without_hbm(memory, readings, free, here.issues)


def _probe_wsl(host: Host, gpus: tuple[GpuReading, ...]) -> Found[None]:
    if not is_wsl(host):
        return Found(None)
    from gpucheck.probes.wsl import probe_wsl

    return probe_wsl(host, gpus)


def _beyond_nvml(host: Host, gpus: tuple[GpuReading, ...], here: _Inspection) -> tuple[GpuReading, ...]:
    """NVML's GPUs with what the device tree of a Jetson and the adapters of Windows add to them."""
    if may_be_arm(host):
        from gpucheck.probes.tegra import probe_tegra, with_tegra

        tegra = here.take(Running("tegra", lambda: probe_tegra(host), None, 3.0))
        gpus = with_tegra(gpus, tegra) if tegra is not None else gpus
        if not gpus:
            from gpucheck.probes.firmware import promised_gpu

            promised = here.take(Running("firmware", lambda: Found(promised_gpu(host)), None, 3.0))
            gpus = (promised,) if promised is not None else ()
    if is_windows(host):
        from gpucheck.probes.windows_gpus import Adapter, memory_bytes, note_wddm, probe_adapters, with_adapters

        nothing: tuple[Adapter, ...] = ()
        adapters = here.take(Running("adapters", lambda: probe_adapters(host), nothing, 32.0))
        note_wddm(host, gpus, here.issues)
        gpus = tuple(with_adapters(gpus, adapters, memory_bytes(host), here.issues))
    return gpus


def _place_on_bus(reading: GpuReading) -> tuple[bool, tuple[int, ...], int]:
    """PCI order; what is on no visible bus comes last, as its driver counts."""
    index = reading.driver_index if reading.driver_index is not None else 1 << 20
    return reading.pci_address is None, pci_order(reading.pci_address) if reading.pci_address else (), index


def _with_cuda(driver: NvidiaDriver | None, issues: Issues) -> NvidiaDriver | None:
    """The driver with the CUDA version of its branch, where nothing told it: nvidia-smi's query does not."""
    if driver is None or driver.version is None or driver.cuda_version is not None:
        return driver
    from gpucheck.catalog.drivers import highest_cuda

    cuda = highest_cuda(driver.version)
    said = (
        f"CUDA {cuda} is what branch {driver.version.partition('.')[0]} supports" if cuda else "its branch is not known"
    )
    issues.add("derived" if cuda else "unknown", "drivers.nvidia.cuda_version", f"the driver did not say: {said}")
    return replace(driver, cuda_version=cuda)


def _entries(
    readings: Sequence[GpuReading], host_memory: Memory, issues: Issues, *, bare_metal: bool
) -> tuple[Gpu, ...]:
    """Every card, each followed by its MIG devices, numbered in that order."""
    if not readings:
        return ()  # and the catalogue need not be loaded
    from gpucheck.machine.gpus import build_gpu
    from gpucheck.machine.slices import build_slice

    gpus: list[Gpu] = []
    cards: list[int] = []
    for reading in readings:
        card = build_gpu(reading, len(gpus), host_memory, issues, bare_metal=bare_metal)
        cards.append(card.index)
        gpus.append(card)
        for instance in reading.mig_devices or ():
            gpus.append(build_slice(card, instance, len(gpus)))
    numbers: dict[tuple[str, int | None], int] = {
        (reading.vendor, reading.driver_index): index for reading, index in zip(readings, cards, strict=True)
    }
    for reading, index in zip(readings, cards, strict=True):
        gpus[index] = _with_peers(gpus[index], reading, numbers)
    return tuple(gpus)


def _with_peers(gpu: Gpu, reading: GpuReading, numbers: dict[tuple[str, int | None], int]) -> Gpu:
    """Peers under the report's numbers; the driver counts its own cards only."""

    def renumbered(peers: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(numbers[reading.vendor, peer] for peer in peers if (reading.vendor, peer) in numbers))

    return replace(
        gpu,
        nvlink=replace(gpu.nvlink, peers=renumbered(reading.nvlink_peers)),
        xgmi=replace(gpu.xgmi, peers=renumbered(reading.xgmi_peers)),
        p2p_peers=renumbered(reading.p2p_peers),
    )


def _display_adapters(devices: Sequence[PciDevice], gpus: Sequence[Gpu]) -> tuple[DisplayAdapter, ...]:
    """What the bus shows and no entry of `gpus` stands for: virtual VGA, board controllers, other makers' parts."""
    from gpucheck.catalog.cards import pci_names

    shown = {gpu.pci_address for gpu in gpus}
    rest = [device for device in devices if device.address not in shown]
    if not rest:
        return ()
    names = pci_names()
    return tuple(
        DisplayAdapter(
            name=names.get(f"{device.vendor_id}:{device.device_id}"),
            pci_address=device.address,
            pci_id=f"{device.vendor_id}:{device.device_id}" if device.vendor_id and device.device_id else None,
            driver=device.driver,
        )
        for device in rest
    )
