"""Apple's integrated GPU, by system_profiler and, where that is blocked or slow, by the chip's name."""

from __future__ import annotations

import json
import re
from typing import Any

from gpucheck.host.answer import MALFORMED
from gpucheck.host.host import Host
from gpucheck.probes.collect import Found, Issues, whole_number
from gpucheck.probes.facts import GpuReading
from gpucheck.probes.sysctl import is_darwin, sysctls

PROFILER = ("system_profiler", "-json", "SPDisplaysDataType")
PARAVIRTUAL = "Apple Paravirtual device"


def probe_apple(host: Host) -> Found[tuple[GpuReading, ...]]:
    """Apple's GPU on macOS, nothing elsewhere; cards of other makers in old Macs are none of ours."""
    if not is_darwin(host):
        return Found(())
    issues = Issues()
    facts = sysctls(host)
    displays = _displays(host, issues)
    chips = [chip for chip in displays if str(chip.get("sppci_model", "")).startswith("Apple")]
    chip_name = facts.get("machdep.cpu.brand_string", "")
    if not chips and chip_name.startswith("Apple"):
        chips = [{"sppci_model": chip_name}]
    memory = whole_number(facts.get("hw.memsize"))
    return Found(tuple(_reading(chip, index, memory) for index, chip in enumerate(chips)), issues.all())


def metal_version(host: Host) -> str | None:
    """The Metal family that torch's MPS would run on, "Metal 3"; None on other systems and when not told."""
    if not is_darwin(host):
        return None
    for chip in _displays(host, Issues()):
        # "spdisplays_metal3"; before macOS 13 another key said only that Metal is supported
        found = re.fullmatch(r"spdisplays_metal(\d+)", str(chip.get("spdisplays_mtlgpufamilysupport", "")))
        if found is not None:
            return f"Metal {found[1]}"
    return None


def parse_displays(text: str) -> list[dict[str, Any]] | None:
    """The GPUs in system_profiler's JSON, None when it is not that."""
    try:
        found = json.loads(text)["SPDisplaysDataType"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else None


def _displays(host: Host, issues: Issues) -> list[dict[str, Any]]:
    source = " ".join(PROFILER)
    answer = issues.value(source, host.run(*PROFILER, timeout_s=8.0))
    if answer is None:
        return []
    displays = parse_displays(answer.stdout)
    if displays is None:
        issues.add(MALFORMED, source, answer.stderr or "not the expected JSON")
    return displays or []


def _reading(chip: dict[str, Any], index: int, memory: int | None) -> GpuReading:
    """One GPU. Its name is `sppci_model`: `_name` is "kHW_AppleM1Item" on some builds."""
    name = str(chip["sppci_model"])
    virtual = name == PARAVIRTUAL
    return GpuReading(
        vendor="Apple",
        state="unreachable" if virtual else "ok",
        driver_index=index,
        name=name,
        integrated=True,
        virtualization="paravirtual" if virtual else None,
        memory_total_bytes=memory,
        multiprocessors=whole_number(chip.get("sppci_cores")),  # a text: "40"
        # is_available() says yes, and 256 bytes are already too many (runner-images #9918, #11899)
        detail="a virtual machine's GPU gives MPS next to no memory" if virtual else None,
        sources={"memory_total_bytes": "sysctl hw.memsize"} if memory is not None else {},
    )
