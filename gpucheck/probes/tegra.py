"""Jetson: the GPU inside a Tegra chip, which no PCI bus lists and which NVML knows in part or not at all.

Every Orin module calls itself "Orin (nvgpu)", from 34 to 205 GB/s (nvitop #168); the device tree names the module.
"""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

from gpucheck.host.answer import NOT_FOUND
from gpucheck.host.host import Host
from gpucheck.probes.collect import Found, Issues
from gpucheck.probes.facts import GpuReading, State
from gpucheck.probes.memory import MEMINFO, parse_meminfo

TREES = ("/proc/device-tree", "/sys/firmware/devicetree/base")
RELEASE = "/etc/nv_tegra_release"
ON_BUS = frozenset({"2b00"})  # Thor's GPU is a device of the PCI bus, unlike those before it
DEVICE = "/dev/nvmap"  # what CUDA allocates through on every Jetson Linux
# Chips by their device-tree name: the chip's own, and its GPU's compute capability.
CHIPS = {
    "tegra210": ("Tegra X1", "5.3"), "tegra186": ("Tegra X2", "6.2"), "tegra194": ("Xavier", "7.2"),
    "tegra234": ("Orin", "8.7"), "tegra264": ("Thor", "11.0"),
}  # fmt: skip
# Modules by part number (Jetson Linux Developer Guide, supported devices); before JetPack 5 some trees name only the
# developer kit's own board (P2371, P2771, P2972). P3701-0000, in the first developer kit,
# has all 16 multiprocessors of an AGX Orin with 32 GB, which no module that is sold alone has.
MODULES = {
    "p2371-2180": "Jetson TX1", "p2771-0000": "Jetson TX2", "p2972-0000": "Jetson AGX Xavier",
    "p2180-1000": "Jetson TX1", "p3448-0000": "Jetson Nano", "p3448-0002": "Jetson Nano",
    "p3448-0003": "Jetson Nano 2GB", "p3310-1000": "Jetson TX2", "p3489-0000": "Jetson TX2i",
    "p3489-0888": "Jetson TX2 4GB", "p3636-0001": "Jetson TX2 NX", "p2888-0001": "Jetson AGX Xavier",
    "p2888-0004": "Jetson AGX Xavier", "p2888-0005": "Jetson AGX Xavier",
    "p2888-0008": "Jetson AGX Xavier Industrial", "p3668-0000": "Jetson Xavier NX",
    "p3668-0001": "Jetson Xavier NX", "p3668-0003": "Jetson Xavier NX",
    "p3701-0000": "Jetson AGX Orin Developer Kit", "p3701-0004": "Jetson AGX Orin 32GB",
    "p3701-0005": "Jetson AGX Orin 64GB", "p3701-0008": "Jetson AGX Orin Industrial",
    "p3767-0000": "Jetson Orin NX 16GB", "p3767-0001": "Jetson Orin NX 8GB", "p3767-0003": "Jetson Orin Nano 8GB",
    "p3767-0004": "Jetson Orin Nano 4GB", "p3767-0005": "Jetson Orin Nano 8GB",
    "p3834-0000": "Jetson AGX Thor (T5000)", "p3834-0008": "Jetson AGX Thor (T5000)",
}  # fmt: skip
# By words of the board's name and the machine's memory, where the tree has no part number. Only where both leave one
# module: an AGX Orin of 32 GB may have 14 or 16 multiprocessors.
BY_NAME = (
    ("orin nx", 16, "Jetson Orin NX 16GB"), ("orin nx", 8, "Jetson Orin NX 8GB"),
    ("orin nano", 8, "Jetson Orin Nano 8GB"), ("orin nano", 4, "Jetson Orin Nano 4GB"),
    ("agx orin", 64, "Jetson AGX Orin 64GB"), ("agx thor", 128, "Jetson AGX Thor (T5000)"),
    ("xavier nx", 8, "Jetson Xavier NX"), ("xavier nx", 16, "Jetson Xavier NX"),
    ("agx xavier", 32, "Jetson AGX Xavier"), ("agx xavier", 64, "Jetson AGX Xavier"),
)  # fmt: skip
_TEGRA_NAME = re.compile(r"\(nvgpu\)|\b(?:tegra|orin|xavier|thor)\b", re.IGNORECASE)


