"""`nvidia-smi -q -x`, document types v4 to v13 and the names of driver 610."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from gpucheck.probes.collect import Found, Issues
from gpucheck.probes.facts import GpuReading, MigInstance
from gpucheck.probes.nvidia import words
from gpucheck.probes.nvidia.smi_log import SmiLog, sourced
from gpucheck.probes.nvidia.values import (
    condition,
    device_id,
    hex_word,
    measured,
    pci_address,
    size_bytes,
    subsystem,
    switch,
    told,
    version,
    whole,
)

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

SOURCE = "nvidia-smi -q -x"
MAX_CHARACTERS = 8 << 20
MAX_GPUS = 256
ROOT = "nvidia_smi_log"


def parse_xml(text: str) -> Found[SmiLog]:
    """The log in the text; without a well-formed one the log is empty and an issue says why."""
    issues = Issues()
    root = _root(text, issues)
    if root is None:
        return Found(SmiLog(), issues.all())
    elements = root.findall("gpu")[:MAX_GPUS]
    attached = whole(root.findtext("attached_gpus"))
    if attached is not None and attached != len(elements):
        issues.add("count_differs", SOURCE, f"attached_gpus is {attached}, but {len(elements)} are listed")
    log = SmiLog(
        driver_version=version(root.findtext("kmd_version")) or version(root.findtext("driver_version")),
        cuda_version=version(root.findtext("cuda_umd_version")) or version(root.findtext("cuda_version")),
        gpus=tuple(_gpu(element, index) for index, element in enumerate(elements)),
    )
    return Found(log, issues.all())


def _root(text: str, issues: Issues) -> Element | None:
    """The log's element. Warnings before and after it ("WARNING: infoROM is corrupted …") are cut off."""
    import xml.etree.ElementTree as ET

    start, end = text.find("<?xml"), text.rfind(f"</{ROOT}>")
    start = text.find(f"<{ROOT}") if start < 0 else start
    if start < 0:
        issues.add("malformed", SOURCE, "it printed no XML")
        return None
    text = text[start : end + len(ROOT) + 3] if end > start else text[start:]
    if len(text) > MAX_CHARACTERS or "<!ENTITY" in text:
        issues.add("malformed", SOURCE, "the XML is too large or declares entities")
        return None
    try:
        root = ET.fromstring(text)  # noqa: S314 - entity declarations are refused above
    except ET.ParseError as error:
        issues.add("malformed", SOURCE, f"no well-formed XML: {error}")
        return None
    if root.tag != ROOT:
        issues.add("malformed", SOURCE, f"the XML is a {root.tag[:40]}, not a {ROOT}")
        return None
    return root


def _first(element: Element, *paths: str) -> str | None:
    """The first of several texts that says something. Paths start at the element's own children."""
    for path in paths:
        value = told(element.findtext(path))
        if value is not None:
            return value
    return None


def _gpu(element: Element, index: int) -> GpuReading:
    """One GPU; its index is its place, since `minor_number` numbers device nodes."""
    telling = ("product_name", "fb_memory_usage/total", "uuid", "compute_mode")
    state = condition(element.findtext(path) for path in telling)
    if element.findtext("gpu_reset_status/reset_required") == "Yes" and state == "ok":
        state = "needs_reset"
    facts = _identity(element) | _memory(element) | _link(element) | _modes(element) | _limits(element)
    detail = {"lost": "nvidia-smi: GPU is lost", "needs_reset": "nvidia-smi: GPU requires reset"}.get(state)
    reading = sourced(SOURCE, facts, state=state, detail=detail, driver_index=index)
    devices = tuple(_mig(device) for device in element.findall("mig_devices/mig_device"))
    return msgspec.structs.replace(reading, mig_devices=devices)  # also none of them is knowledge


def _identity(element: Element) -> dict[str, Any]:
    architecture = _first(element, "product_architecture")
    return {
        "name": _first(element, "product_name"),
        "brand": words.spelled(words.BRANDS, _first(element, "product_brand")),
        "architecture": words.spelled(words.ARCHITECTURES, architecture) or architecture,
        "uuid": _first(element, "uuid"),
        "pci_address": pci_address(_first(element, "pci/pci_bus_id") or element.get("id")),
        "pci_device_id": device_id(hex_word(_first(element, "pci/pci_device_id"))),
        "pci_subsystem": subsystem(hex_word(_first(element, "pci/pci_sub_system_id"))),
    }


