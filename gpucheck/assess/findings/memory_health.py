"""GC505, GC507 and GC509: memory of a card that has failed, that has erred, or that others hold."""

from __future__ import annotations

from collections.abc import Iterator

from gpucheck.assess.findings.commands import as_admin, is_windows
from gpucheck.assess.findings.finding import Finding, Remedy, smi_target
from gpucheck.machine.types import Gpu, Machine
from gpucheck.units import GIB, format_bytes

_DRIVERS_OWN_BYTES = GIB  # of a card that idles, the driver and its desktop's frame buffers together hold less
_SHARE_NOTED, _SHARE_WARNED = 0.25, 0.5  # of the memory: a desktop with a browser keeps below the first


def ailing_memory(machine: Machine) -> Iterator[Finding]:
    """Memory rows or pages that failed and wait for a reset, or could not be replaced."""
    for gpu in machine.gpus:
        health = gpu.health
        if not (health.remap_failed or health.remap_pending or health.retired_pages_pending):
            continue
        worn = bool(health.remap_failed)
        reset = as_admin(machine, f"nvidia-smi --gpu-reset -i {smi_target(gpu)}")
        yield Finding(
            code="GC505",
            severity="error" if worn else "warning",
            title=f"GPU {gpu.index} has failed memory that {'could not be replaced' if worn else 'waits for a reset'}",
            found="row remapping failed" if worn else "a repair pending",
            required="no failed and no pending repair",
            remedy=Remedy("have the board checked or replaced")
            if worn
            else Remedy("stop what uses it, then reset it", (reset,)),
            source=f"gpus[{gpu.index}].health",
        )


def memory_errors(machine: Machine) -> Iterator[Finding]:
    """Errors that ECC could not correct: lately they end programs, long ago they are a part of the board's history."""
    for gpu in machine.gpus:
        lately, ever = gpu.health.ecc_volatile_uncorrected or 0, gpu.health.ecc_aggregate_uncorrected or 0
        if not (lately or ever) or gpu.kind == "mig":
            continue
        number, when = lately or ever, "since its driver was loaded" if lately else "none of them lately"
        yield Finding(
            code="GC507",
            severity="warning" if lately else "info",
            title=f"GPU {gpu.index} has had {number} memory error{'s' if number != 1 else ''} that ECC could not"
            f" correct, {when}",
            found=f"{lately} since the driver was loaded, {max(ever, lately)} in the board's life",
            required="no uncorrected errors",
            remedy=Remedy(
                "see whether a repair waits for a reset; have the board checked if the number grows",
                (f"nvidia-smi -i {smi_target(gpu)} -q -d ECC,ROW_REMAPPER,PAGE_RETIREMENT",),
            ),
            source=f"gpus[{gpu.index}].health",
        )


def taken(machine: Machine) -> Iterator[Finding]:
    """Much of a card's own memory is in use, by processes that can be counted or by some that cannot be seen."""
    for gpu in machine.gpus:
        total, held = gpu.memory.total_bytes, _held_bytes(gpu)
        if not gpu.usable or gpu.kind != "discrete" or not total or held < total * _SHARE_NOTED:
            continue
        count = gpu.processes
        by = "others" if not count else "1 process" if count == 1 else f"{count} processes"
        unseen = ", of which none can be seen from here" if count == 0 else ""
        free = "" if gpu.memory.free_bytes is None else f"{format_bytes(gpu.memory.free_bytes)} free of "
        yield Finding(
            code="GC509",
            severity="warning" if held >= total * _SHARE_WARNED else "info",
            title=f"{format_bytes(held)} of GPU {gpu.index}'s memory is held by {by}{unseen}",
            found=f"{free}{format_bytes(total)}",
            required="memory that is free for the model",
            remedy=Remedy("see what holds it, and end what is not needed", _who_holds(machine, gpu)),
            source=f"gpus[{gpu.index}].memory.free_bytes",
        )


def _held_bytes(gpu: Gpu) -> int:
    """What processes hold: as the driver counts it, or what is in use beyond the driver's own."""
    total, free = gpu.memory.total_bytes, gpu.memory.free_bytes
    in_use = 0 if total is None or free is None else total - free - _DRIVERS_OWN_BYTES
    return max(in_use, gpu.processes_memory_bytes or 0)


def _who_holds(machine: Machine, gpu: Gpu) -> tuple[str, ...]:
    """The command that lists the processes; without the driver's word, those that have its device files open."""
    if gpu.vendor == "NVIDIA" and gpu.processes != 0:
        return (f"nvidia-smi -i {smi_target(gpu)}",)
    if is_windows(machine) or machine.platform.os != "linux":
        return ()
    files = {"NVIDIA": "/dev/nvidia*", "AMD": "/dev/kfd /dev/dri/renderD*"}.get(gpu.vendor, "/dev/dri/renderD*")
    return (f"sudo fuser -v {files}",)
