"""`nvidia-smi --query-gpu=… --format=csv`, and the list of `nvidia-smi -L`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from gpucheck.probes.collect import Found, Issues
from gpucheck.probes.facts import GpuReading
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

SOURCE = "nvidia-smi --query-gpu"
# Only what drivers from about 450 on know, except compute_cap, which came with 510 and is asked first.
FIELDS = (
    "index", "count", "name", "uuid", "pci.bus_id", "pci.device_id", "pci.sub_device_id", "driver_version",
    "memory.total", "memory.free", "memory.used", "memory.reserved", "compute_cap", "compute_mode",
    "persistence_mode", "ecc.mode.current", "mig.mode.current", "pcie.link.gen.current", "pcie.link.gen.max",
    "pcie.link.width.current", "pcie.link.width.max", "power.limit", "power.default_limit", "clocks.max.sm",
    "clocks.max.memory",
)  # fmt: skip
OLD_FIELDS = (
    "index", "name", "uuid", "pci.bus_id", "pci.device_id", "driver_version", "memory.total", "memory.free",
    "memory.used", "compute_mode",
)  # fmt: skip
MARKS = frozenset({"name", "uuid", "pci.bus_id", "index"})
MAX_ROWS = 256
_LISTED = re.compile(r"GPU (\d{1,3}): ")
_LISTED_MIG = re.compile(r"\s+MIG (\S+)\s+Device\s+(\d{1,3}): \(UUID: (MIG-[^)]+)\)")


class Listed(Struct, frozen=True):
    """One MIG device in the list, which alone names the profile."""

    gpu: int
    index: int
    profile: str
    uuid: str


def parse_csv(text: str) -> Found[SmiLog]:
    """The GPUs in a CSV text with a header: any fields in any order, with units or without."""
    import csv

    issues = Issues()
    try:
        rows = list(csv.reader(text.splitlines(), skipinitialspace=True))
    except csv.Error as error:
        issues.add("malformed", SOURCE, f"no CSV: {error}")
        return Found(SmiLog(), issues.all())
    heads = (number for number, row in enumerate(rows) if MARKS & set(map(_field, row)))
    start = next(heads, None)
    if start is None:
        issues.add("malformed", SOURCE, "it printed no header")
        return Found(SmiLog(), issues.all())
    names = [_field(cell) for cell in rows[start]]
    found = []
    for row in rows[start + 1 : start + 1 + MAX_ROWS]:
        if len(row) == len(names) and row != [""]:
            found.append(dict(zip(names, row, strict=True)))
        elif any(row):
            detail = f"a line of {len(row)} values under {len(names)} fields: {','.join(row)}"
            issues.add("malformed", SOURCE, detail)
    return Found(_log(found, issues), issues.all())


def _field(cell: str) -> str:
    """The field of a header cell: "memory.total" of "memory.total [MiB]"."""
    return cell.split(" [", 1)[0].strip().lower()


def _log(rows: Sequence[Mapping[str, str]], issues: Issues) -> SmiLog:
    if not rows:
        issues.add("no_devices", SOURCE, "it listed no GPU")
        return SmiLog()
    count = whole(rows[0].get("count"))
    if count is not None and count != len(rows):
        issues.add("count_differs", SOURCE, f"count is {count}, but {len(rows)} are listed")
    versions = (version(row.get("kmd_version")) or version(row.get("driver_version")) for row in rows)
    return SmiLog(
        driver_version=next((found for found in versions if found is not None), None),
        gpus=tuple(_gpu(row, number) for number, row in enumerate(rows)),
    )


def _gpu(row: Mapping[str, str], number: int) -> GpuReading:
    state = condition(row.values())
    index = whole(row.get("index"))
    mig = switch(row.get("mig.mode.current"))
    total = size_bytes(row.get("memory.total")) or None
    facts = {
        "name": told(row.get("name")),
        "uuid": told(row.get("uuid")),
        "pci_address": pci_address(row.get("pci.bus_id")),
        "pci_device_id": device_id(hex_word(row.get("pci.device_id"))),
        "pci_subsystem": subsystem(hex_word(row.get("pci.sub_device_id"))),
        "compute_capability": _capability(row.get("compute_cap")),
        "memory_total_bytes": total,
        **{
            f"memory_{name}_bytes": size_bytes(row.get(f"memory.{name}")) if total else None
            for name in ("free", "used", "reserved")
        },
        "compute_mode": words.spelled(words.COMPUTE_MODES, told(row.get("compute_mode"))),
        "persistence": switch(row.get("persistence_mode")),
        "ecc_enabled": switch(row.get("ecc.mode.current")),
        "mig_mode": None if mig is None else "enabled" if mig else "disabled",
        "pcie_generation": whole(row.get("pcie.link.gen.current")),
        "pcie_max_generation": whole(row.get("pcie.link.gen.max")),
        "pcie_width": whole(row.get("pcie.link.width.current")),
        "pcie_max_width": whole(row.get("pcie.link.width.max")),
        "power_limit_w": measured(row.get("power.limit"), "W"),
        "power_default_limit_w": measured(row.get("power.default_limit"), "W"),
        "sm_clock_max_mhz": whole(row.get("clocks.max.sm"), "MHz"),
        "memory_clock_max_mhz": whole(row.get("clocks.max.memory"), "MHz"),
    }
    detail = {"lost": "nvidia-smi: GPU is lost", "needs_reset": "nvidia-smi: GPU requires reset"}.get(state)
    return sourced(SOURCE, facts, state=state, detail=detail, driver_index=number if index is None else index)


def _capability(text: str | None) -> str | None:
    value = told(text) or ""
    return value if re.fullmatch(r"[1-9]\d?\.\d", value) else None


def parse_list(text: str) -> tuple[Listed, ...]:
    """The MIG devices of `nvidia-smi -L`; they follow their GPU's line."""
    gpu, found = None, []
    for line in text.splitlines():
        head = _LISTED.match(line)
        if head is not None:
            gpu = int(head[1])
        mig = _LISTED_MIG.match(line)
        if mig is not None and gpu is not None:
            found.append(Listed(gpu=gpu, index=int(mig[2]), profile=mig[1], uuid=mig[3]))
    return tuple(found)
