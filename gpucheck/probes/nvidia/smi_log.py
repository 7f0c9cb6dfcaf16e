"""What one run of nvidia-smi amounts to, and how two accounts of the same GPUs become one."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from gpucheck.probes.facts import GpuReading

OWN = frozenset({"vendor", "state", "detail", "sources", "driver_index"})
UNKNOWN = (None, ())


class SmiLog(Struct, frozen=True):
    """The driver and its GPUs in the driver's order."""

    driver_version: str | None = None
    cuda_version: str | None = None
    gpus: tuple[GpuReading, ...] = ()


class Smi(Struct, frozen=True):
    """The log, and what a failing nvidia-smi gave away instead."""

    log: SmiLog = SmiLog()
    mismatch: bool = False  # kernel module and library are of different versions
    library_version: str | None = None


def sourced(source: str, facts: dict[str, Any], **own: Any) -> GpuReading:
    """A reading of the facts that are known, each with its source."""
    known = {fact: value for fact, value in facts.items() if value not in UNKNOWN}
    return GpuReading(vendor="NVIDIA", sources=dict.fromkeys(known, source), **own, **known)


def complete(reading: GpuReading, other: GpuReading) -> GpuReading:
    """The reading with its gaps filled from another account of the same GPU; the first one's word stands."""
    gaps = {
        fact: getattr(other, fact)
        for fact in reading.__struct_fields__
        if fact not in OWN and getattr(reading, fact) in UNKNOWN and getattr(other, fact) not in UNKNOWN
    }
    sources = {fact: other.sources[fact] for fact in gaps if fact in other.sources}
    if reading.state == "ok" and other.state != "ok":
        gaps |= {"state": other.state, "detail": other.detail}
    if reading.driver_index is None:
        gaps["driver_index"] = other.driver_index
    return msgspec.structs.replace(reading, **gaps, sources={**reading.sources, **sources})


def merge(first: SmiLog, second: SmiLog) -> SmiLog:
    """Both accounts as one: GPUs are the same by PCI address, else by UUID, else by index."""
    left = list(second.gpus)
    gpus = []
    for reading in first.gpus:
        twin = _twin(reading, left)
        if twin is not None:
            left.remove(twin)
        gpus.append(reading if twin is None else complete(reading, twin))
    return SmiLog(
        driver_version=first.driver_version or second.driver_version,
        cuda_version=first.cuda_version or second.cuda_version,
        gpus=(*gpus, *left),
    )


def _twin(reading: GpuReading, others: list[GpuReading]) -> GpuReading | None:
    for fact in ("pci_address", "uuid", "driver_index"):
        mine = getattr(reading, fact)
        if mine is None:
            continue
        same = [other for other in others if getattr(other, fact) == mine]
        if len(same) == 1:
            return same[0]
        if any(getattr(other, fact) is not None for other in others):
            return None  # others carry this mark, and none has this GPU's
    return None
