"""What the kernel log says of NVIDIA's GPUs: Xid errors, cards off the bus, cards that the driver ignores.

Looked for only when a GPU is not well: reading the log takes time, and often a privilege.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from gpucheck.host.host import Host
from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import GpuReading
from gpucheck.probes.nvidia.values import pci_address

COMMANDS = (
    ("dmesg",),
    ("journalctl", "-k", "-b", "-o", "cat", "--no-pager", "-n", "20000"),
)
MAX_LOG = 4 << 20
_XID = re.compile(r"NVRM: Xid \(PCI:([0-9a-fA-F:.]+)\): (\d{1,3})\b")
# New drivers write it over several lines and without a code (gpud #1209, NVSentinel #155):
# "NVRM: GPU 0000:0c:00.0: GPU has fallen off the bus."
_OFF_THE_BUS = re.compile(r"NVRM: GPU (?:at )?(?:PCI:)?([0-9a-fA-F:.]+?):? (?:.*\b)?fallen off the bus")
OFF_THE_BUS = 79  # the Xid that a fall off the bus has, where it has one


class KernelLog(Struct, frozen=True):
    """Xid codes by PCI address, in order and each once; and whether the driver said that it ignores a card."""

    xids: dict[str, tuple[int, ...]] = {}
    ignores_a_card: bool = False


def parse_kernel_log(text: str) -> KernelLog:
    """What the lines of NVRM say, as in `[ 1234.5] NVRM: Xid (PCI:0000:5d:00): 79, pid=1234, GPU has fallen …`."""
    found: dict[str, dict[int, None]] = {}
    for line in text[-MAX_LOG:].splitlines():
        if "NVRM" not in line:
            continue
        xid, fallen = _XID.search(line), _OFF_THE_BUS.search(line)
        place = xid[1] if xid else fallen[1] if fallen else None
        address = None if place is None else pci_address(place if "." in place else f"{place}.0")
        if address is not None:
            found.setdefault(address, {})[int(xid[2]) if xid else OFF_THE_BUS] = None
    return KernelLog(
        xids={address: tuple(codes) for address, codes in found.items()},
        ignores_a_card="will ignore this GPU" in text,
    )


def with_kernel_log(host: Host, readings: Sequence[GpuReading], issues: Issues) -> tuple[GpuReading, ...]:
    """The readings, those of unwell GPUs with the codes that the kernel logged for them."""
    if all(reading.state == "ok" for reading in readings):
        return tuple(readings)
    refused = False
    for argv in COMMANDS:
        answer = host.run(*argv, timeout_s=3.0)
        refused = refused or not answer.absent
        if answer.value is not None and answer.value.returncode == 0 and answer.value.stdout:
            log = parse_kernel_log(answer.value.stdout)
            return tuple(_with_codes(reading, log) for reading in readings)
    if refused:  # and not merely missing, or never asked
        issues.add("no_kernel_log", "kernel log", "neither dmesg nor journalctl may be read: Xid errors are unknown")
    return tuple(readings)


def _with_codes(reading: GpuReading, log: KernelLog) -> GpuReading:
    codes = log.xids.get(reading.pci_address or "", ())
    if reading.state == "unreachable" and log.ignores_a_card and not codes:
        detail = f"{reading.detail}; the kernel log says that this driver ignores it"
        return msgspec.structs.replace(reading, detail=detail)
    return msgspec.structs.replace(reading, xids=codes) if codes else reading