def _memory(element: Element) -> dict[str, Any]:
    """The card's own memory: a search at any depth finds a MIG slice's 19968 MiB first."""
    facts: dict[str, Any] = {
        f"memory_{name}_bytes": size_bytes(element.findtext(f"fb_memory_usage/{name}"))
        for name in ("total", "free", "used", "reserved")
    }
    if not facts["memory_total_bytes"]:  # GB10 and Orin: "N/A", or 0 for memory shared with the host
        return {}
    processes = element.find("processes")
    if processes is not None and not (processes.text or "").strip():  # "N/A" on a vGPU
        used = [size_bytes(process.findtext("used_memory")) for process in processes.findall("process_info")]
        facts["processes"] = len(used)
        facts["processes_memory_bytes"] = None if None in used else sum(size or 0 for size in used)
    return facts


def _link(element: Element) -> dict[str, Any]:
    info = "pci/pci_gpu_link_info"
    return {
        "pcie_generation": whole(
            _first(element, f"{info}/pcie_gen/current_link_gen", f"{info}/pcie_gen/device_current_link_gen")
        ),
        "pcie_max_generation": whole(
            _first(element, f"{info}/pcie_gen/max_link_gen", f"{info}/pcie_gen/max_device_link_gen")
        ),
        "pcie_width": whole(element.findtext(f"{info}/link_widths/current_link_width"), "x"),
        "pcie_max_width": whole(element.findtext(f"{info}/link_widths/max_link_width"), "x"),
    }


def _modes(element: Element) -> dict[str, Any]:
    mig = switch(element.findtext("mig_mode/current_mig"))
    reasons = set()
    for group in ("clocks_event_reasons", "clocks_throttle_reasons"):
        for reason in element.findall(f"{group}/*"):
            if (reason.text or "").strip() == "Active":
                reasons.add(reason.tag.removeprefix(f"{group[:-1]}_"))
    return {
        "compute_mode": words.spelled(words.COMPUTE_MODES, _first(element, "compute_mode")),
        "persistence": switch(element.findtext("persistence_mode")),
        "ecc_enabled": switch(element.findtext("ecc_mode/current_ecc")),
        **{f"ecc_{counter}_uncorrected": _uncorrected(element, counter) for counter in ("volatile", "aggregate")},
        "display_active": switch(element.findtext("display_active")),
        "vgpu_licensed": _licensed(element),
        "mig_mode": None if mig is None else "enabled" if mig else "disabled",
        "virtualization": words.spelled(
            words.VIRTUALIZATION,
            _first(element, "gpu_virtualization_mode/virtualization_mode", "virtualization_mode"),
        ),
        "throttle_reasons": tuple(word for word in words.THROTTLE_REASONS.values() if word in reasons),
    }


def _uncorrected(element: Element, counter: str) -> int | None:
    """Errors that ECC could not correct, SRAM's and DRAM's together; before driver 450 double-bit ones in total."""
    path = f"ecc_errors/{counter}"
    total = whole(element.findtext(f"{path}/double_bit/total"))
    parts = [whole(part.text) for part in element.findall(f"{path}/*") if "_uncorrectable" in part.tag]
    return total if not parts or None in parts else sum(part or 0 for part in parts)


def _licensed(element: Element) -> bool | None:
    """Of a vGPU: "Licensed (Expiry: …)", or "Unlicensed" and variants of it."""
    status = _first(element, "vgpu_software_licensed_product/license_status") or ""
    return {"Licensed": True, "Unlicensed": False}.get(status.partition(" ")[0])


def _limits(element: Element) -> dict[str, Any]:
    readings = ("gpu_power_readings", "power_readings")
    names = ("current_power_limit", "enforced_power_limit", "power_limit")
    limits = [f"{group}/{name}" for group in readings for name in names]
    return {
        "memory_clock_max_mhz": whole(element.findtext("max_clocks/mem_clock"), "MHz"),
        "sm_clock_max_mhz": whole(element.findtext("max_clocks/sm_clock"), "MHz"),
        "power_limit_w": measured(_first(element, *limits), "W"),
        "power_default_limit_w": measured(
            _first(element, *(f"{group}/default_power_limit" for group in readings)), "W"
        ),
    }


def _mig(element: Element) -> MigInstance:
    """One MIG device; its profile and UUID stand only in `nvidia-smi -L`."""
    return MigInstance(
        index=whole(element.findtext("index")) or 0,
        gpu_instance_id=whole(element.findtext("gpu_instance_id")),
        compute_instance_id=whole(element.findtext("compute_instance_id")),
        memory_total_bytes=size_bytes(element.findtext("fb_memory_usage/total")) or None,
        memory_free_bytes=size_bytes(element.findtext("fb_memory_usage/free")),
        memory_used_bytes=size_bytes(element.findtext("fb_memory_usage/used")),
        multiprocessors=whole(element.findtext("device_attributes/shared/multiprocessor_count")) or None,
    )
