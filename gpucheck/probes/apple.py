"""GPUs of a Mac, by system_profiler and, where that is blocked or slow, by the chip's name."""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from gpucheck.host.answer import MALFORMED, NOT_FOUND
from gpucheck.host.host import Host
from gpucheck.host.plain_json import parse_json
from gpucheck.probes.collect import Found, Issues, whole_number
from gpucheck.probes.facts import GpuReading, Vendor
from gpucheck.probes.sysctl import WiredLimit, is_darwin, is_virtual_mac, sysctls, wired_limit

PROFILER = ("system_profiler", "-json", "SPDisplaysDataType")
PARAVIRTUAL = "Apple Paravirtual device"
# is_available() says yes, and 256 bytes are already too many (runner-images #9918, #11899)
VIRTUAL_DETAIL = "a virtual machine's GPU gives MPS next to no memory, although it says that it is available"
# torch 2.2 was the last release with builds for x86_64 macOS (pytorch #114602)
INTEL_MAC_DETAIL = "a GPU of an Intel Mac: neither CUDA nor ROCm runs on macOS, and torch has no build since 2.2"
_MAKERS: tuple[tuple[str, Vendor], ...] = (
    ("amd", "AMD"), ("ati", "AMD"), ("radeon", "AMD"), ("nvidia", "NVIDIA"), ("intel", "Intel"), ("apple", "Apple"),
)  # fmt: skip


class _Mac(Struct, frozen=True):
    """What all GPUs of one Mac have in common."""

    memory_bytes: int | None
    limit: WiredLimit
    virtual: bool


def probe_apple(host: Host) -> Found[tuple[GpuReading, ...]]:
    """The GPUs that macOS lists: Apple's own, and in an Intel Mac other makers'; nothing on other systems."""
    if not is_darwin(host):
        return Found(())
    issues = Issues()
    facts, virtual = sysctls(host), is_virtual_mac(host, issues)
    displays = _displays(host, issues)
    chip_name = facts.get("machdep.cpu.brand_string", "")
    if not displays and chip_name.startswith("Apple"):
        name = PARAVIRTUAL if virtual else chip_name
        displays = [{"sppci_model": name}]
    memory = whole_number(facts.get("hw.memsize"))
    mac = _Mac(memory, wired_limit(host, memory, issues), virtual)
    readings: list[GpuReading] = []
    for entry in displays:
        model, vendor = _name(entry), _vendor(entry)
        if vendor == "Apple" and model is not None:
            readings.append(_apple(entry, model, mac, len(readings)))
        elif vendor is not None:
            readings.append(_other(entry, model, vendor, len(readings)))
        else:
            issues.add(NOT_FOUND, " ".join(PROFILER), f"no maker is known of {model or 'an entry without a name'}")
    return Found(tuple(readings), issues.all())


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
        found = parse_json(text)["SPDisplaysDataType"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else None


def parse_size(text: object) -> int | None:
    """Bytes in "8 GB" or "1536 MB", which are binary."""
    found = re.fullmatch(r"(\d{1,6}) ([MG])B", text.strip()) if isinstance(text, str) else None
    return int(found[1]) << {"M": 20, "G": 30}[found[2]] if found is not None else None


def _displays(host: Host, issues: Issues) -> list[dict[str, Any]]:
    source = " ".join(PROFILER)
    answer = host.run(*PROFILER, timeout_s=8.0)
    if answer.value is None:  # every macOS has it: also that it is not there is news
        issues.add(answer.error or NOT_FOUND, source, answer.detail)
        return []
    displays = parse_displays(answer.value.stdout)
    if displays is None:
        issues.add(MALFORMED, source, answer.value.stderr or "not the expected JSON")
    return displays or []


def _name(entry: dict[str, Any]) -> str | None:
    """`sppci_model`: `_name` is "kHW_AppleM1Item" on some builds."""
    for key in ("sppci_model", "_name"):
        name = entry.get(key)
        if isinstance(name, str) and name and not name.startswith("kHW_"):
            return name
    return None


def _vendor(entry: dict[str, Any]) -> Vendor | None:
    """The maker by its own field ("sppci_vendor_Apple", "AMD (0x1002)"), else by the name."""
    for key in ("spdisplays_vendor", "sppci_model", "_name"):
        words = re.findall(r"[a-z]+", str(entry.get(key, "")).lower())
        maker = next((vendor for word, vendor in _MAKERS if word in words), None)
        if maker is not None:
            return maker
    return None


def _apple(entry: dict[str, Any], name: str, mac: _Mac, index: int) -> GpuReading:
    virtual = mac.virtual or name == PARAVIRTUAL
    sources = {"memory_total_bytes": "sysctl hw.memsize"} if mac.memory_bytes is not None else {}
    if mac.limit.source is not None:
        sources["memory_limit_bytes"] = mac.limit.source
    return GpuReading(
        vendor="Apple",
        state="unsupported" if virtual else "ok",
        driver_index=index,
        name=name,
        integrated=True,
        virtualization="paravirtual" if virtual else None,
        memory_total_bytes=mac.memory_bytes,
        memory_limit_bytes=mac.limit.size_bytes,
        memory_limit_known=mac.limit.known,
        multiprocessors=whole_number(entry.get("sppci_cores")),  # a text: "40"
        detail=VIRTUAL_DETAIL if virtual else None,
        sources=sources,
    )


def _other(entry: dict[str, Any], name: str | None, vendor: Vendor, index: int) -> GpuReading:
    """A card of AMD or NVIDIA, or the graphics of an Intel processor, which has no "spdisplays_vram"."""
    memory = parse_size(entry.get("spdisplays_vram"))
    return GpuReading(
        vendor=vendor,
        state="unsupported",
        driver_index=index,
        name=name,
        # not its PCI id, under which the catalogue has a desktop card: 7340 is also an RX 5500 XT
        integrated=vendor == "Intel",
        memory_total_bytes=memory if vendor != "Intel" else None,
        detail=INTEL_MAC_DETAIL,
        sources={"memory_total_bytes": "system_profiler"} if memory is not None else {},
    )
