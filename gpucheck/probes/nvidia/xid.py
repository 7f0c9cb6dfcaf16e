"""What the kernel log says of NVIDIA's GPUs: Xid errors, cards off the bus, cards that the driver ignores.

Looked for only when a GPU is not well, or when somebody asks for it: reading the log takes time, and often a privilege.
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
_MAX_LINE = 500  # characters; the search takes the square of them, and what matters stands at the beginning
_XID = re.compile(r"NVRM: Xid \(PCI:([0-9a-fA-F:.]+)\): (\d{1,3})\b")
# New drivers write it over several lines and without a code (gpud #1209, NVSentinel #155):
# "NVRM: GPU 0000:0c:00.0: GPU has fallen off the bus."
_OFF_THE_BUS = re.compile(r"NVRM: GPU (?:at )?(?:PCI:)?([0-9a-fA-F:.]+?):? (?:.*\b)?fallen off the bus")
# Or the name of the card, and lines later what became of it:
# "NVRM: The NVIDIA GPU 0000:0c:00.0" … "NVRM: fallen off the bus and is not responding to commands."
_NAMED = re.compile(r"NVRM: The NVIDIA GPU (?:at )?(?:PCI:)?([0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F.]+)")
_LINES_OF_ONE_MESSAGE = 4
_IGNORED = "will ignore this GPU"
OFF_THE_BUS = 79  # the Xid that a fall off the bus has, where it has one


class KernelLog(Struct, frozen=True):
    """Xid codes by PCI address, in order and each once; and which cards the driver said that it ignores."""

    xids: dict[str, tuple[int, ...]] = {}
    ignores_a_card: bool = False
    ignored: frozenset[str] = frozenset()  # by address, where the log names them


def parse_kernel_log(text: str) -> KernelLog:
    """What the lines of NVRM say, as in `[ 1234.5] NVRM: Xid (PCI:0000:5d:00): 79, pid=1234, GPU has fallen …`."""
    found: dict[str, dict[int, None]] = {}
    ignored = set()
    subject, left = None, 0  # the card that a message of several lines is about
    for line in text[-MAX_LOG:].splitlines():
        if "NVRM" not in line:
            continue
        line = line[:_MAX_LINE]  # noqa: PLW2901 - only the cut line is read
        named, xid, fallen = _NAMED.search(line), _XID.search(line), _OFF_THE_BUS.search(line)
        subject, left = (_address(named[1]), _LINES_OF_ONE_MESSAGE) if named else (subject if left else None, left - 1)
        address = _address(xid[1]) if xid else _address(fallen[1]) if fallen else None
        if address is None and not xid and "fallen off the bus" in line:
            address = subject
        if address is not None:
            found.setdefault(address, {})[int(xid[2]) if xid else OFF_THE_BUS] = None
        if subject is not None and _IGNORED in line:
            ignored.add(subject)
    return KernelLog(
        xids={address: tuple(codes) for address, codes in found.items()},
        ignores_a_card=_IGNORED in text,
        ignored=frozenset(ignored),
    )


def _address(place: str) -> str | None:
    return pci_address(place if "." in place else f"{place}.0")


def with_kernel_log(
    host: Host, readings: Sequence[GpuReading], issues: Issues, *, always: bool = False
) -> tuple[GpuReading, ...]:
    """The readings with the codes that the kernel logged for them; the log is not read where all GPUs are well.

    With `always` it is read there too.
    """
    if not always and all(reading.state == "ok" for reading in readings):
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
    ignored = reading.pci_address in log.ignored if log.ignored else log.ignores_a_card
    if reading.state in {"unreachable", "no_driver"} and ignored and not codes:
        detail = f"{reading.detail}; the kernel log says that this driver ignores it"
        return msgspec.structs.replace(reading, detail=detail)
    if reading.state == "unknown" and OFF_THE_BUS in codes:  # NVML had no better word than "Unknown Error"
        detail = f"{reading.detail}; the kernel log says that it has fallen off the bus"
        return msgspec.structs.replace(reading, state="lost", detail=detail, xids=codes)
    return msgspec.structs.replace(reading, xids=codes) if codes else reading
