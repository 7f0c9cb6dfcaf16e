"""The facts of one GPU that NVML answers for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from gpucheck.host.answer import NOT_RECORDED
from gpucheck.probes.facts import GpuReading, State
from gpucheck.probes.nvidia import words
from gpucheck.probes.nvidia.asking import SILENT, Asker, EndedError
from gpucheck.probes.nvidia.nvml_mig import read_mig
from gpucheck.probes.nvidia.values import device_id, pci_address, subsystem

LINKS = 18
LINKS_OF_A_GPU = frozenset({1, 2, 4, 6, 12, 18})  # TU104; TU102; GP100 and GA102; GV100; GA100; GH100 and GB100
HANDLE_STATES: dict[str | None, State] = {
    "nvml_reset_required": "needs_reset",
    "nvml_no_permission": "no_permission",
}


class Field(Struct, frozen=True):
    """One fact that takes one question: under which name it is kept, and what makes a fact of the answer."""

    fact: str
    question: str
    kind: type
    convert: Callable[[Any], Any] = lambda value: value


FIELDS = (
    Field("brand", "Brand", int, words.BRANDS.get),
    Field("architecture", "Architecture", int, words.ARCHITECTURES.get),
    Field("shader_cores", "NumGpuCores", int),
    Field("memory_bus_bits", "MemoryBusWidth", int),
    Field("memory_clock_max_mhz", "MaxClockInfo.mem", int),
    Field("sm_clock_max_mhz", "MaxClockInfo.sm", int),
    Field("pcie_generation", "CurrPcieLinkGeneration", int),
    Field("pcie_width", "CurrPcieLinkWidth", int),
    Field("pcie_max_generation", "MaxPcieLinkGeneration", int),
    Field("pcie_max_width", "MaxPcieLinkWidth", int),
    Field("power_limit_w", "EnforcedPowerLimit", int, lambda milliwatts: milliwatts / 1000),
    Field("power_default_limit_w", "PowerManagementDefaultLimit", int, lambda milliwatts: milliwatts / 1000),
    Field("compute_mode", "ComputeMode", int, words.COMPUTE_MODES.get),
    Field("persistence", "PersistenceMode", int, bool),
    Field("virtualization", "VirtualizationMode", int, words.VIRTUALIZATION.get),
    Field("display_active", "DisplayActive", int, bool),
)
POSITIVE = frozenset({
    "shader_cores", "memory_bus_bits", "memory_clock_max_mhz", "sm_clock_max_mhz", "pcie_generation",
    "pcie_width", "pcie_max_generation", "pcie_max_width", "power_limit_w", "power_default_limit_w",
})  # fmt: skip


def read_gpu(gpu: Asker) -> None:
    """Ask one GPU everything, what matters most first, so that a hang costs the least."""
    try:
        _, error, detail = gpu.raw("Handle")
        if error not in {None, NOT_RECORDED}:
            gpu.state = HANDLE_STATES.get(error, "unknown")
            gpu.detail = f"NVML gives no handle: {detail or error}"
            gpu.failed("Handle", str(error), detail, needed=True)
            return
        _identity(gpu)
        _memory(gpu)
        _capability(gpu)
        for field in FIELDS:
            value = gpu.ask(field.question, field.kind)
            if value is not None and (value or field.fact not in POSITIVE):
                gpu.keep(field.fact, field.convert(value))
        _modes(gpu)
        _processes(gpu)
        _throttling(gpu)
        _health(gpu)
        _links(gpu)
    except EndedError:
        return


def reading(gpu: Asker) -> GpuReading:
    """What is known of the GPU by now."""
    facts = dict(gpu.facts)
    sources = {fact: source for fact, source in dict(gpu.sources).items() if fact in facts}
    return GpuReading(
        vendor="NVIDIA", state=gpu.state, driver_index=gpu.index, detail=gpu.detail, sources=sources, **facts
    )


def _identity(gpu: Asker) -> None:
    bus = gpu.ask("PciInfo", dict)
    if bus is not None:
        address = bus.get("busId") or bus.get("busIdLegacy")
        gpu.keep("pci_address", pci_address(address) if isinstance(address, str) else None)
        for fact, name, convert in (
            ("pci_device_id", "pciDeviceId", device_id),
            ("pci_subsystem", "pciSubSystemId", subsystem),
        ):
            word = bus.get(name)
            gpu.keep(fact, convert(word) if isinstance(word, int) and word > 0 else None)
    gpu.keep("name", gpu.ask("Name", str, needed=True))
    gpu.keep("uuid", gpu.ask("UUID", str))


def _memory(gpu: Asker) -> None:
    """Version 2 of the answer tells the driver's reserve apart; version 1 counts it as used."""
    source, (found, error, detail) = "nvml", gpu.raw("MemoryInfo_v2")
    if error is not None or not isinstance(found, dict):
        source, found = "nvml, reserve counted as used", gpu.ask("MemoryInfo", dict, needed=True)
    if found is None:
        gpu.failed("MemoryInfo_v2", error or "malformed", detail, needed=True)
        return
    sizes = {name: found.get(name) for name in ("total", "free", "used", "reserved")}
    if not _is_size(sizes["total"]) or not sizes["total"]:
        # GB10, Thor and Orin share the host's memory and say so by a total of 0 (nvitop #208, gpud #1170).
        gpu.issues.add("missing", "nvml", f"{gpu.name} MemoryInfo: total is {sizes['total']!r:.40}")
        return
    for name, size in sizes.items():
        if _is_size(size):
            gpu.keep(f"memory_{name}_bytes", size, source)


