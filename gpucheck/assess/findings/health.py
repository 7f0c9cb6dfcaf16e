"""GC5xx: cards that are ill."""

from __future__ import annotations

from collections.abc import Iterator

from gpucheck.assess.findings.finding import Finding, Remedy, smi_target
from gpucheck.machine.types import Gpu, Machine


def lost(machine: Machine) -> Iterator[Finding]:
    """Cards that have fallen off the bus or need a reset."""
    for gpu in machine.gpus:
        if gpu.kind != "mig" and gpu.state in {"lost", "needs_reset"}:
            lost = gpu.state == "lost"
            reset = f"sudo nvidia-smi --gpu-reset -i {smi_target(gpu)}"
            yield Finding(
                code="GC501" if lost else "GC502",
                severity="error",
                title=f"GPU {gpu.index} is lost: it has fallen off the bus"
                if lost
                else f"GPU {gpu.index} needs a reset",
                found="; ".join(part for part in (gpu.detail or gpu.state, _xids(gpu)) if part),
                required="a GPU that answers",
                remedy=Remedy(
                    "look for the driver's errors in the kernel log, then restart the machine",
                    ("sudo dmesg | grep NVRM", "sudo reboot"),
                )
                if lost
                else Remedy("stop what uses it, then reset it", (reset,)),
                source=f"gpus[{gpu.index}].state",
            )


def _xids(gpu: Gpu) -> str:
    """The codes that the kernel logged, with what the common ones mean."""
    words = (f"Xid {code}{f' ({_XID_WORDS[code]})' if code in _XID_WORDS else ''}" for code in gpu.health.xids)
    return ", ".join(words)


def fabric(machine: Machine) -> Iterator[Finding]:
    """NVML is fine without the fabric; CUDA is not: error 802, "system not yet initialized"."""
    waiting = [gpu for gpu in machine.gpus if gpu.health.fabric_state in {"not_started", "in_progress"}]
    if waiting:
        state = (waiting[0].health.fabric_state or "").replace("_", " ")
        yield Finding(
            code="GC504",
            severity="error",
            title=f"The NVSwitch fabric is not ready ({state}), so CUDA cannot start (error 802)",
            found=f"{state} on {len(waiting)} GPU{'s' if len(waiting) > 1 else ''}",
            required="fabric state completed",
            remedy=Remedy(
                "start the fabric manager, whose version must be the driver's",
                ("sudo systemctl enable --now nvidia-fabricmanager", "systemctl status nvidia-fabricmanager"),
            ),
            source=f"gpus[{waiting[0].index}].health.fabric_state",
        )


def ailing_memory(machine: Machine) -> Iterator[Finding]:
    """Memory rows or pages that failed and wait for a reset, or could not be replaced."""
    for gpu in machine.gpus:
        health = gpu.health
        if not (health.remap_failed or health.remap_pending or health.retired_pages_pending):
            continue
        worn = bool(health.remap_failed)
        yield Finding(
            code="GC505",
            severity="error" if worn else "warning",
            title=f"GPU {gpu.index} has failed memory that {'could not be replaced' if worn else 'waits for a reset'}",
            found="row remapping failed" if worn else "a repair pending",
            required="no failed and no pending repair",
            remedy=Remedy("have the board checked or replaced")
            if worn
            else Remedy("stop what uses it, then reset it", (f"sudo nvidia-smi --gpu-reset -i {smi_target(gpu)}",)),
            source=f"gpus[{gpu.index}].health",
        )


def throttled(machine: Machine) -> Iterator[Finding]:
    """Heat or power slows a card down; idling and clocks that somebody set are no news."""
    for gpu in machine.gpus:
        slow = [reason for reason in gpu.throttle_reasons if reason in _SLOWDOWNS]
        if slow:
            yield Finding(
                code="GC503",
                severity="warning",
                title=f"GPU {gpu.index} is slowed down at the moment: {', '.join(slow).replace('_', ' ')}",
                found=", ".join(slow),
                required="no slowdown",
                remedy=Remedy("check cooling and power supply", ("nvidia-smi -q -d PERFORMANCE,TEMPERATURE,POWER",)),
                source=f"gpus[{gpu.index}].throttle_reasons",
            )


# NVIDIA's Xid catalogue, the codes that say what to do.
_XID_WORDS = {
    48: "double-bit memory error", 63: "memory row replaced", 64: "memory row could not be replaced",
    74: "NVLink error", 79: "fell off the bus", 92: "many single-bit memory errors", 94: "contained memory error",
    95: "uncontained memory error", 119: "its system processor timed out", 120: "its system processor failed",
    140: "unrecovered memory error", 143: "initialisation failed", 154: "recovery action changed",
}  # fmt: skip
_SLOWDOWNS = frozenset({"hw_slowdown", "hw_thermal_slowdown", "sw_thermal_slowdown", "hw_power_brake_slowdown"})
