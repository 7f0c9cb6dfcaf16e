"""What Windows says of itself through CIM, asked once for all probes.

`wmic` is gone from Windows 11 24H2 (flare-vm #663), so PowerShell asks. It takes a second or more to start: nothing is
run on other systems, and nothing twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gpucheck.host.answer import MALFORMED
from gpucheck.host.host import Host
from gpucheck.host.plain_json import parse_json
from gpucheck.probes.collect import Issues, whole_number
from gpucheck.probes.systems import is_windows

TIMEOUT_S = 15.0
# A PNPDeviceID ends with an instance that may hold the card's serial number: it is cut off before it is printed.
_CIM = (
    "[Console]::OutputEncoding=[Text.Encoding]::UTF8;$ErrorActionPreference='SilentlyContinue';"
    "ConvertTo-Json -Compress -Depth 3 -InputObject @{"
    "video=@(Get-CimInstance Win32_VideoController|Select-Object Name,AdapterCompatibility,DriverVersion,"
    "ConfigManagerErrorCode,@{n='PNPDeviceID';e={$_.PNPDeviceID -replace '\\\\[^\\\\]*$',''}});"
    "processor=@(Get-CimInstance Win32_Processor|Select-Object Name,Manufacturer,NumberOfCores,"
    "NumberOfLogicalProcessors,L2CacheSize,L3CacheSize);"
    "system=@(Get-CimInstance Win32_OperatingSystem|Select-Object Caption,BuildNumber,TotalVisibleMemorySize,"
    "FreePhysicalMemory);"
    "computer=@(Get-CimInstance Win32_ComputerSystem|Select-Object Manufacturer,Model)}"
)
CLASS = r"HKLM:\SYSTEM\CurrentControlSet\Control\Class\{4d36e968-e325-11ce-bfc1-08002be10318}"
_REGISTRY = (
    "[Console]::OutputEncoding=[Text.Encoding]::UTF8;$ErrorActionPreference='SilentlyContinue';"
    "ConvertTo-Json -Compress -Depth 3 -InputObject @(Get-ChildItem '" + CLASS + "'|"
    "Where-Object {$_.PSChildName -match '^\\d{4}$'}|ForEach-Object {Get-ItemProperty $_.PSPath}|"
    "Select-Object PSChildName,DriverDesc,MatchingDeviceId,'HardwareInformation.qwMemorySize')"
)
POWERSHELL = ("powershell", "-NoProfile", "-NonInteractive", "-Command")
CIM = (*POWERSHELL, _CIM)
REGISTRY = (*POWERSHELL, _REGISTRY)


def cim(host: Host, issues: Issues | None = None) -> Mapping[str, Any]:
    """The objects by group ("video", "processor", "system", "computer"), empty on other systems.

    Every probe shares the answer; only the one that hands its issues over notes why there is none.
    """
    if not is_windows(host):
        return {}
    found = ask_json(host, CIM, "Get-CimInstance", issues or Issues())
    return found if isinstance(found, dict) else {}


def first(found: Mapping[str, Any], group: str) -> Mapping[str, Any]:
    """The first object of a group; a machine with two processors describes both alike."""
    return next(iter(objects(found.get(group))), {})


def objects(listed: object) -> list[Mapping[str, Any]]:
    """The objects of a group: PowerShell 5 writes a list of one as the object itself."""
    entries = listed if isinstance(listed, list) else [listed]
    return [entry for entry in entries if isinstance(entry, dict)]


def ask_json(host: Host, argv: tuple[str, ...], source: str, issues: Issues) -> Any:
    """What PowerShell prints as JSON, None when it prints anything else."""
    output = issues.value(source, host.run(*argv, timeout_s=TIMEOUT_S))
    if output is None:
        return None
    try:
        return parse_json(output.stdout.lstrip("\ufeff"))
    except (ValueError, RecursionError):
        said = (output.stderr.strip() or output.stdout.strip() or "it printed nothing").splitlines()[0]
        issues.add(MALFORMED, source, f"exit status {output.returncode}: {said}")
        return None


def text(entry: Mapping[str, Any], name: str) -> str | None:
    """A text value, stripped; None when it is empty or no text."""
    value = entry.get(name)
    return value.strip() or None if isinstance(value, str) else None


def count(entry: Mapping[str, Any], name: str) -> int | None:
    """A positive whole number; CIM's 64-bit numbers come as texts."""
    value = entry.get(name)
    if isinstance(value, str):
        value = whole_number(value)
    return value if type(value) is int and 0 < value < 1 << 63 else None


def edition(host: Host) -> str | None:
    """Such as "Microsoft Windows 11 Pro, build 26100"."""
    system = first(cim(host), "system")
    caption, build = text(system, "Caption"), text(system, "BuildNumber")
    return f"{caption}, build {build}" if caption and build else caption


def maker_and_model(host: Host) -> tuple[str, str]:
    """What the firmware says of the machine: "Microsoft Corporation", "Virtual Machine"."""
    computer = first(cim(host), "computer")
    return text(computer, "Manufacturer") or "", text(computer, "Model") or ""


def pci_ids(device: str) -> tuple[str, str, str | None] | None:
    r"""Vendor, device and subsystem in "PCI\VEN_10DE&DEV_2684&SUBSYS_889D1043&REV_A1", in sysfs's form."""
    found = re.match(r"pci\\ven_([0-9a-f]{4})&dev_([0-9a-f]{4})(?:&subsys_([0-9a-f]{4})([0-9a-f]{4}))?", device.lower())
    if found is None:
        return None
    return found[1], found[2], f"{found[4]}:{found[3]}" if found[3] else None
