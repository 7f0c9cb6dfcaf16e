"""What hl-smi says of Gaudi accelerators, and xpu-smi of Intel's cards, by PCI address."""

from __future__ import annotations

import re

from msgspec import Struct

from gpucheck.host.answer import MALFORMED, Output
from gpucheck.host.host import Host
from gpucheck.host.plain_json import parse_json
from gpucheck.probes.collect import Issues, whole_number

HL_FIELDS = "index,bus_id,name,memory.total,memory.free"
HL_SMI = ("hl-smi", "-Q", HL_FIELDS, "-f", "csv,noheader")
XPU_SMI = ("xpu-smi", "discovery", "-j")
MIB = 1 << 20
_ADDRESS = re.compile(r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}:[0-9a-f]{2}\.[0-7])", re.IGNORECASE)
_MEMORY = re.compile(r"(\d{1,9})(?:\s*MiB)?", re.IGNORECASE)


class ToolReading(Struct, frozen=True):
    """One device as a tool prints it; what it does not print is None."""

    index: int | None = None
    name: str | None = None
    memory_total_bytes: int | None = None
    memory_free_bytes: int | None = None


def ask_hl_smi(host: Host, issues: Issues) -> dict[str, ToolReading]:
    """Gaudi devices by address. A container without the tool leaves their memory to the catalogue."""
    return parse_hl_smi(_asked(host, issues, HL_SMI), issues)


def ask_xpu_smi(host: Host, issues: Issues) -> dict[str, ToolReading]:
    """Cards by address; asked only where the kernel's driver does not tell their memory."""
    text = _asked(host, issues, XPU_SMI)
    found = parse_xpu_smi(text) if text else {}
    if found is None:
        issues.add(MALFORMED, " ".join(XPU_SMI), "not the expected JSON")
    return found or {}


def parse_hl_smi(text: str, issues: Issues) -> dict[str, ToolReading]:
    """Lines such as "0, 0000:33:00.0, HL-225, 98304 MiB, 97536 MiB"; any other line is an issue."""
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        address = pci_address(cells[1]) if len(cells) == len(HL_FIELDS.split(",")) else None
        if address is not None:
            found[address] = ToolReading(
                index=whole_number(cells[0]),
                name=cells[2] if cells[2] not in {"", "N/A"} else None,
                memory_total_bytes=_mib(cells[3]),
                memory_free_bytes=_mib(cells[4]),
            )
        elif line.strip():
            issues.add(MALFORMED, "hl-smi", line)
    return found


def parse_xpu_smi(text: str) -> dict[str, ToolReading] | None:
    """Physical functions in the JSON, sizes as numbers or as texts; None when it is not that."""
    try:
        listed = parse_json(text)["device_list"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    found = {}
    for entry in listed if isinstance(listed, list) else ():
        if not isinstance(entry, dict) or str(entry.get("device_function_type", "physical")).lower() != "physical":
            continue
        address, size = pci_address(str(entry.get("pci_bdf_address", ""))), entry.get("memory_physical_size_byte")
        if address is not None:
            total = size if type(size) is int else whole_number(size)
            name, index = entry.get("device_name"), entry.get("device_id")
            found[address] = ToolReading(
                index=index if type(index) is int and 0 <= index < 1 << 31 else None,
                name=name if isinstance(name, str) else None,
                memory_total_bytes=total if total and 0 < total < 1 << 63 else None,
            )
    return found


def pci_address(text: str) -> str | None:
    """The address as sysfs writes it: "33:00.0" and "0000:33:00.0" are "0000:33:00.0"."""
    found = _ADDRESS.fullmatch(text.strip())
    if found is None:
        return None
    domain = (found[1] or "0").lstrip("0").lower()
    return f"{domain:0>4}:{found[2].lower()}"


def _asked(host: Host, issues: Issues, argv: tuple[str, ...]) -> str:
    """What the tool prints; a tool that is not there is no news, one that fails is."""
    output: Output | None = issues.value(argv[0], host.run(*argv, timeout_s=6.0))
    if output is None:
        return ""
    if output.returncode != 0:
        said = (output.stderr.strip() or output.stdout.strip() or "it printed nothing").splitlines()[0]
        issues.add("exit_status", argv[0], f"exit status {output.returncode}: {said}")
        return ""
    return output.stdout


def _mib(text: str) -> int | None:
    found = _MEMORY.fullmatch(text)
    return int(found[1]) * MIB if found is not None and int(found[1]) else None
