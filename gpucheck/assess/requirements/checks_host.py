"""Checks of the machine around the GPUs: system, Python, processor, memory and disks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gpucheck.assess.requirements.clauses import Clause, all_hold, version_of
from gpucheck.assess.requirements.told import Told, judged, missing, unknown
from gpucheck.machine.types import Machine
from gpucheck.units import format_bytes

Check = Callable[[Machine, Any], Told]

_SAME_ARCH = {"arm64": "aarch64", "amd64": "x86_64"}


def system(machine: Machine, value: tuple[str, ...]) -> Told:
    """The operating system."""
    found = machine.platform.os
    if found is None:
        return unknown(missing(machine, "platform.os"), "platform.os")
    return judged(found in value, found, "platform.os")


def arch(machine: Machine, value: tuple[str, ...]) -> Told:
    """The CPU's architecture; arm64 and aarch64 are one."""
    found = machine.platform.arch or machine.cpu.arch
    if found is None:
        return unknown(missing(machine, "platform.arch"), "platform.arch")
    wanted = {_SAME_ARCH.get(one, one) for one in value}
    return judged(_SAME_ARCH.get(found, found) in wanted, found, "platform.arch")


def python_version(machine: Machine, value: tuple[Clause, ...]) -> Told:
    """The Python whose packages were looked at; only major and minor are known of it."""
    path = "environment.python"
    text = machine.environment.python if machine.environment else None
    found = version_of(text)
    if text is None or found is None:
        return unknown(missing(machine, path, "environment", "probe frameworks"), path)
    # of what is known, "3.12", a clause about 3.12.4 cannot be decided, except where major and minor decide it
    short = tuple(Clause(one.operator, one.version[:2]) for one in value)
    if any(len(one.version) > 2 and one.version[:2] == found.release for one in value):
        return unknown(f"only major and minor of the version are known: {text}", path, text)
    return judged(all_hold(short, found), text, path)


def min_cpu_cores(machine: Machine, value: float) -> Told:
    """Cores that this process may use."""
    cpu = machine.cpu
    if cpu.usable_cores is None:
        if cpu.logical_cores is not None and cpu.logical_cores < value:
            return judged(False, f"{cpu.logical_cores} in all", "cpu.logical_cores")
        return unknown(missing(machine, "cpu.usable_cores", "probe cpu", "cpu"), "cpu.usable_cores")
    why = f" ({cpu.usable_cores_reason})" if cpu.usable_cores_reason else ""
    return judged(cpu.usable_cores >= value, f"{cpu.usable_cores:g} usable{why}", "cpu.usable_cores")


def cpu_features(machine: Machine, value: tuple[str, ...]) -> Told:
    """Instruction sets, of those that gpucheck looks for."""
    from gpucheck.probes.cpu_info import ARM_FEATURES, X86_FEATURES

    known, path = machine.cpu.features, "cpu.features"
    odd = [flag for flag in value if flag not in X86_FEATURES and flag not in ARM_FEATURES]
    lacking = [flag for flag in value if flag not in known and flag not in odd]
    doubted = any(issue.source in {path, "probe cpu"} for issue in machine.issues) or machine.source == "simulated"
    if lacking and not known and doubted:
        return unknown(missing(machine, path, "probe cpu"), path)
    if lacking:
        return judged(False, f"no {', '.join(lacking)}", path)
    if odd:
        return unknown(f"gpucheck does not look for {', '.join(odd)}", path)
    return judged(True, ", ".join(value), path)


def min_ram(machine: Machine, value: int) -> Told:
    """The machine's memory, or the limit of its container or job where that is lower."""
    total, limit = machine.memory.total_bytes, machine.memory.limit_bytes
    if limit is not None and (total is None or limit < total):
        if total is None and limit >= value:
            return unknown(missing(machine, "memory.total_bytes", "probe memory"), "memory.total_bytes")
        whole = f"; the machine has {format_bytes(total)}" if total is not None else ""
        return judged(limit >= value, f"limited to {format_bytes(limit)}{whole}", "memory.limit_bytes")
    if total is None:
        return unknown(missing(machine, "memory.total_bytes", "probe memory"), "memory.total_bytes")
    return judged(total >= value, format_bytes(total), "memory.total_bytes")


def min_free_ram(machine: Machine, value: int) -> Told:
    """Memory that this process can get now."""
    memory = machine.memory
    if memory.usable_bytes is not None:
        return judged(memory.usable_bytes >= value, f"{format_bytes(memory.usable_bytes)} free", "memory.usable_bytes")
    most = min((one for one in (memory.total_bytes, memory.limit_bytes) if one is not None), default=None)
    if most is not None and most < value:
        return judged(False, f"{format_bytes(most)} in all", "memory.total_bytes")
    return unknown(missing(machine, "memory.usable_bytes", "probe memory"), "memory.usable_bytes")


def min_disk(machine: Machine, value: int) -> Told:
    """Free space where models go."""
    place = next((one for one in machine.storage if one.purpose == "models"), None)
    free = place.free_bytes if place else None
    if place is None or free is None:
        return unknown(missing(machine, "storage", "disk", "probe storage"), "storage[].free_bytes")
    return judged(free >= value, f"{format_bytes(free)} free in {place.path}", "storage[].free_bytes")


def min_shm(machine: Machine, value: int) -> Told:
    """The size of /dev/shm, whoever uses it now. Linux alone has it."""
    path = "storage[].total_bytes"
    place = next((one for one in machine.storage if one.purpose == "shared memory"), None)
    size = place.total_bytes if place else None
    if size is not None:
        return judged(size >= value, format_bytes(size), path)
    doubted = any(issue.source.startswith(("disk /dev/shm", "probe storage")) for issue in machine.issues)
    if place is None and machine.source == "live" and not doubted:
        return judged(False, "no /dev/shm", path)
    return unknown(missing(machine, path, "disk /dev/shm", "probe storage"), path)


HOST_CHECKS: Mapping[str, Check] = {
    "os": system, "arch": arch, "python_version": python_version, "min_cpu_cores": min_cpu_cores,
    "cpu_features": cpu_features, "min_ram": min_ram, "min_free_ram": min_free_ram, "min_disk": min_disk,
    "min_shm": min_shm,
}  # fmt: skip
