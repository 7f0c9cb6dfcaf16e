"""The third rung: what the kernel module says of itself and of its cards in `/proc` and `/sys`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from gpucheck.host.host import Host
from gpucheck.probes.collect import Issues
from gpucheck.probes.nvidia.values import pci_address, told, version, whole

MODULE = "/sys/module/nvidia/version"
PROC = "/proc/driver/nvidia/version"
CARDS = "/proc/driver/nvidia/gpus"
_RELEASE = re.compile(r"(?<!\s)\s{2,}(\d{3,4}\.\d{1,4}(?:\.\d{1,4})?)(?=\s|$)")


class Kernel(Struct, frozen=True):
    """The module. `source` is the file that the version stands in; None when no module is loaded."""

    version: str | None = None
    open_module: bool | None = None
    source: str | None = None


class KernelCard(Struct, frozen=True):
    """One card that the module has taken; `minor` numbers its `/dev/nvidia…`."""

    address: str
    name: str | None = None
    uuid: str | None = None
    minor: int | None = None
    excluded: bool = False


def read_kernel(host: Host, issues: Issues) -> Kernel:
    """Version and kind of the module; readable also where the library is broken or missing."""
    module = version(issues.value(MODULE, host.read(MODULE)))
    line, is_open = parse_version(issues.value(PROC, host.read(PROC)) or "")
    if module is not None:
        return Kernel(version=module, open_module=is_open, source=MODULE)
    return Kernel(version=line, open_module=is_open, source=PROC if line is not None else None)


def parse_version(text: str) -> tuple[str | None, bool | None]:
    """Version, and whether the module is the open one, of the NVRM line.

    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.54.03  Tue Jun  6 …" is the proprietary module,
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  595.71.05  Release Build  …" the open one. The
    version follows a double space.
    """
    for line in text.splitlines():
        if line.startswith("NVRM version:"):
            found = _RELEASE.search(line)
            return (found[1] if found is not None else None), "Open Kernel Module" in line
    return None, None


def read_cards(host: Host, issues: Issues) -> dict[str, KernelCard]:
    """The module's cards by address. A container sees only its own, where the runtime hides the others."""
    cards = {}
    for name in issues.value(CARDS, host.listdir(CARDS)) or ():
        address = pci_address(name)
        if address is not None:
            path = f"{CARDS}/{name}/information"
            cards[address] = parse_card(address, issues.value(path, host.read(path)) or "")
    return cards


def parse_card(address: str, text: str) -> KernelCard:
    """One card's `information`: lines of a name, a colon, tabs and a value."""
    facts: Mapping[str, str] = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())
    }
    uuid = told(facts.get("GPU UUID"))
    return KernelCard(
        address=address,
        name=told(facts.get("Model")),
        uuid=uuid if uuid is not None and "?" not in uuid else None,  # "GPU-????????-…" of a card not started
        minor=whole(facts.get("Device Minor")),
        excluded=facts.get("GPU Excluded") == "Yes",
    )
