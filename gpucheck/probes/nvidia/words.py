"""NVML's numbers as words, and how the words of nvidia-smi are spelled the same."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

BRANDS: Mapping[int, str] = {
    1: "Quadro", 2: "Tesla", 3: "NVS", 4: "GRID", 5: "GeForce", 6: "TITAN", 7: "NVIDIA vApps",
    8: "NVIDIA VPC", 9: "NVIDIA VCS", 10: "NVIDIA VWS", 11: "NVIDIA Cloud Gaming", 12: "Quadro RTX",
    13: "NVIDIA RTX", 14: "NVIDIA", 15: "GeForce RTX", 16: "TITAN RTX",
}  # fmt: skip

ARCHITECTURES: Mapping[int, str] = {
    2: "Kepler", 3: "Maxwell", 4: "Pascal", 5: "Volta", 6: "Turing", 7: "Ampere", 8: "Ada", 9: "Hopper",
    10: "Blackwell", 13: "Rubin",
}  # fmt: skip

COMPUTE_MODES: Mapping[int, str] = {
    0: "default", 1: "exclusive_thread", 2: "prohibited", 3: "exclusive_process",
}  # fmt: skip

VIRTUALIZATION: Mapping[int, str] = {1: "passthrough", 2: "vgpu", 3: "host_vgpu", 4: "host_vsga"}

# nvmlNvlinkVersion_t numbers 2.2 and 3.1 apart: 4.0, of Hopper, is 6.
NVLINK_VERSIONS: Mapping[int, int] = {1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 6: 4, 7: 5, 8: 6}

FABRIC_STATES: Mapping[int, str] = {1: "not_started", 2: "in_progress", 3: "completed"}  # 0: there is no fabric

# Bits 0x1 (idle) and 0x2 (applications clocks setting) slow nothing that the user did not ask for.
THROTTLE_REASONS: Mapping[int, str] = {
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
    0x100: "display_clocks_setting",
    0x200: "board_limit",
    0x400: "reliability",
}

# "NVIDIA A40-8Q", "GRID V100D-16C", "NVIDIA A100-1-5CME", "GRID K120Q": the series stands after the size, and GRID's
# first boards have no dash. A "Tesla K20c" is a card.
_VGPU = re.compile(r"(?:-\d{1,3}(?:[QBCA]|CME)\d?|GRID K\d{3}Q)$")
_PROFILE = re.compile(r"\bMIG\s+((?:\d+c\.)?\d+g\.\d+gb[\w+.-]*)")


def throttle_reasons(mask: int) -> tuple[str, ...]:
    """The reasons in NVML's bit mask, without the two that are no news."""
    return tuple(word for bit, word in THROTTLE_REASONS.items() if mask & bit)


def cuda_version(number: int) -> str | None:
    """The version "12.8" of 12080; None of 0, which NVML gives when it does not know."""
    return f"{number // 1000}.{number % 1000 // 10}" if number >= 1000 else None


def spelled(words: Mapping[int, str], text: str | None) -> str | None:
    """The table's spelling of a word of nvidia-smi ("Exclusive_Process", "Pass-Through", "Ada Lovelace")."""
    wanted = (text or "").lower().replace("-", "").replace(" ", "_")
    for word in words.values():
        if word.lower().replace(" ", "_") == wanted:
            return word
    return "Ada" if wanted == "ada_lovelace" and "Ada" in words.values() else None


def library_version(nvml_version: str) -> str:
    """The driver release in NVML's own version: "570.86.10" of "12.570.86.10", whose first part is CUDA's."""
    first, _, rest = nvml_version.partition(".")
    return rest if len(first) <= 2 and rest.partition(".")[0].isdecimal() and len(rest) >= 3 else nvml_version


def same_release(module: str, library: str) -> bool:
    """Whether two versions agree as far as both go: nvidia-smi shortens 535.183.01 to 535.183."""
    return all(a == b for a, b in zip(module.split("."), library.split("."), strict=False))


def names_vgpu(name: str | None) -> bool:
    """Whether a driver's name is that of a vGPU profile (Virtual GPU Software User Guide), a share of a card."""
    return _VGPU.search(name or "") is not None


def profile_in_name(name: str | None) -> str | None:
    """The profile "3g.20gb" of "NVIDIA A100-SXM4-40GB MIG 3g.20gb"; not every driver's name has it."""
    found = _PROFILE.search(name or "")
    return found[1] if found is not None else None


# SMs of a MIG device's slices on GA100 (14 a slice) and GH100 (16 and more); each count belongs to one of them
_SLICES_BY_SMS = {14: 1, 28: 2, 42: 3, 56: 4, 98: 7, 16: 1, 26: 1, 32: 2, 60: 3, 64: 4, 132: 7}


def profile_by_sms(multiprocessors: int | None, memory_bytes: int | None, card_bytes: int | None) -> str | None:
    """The profile of a MIG device of which only size and SMs are told, as in nvidia-smi's XML."""
    slices = _SLICES_BY_SMS.get(multiprocessors or 0)
    return profile_of(0, slices, memory_bytes >> 20, card_bytes) if slices and memory_bytes else None


def profile_of(compute_slices: int, gpu_slices: int, memory_mb: int, card_bytes: int | None) -> str | None:
    """The profile that NVIDIA's tools would name, from the slice counts and the memory of a MIG device.

    A 3g.40gb slice holds 40448 MiB and a 7g.80gb one 81079: the name counts eighths of the card, rounded up,
    of its size in whole GiB. Without the card's size the slice's own is rounded up.
    """
    if not gpu_slices or not memory_mb:
        return None
    size = math.ceil(memory_mb / 1024)
    if card_bytes:
        eighths = math.ceil(min(1.0, memory_mb * 2**20 / card_bytes) * 8)
        size = int(eighths / 8 * math.ceil(card_bytes / 2**30) + 0.5)
    prefix = f"{compute_slices}c." if 0 < compute_slices < gpu_slices else ""
    return f"{prefix}{gpu_slices}g.{size}gb"