def _capability(gpu: Asker) -> None:
    pair = gpu.ask("CudaComputeCapability", list, needed=True)
    if pair is None:
        return
    if len(pair) == 2 and all(_is_size(part) for part in pair) and pair[0]:
        gpu.keep("compute_capability", f"{pair[0]}.{pair[1]}")
    else:
        gpu.issues.add("malformed", "nvml", f"{gpu.name} CudaComputeCapability: {pair!r:.60}")


def _modes(gpu: Asker) -> None:
    ecc = gpu.ask("EccMode", list)
    if ecc and _is_size(ecc[0]):
        gpu.keep("ecc_enabled", bool(ecc[0]))
        for counter in ("volatile", "aggregate") if ecc[0] else ():
            gpu.keep(f"ecc_{counter}_uncorrected", gpu.ask(f"TotalEccErrors.{counter}", int))
    if gpu.facts.get("virtualization") == "vgpu":
        gpu.keep("vgpu_licensed", _licensed(gpu.ask("GridLicensableFeatures", list)))
    mig = gpu.ask("MigMode", list)
    if mig and _is_size(mig[0]):
        gpu.keep("mig_mode", "enabled" if mig[0] else "disabled")
        if mig[0]:
            read_mig(gpu)


def _licensed(features: list[Any] | None) -> bool | None:
    """Whether what a vGPU has in use is licensed; None where nothing is in use or the answer is no such list."""
    used = [one.get("state") for one in features or () if isinstance(one, dict) and one.get("enabled")]
    return all(state != 0 for state in used) if used and all(_is_size(state) for state in used) else None


def _processes(gpu: Asker) -> None:
    """Count and memory; where one process hides its memory (WDDM does) the sum is unknown, not smaller."""
    running = gpu.ask("RunningProcesses", list)
    if running is None:
        return
    gpu.keep("processes", len(running))
    used = [process.get("usedGpuMemory") if isinstance(process, dict) else None for process in running]
    if all(_is_size(size) for size in used):
        gpu.keep("processes_memory_bytes", sum(used))


def _throttling(gpu: Asker) -> None:
    question = "CurrentClocksEventReasons"  # named …ThrottleReasons before driver 535
    mask, error, detail = gpu.raw(question)
    if error in SILENT:
        mask = gpu.ask("CurrentClocksThrottleReasons", int)
    elif error is not None:
        gpu.failed(question, error, detail, needed=False)
    if _is_size(mask):
        gpu.keep("throttle_reasons", words.throttle_reasons(mask))


def _health(gpu: Asker) -> None:
    """Memory that waits for repair, and the NVSwitch fabric, without which CUDA fails with error 802.

    The fabric may be unready while NVML is fine otherwise (pytorch #35710, huggingface_hub #4128).
    """
    rows = gpu.ask("RemappedRows", list)
    if rows is not None and len(rows) == 4:  # correctable, uncorrectable, pending, failure
        gpu.keep("remap_pending", bool(rows[2]))
        gpu.keep("remap_failed", bool(rows[3]))
    pending = gpu.ask("RetiredPagesPendingStatus", int)
    gpu.keep("retired_pages_pending", None if pending is None else bool(pending))
    fabric = gpu.ask("GpuFabricInfoV", dict)
    if (fabric is not None and fabric.get("status") == 0) or (fabric and fabric.get("state") in {1, 2}):
        gpu.keep("fabric_state", words.FABRIC_STATES.get(fabric.get("state")))


def _links(gpu: Asker) -> None:
    """Count the active NVLinks; a GPU without any says so at the first link, one with six at the seventh."""
    first_active, active = None, 0
    for link in range(LINKS):
        state, error, detail = gpu.raw(f"NvLinkState.{link}")
        if error is not None:
            if error != "nvml_invalid_argument":
                gpu.failed(f"NvLinkState.{link}", error, detail, needed=False)
            if link == 0 or error not in SILENT | {"nvml_invalid_argument", NOT_RECORDED}:
                return  # no links, or nobody can tell how many
            if link not in LINKS_OF_A_GPU or _answers(gpu, link + 1):
                gpu.issues.add(
                    "incomplete", "nvml", f"{gpu.name} NvLinkState.{link}: {error}, so the links are uncounted"
                )
                return
            break
        if state == 1:
            first_active, active = link if first_active is None else first_active, active + 1
    gpu.keep("nvlinks_active", active)
    if first_active is not None:
        number = gpu.ask(f"NvLinkVersion.{first_active}", int)
        gpu.keep("nvlink_version", words.NVLINK_VERSIONS.get(number))


def _answers(gpu: Asker, link: int) -> bool:
    """Whether a link answers, so that the one before it was not the first of those that do not exist."""
    return link < LINKS and gpu.raw(f"NvLinkState.{link}")[1] is None


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63