class Tegra(Struct, frozen=True):
    """One chip and, where it can be told, the module that it sits on."""

    chip: str  # Orin
    compute_capability: str
    module: str | None = None  # Jetson AGX Orin 64GB
    board: str | None = None  # the device tree's own words
    state: State = "ok"
    detail: str | None = None

    @property
    def name(self) -> str:
        """The module as NVIDIA sells it, else the board's or the chip's name."""
        name = self.module or (self.board or "").removeprefix("NVIDIA ") or self.chip
        return f"NVIDIA {name}"


def probe_tegra(host: Host) -> Found[Tegra | None]:
    """The Tegra chip that this machine is, None on any other; reads two small files of the device tree."""
    issues = Issues()
    words = _tree(host, issues, "compatible")
    parts = [word for entry in words for word in re.split("[,+]", entry.lower())]
    chip = next((CHIPS[part] for part in parts if part in CHIPS), None)
    if chip is None:
        if not words and host.read(RELEASE).value:
            issues.add(NOT_FOUND, TREES[0], f"{RELEASE} says that this is a Jetson, but there is no device tree")
        return Found(None, issues.all())
    board = " ".join(_tree(host, issues, "model")) or None
    module = next((MODULES[part[:10]] for part in parts if part[:10] in MODULES), None)  # "p3448-0000-b00"
    if module is None:
        module = module_by_name(board or "", parse_meminfo(host.read(MEMINFO).value or "").get("MemTotal"))
    state, detail = _state(host, issues)
    return Found(Tegra(*chip, module=module, board=board, state=state, detail=detail), issues.all())


def module_by_name(board: str, total_bytes: int | None) -> str | None:
    """The module on a board of this name with this much memory, None where several fit or none does."""
    if total_bytes is None:
        return None
    total, text = total_bytes / (1 << 30), board.lower()
    fitting = {
        module for words, gib, module in BY_NAME if words in text and 0.85 <= total / gib <= 1
    }  # the firmware keeps up to a tenth for itself
    return fitting.pop() if len(fitting) == 1 else None


def with_tegra(readings: tuple[GpuReading, ...], tegra: Tegra) -> tuple[GpuReading, ...]:
    """The readings with the chip's GPU in them: completed where NVML names it, added where it does not.

    A card in a slot of the same board is another GPU and stays as it is.
    """
    own = [reading for reading in readings if _is_own(reading, tegra)]
    if not own:
        made = GpuReading(
            vendor="NVIDIA",
            state=tegra.state,
            name=tegra.name,
            compute_capability=tegra.compute_capability,
            integrated=True,
            detail=tegra.detail,
            sources={"name": "device tree", "compute_capability": "device tree"},
        )
        return (*readings, made)
    return tuple(_completed(reading, tegra) if reading is own[0] else reading for reading in readings)


def _is_own(reading: GpuReading, tegra: Tegra) -> bool:
    """Whether NVML means the chip's GPU: by name, and where it has none, as a card in a slot has an address."""
    if reading.name is not None:
        return _TEGRA_NAME.search(reading.name) is not None
    if reading.pci_address is None or reading.pci_device_id in ON_BUS:
        return True
    return reading.compute_capability == tegra.compute_capability


def _completed(reading: GpuReading, tegra: Tegra) -> GpuReading:
    sources = {**reading.sources, **({"name": "device tree"} if tegra.module else {})}
    if reading.compute_capability is None:
        sources["compute_capability"] = "device tree"
    return replace(
        reading,
        name=tegra.name if tegra.module else reading.name,
        compute_capability=reading.compute_capability or tegra.compute_capability,
        integrated=True,
        sources=sources,
    )


def _tree(host: Host, issues: Issues, name: str) -> list[str]:
    """The strings of one property, which end with null bytes."""
    for tree in TREES:
        text = issues.value(f"{tree}/{name}", host.read(f"{tree}/{name}"))
        if text:
            return [word.strip() for word in text.split("\0") if word.strip()]
    return []


def _state(host: Host, issues: Issues) -> tuple[State, str | None]:
    """Whether this process may compute; the device file is missing in a container without NVIDIA's runtime."""
    answer = host.may("rw", DEVICE)
    if answer.error == NOT_FOUND:
        return "unreachable", f"{DEVICE} is not here: a container needs --runtime nvidia"
    if issues.value(DEVICE, answer) is False:
        return "no_permission", f"{DEVICE} cannot be opened for reading and writing: the group video may"
    return "ok", None
