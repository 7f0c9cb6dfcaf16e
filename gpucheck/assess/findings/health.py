"""GC5xx: cards that are ill; their memory is in memory_health.py."""

from __future__ import annotations

from collections.abc import Iterator

from gpucheck.assess.findings.commands import as_admin, driver_log, is_windows, restart
from gpucheck.assess.findings.finding import Finding, Remedy, smi_target
from gpucheck.machine.types import Gpu, Machine


def lost(machine: Machine) -> Iterator[Finding]:
    """Cards that have fallen off the bus or need a reset."""
    for gpu in machine.gpus:
        if gpu.kind != "mig" and gpu.state in {"lost", "needs_reset"}:
            lost = gpu.state == "lost"
            reset = as_admin(machine, f"nvidia-smi --gpu-reset -i {smi_target(gpu)}")
            yield Finding(
                code="GC501" if lost else "GC502",
                severity="error",
                title=f"GPU {gpu.index} is lost: it has fallen off the bus"
                if lost
                else f"GPU {gpu.index} needs a reset",
                found="; ".join(part for part in (gpu.detail or gpu.state, _xids(gpu)) if part),
                required="a GPU that answers",
                remedy=Remedy(
                    "look for the driver's errors in the system's log, then restart the machine",
                    (driver_log(machine), restart(machine)),
                )
                if lost
                else Remedy("stop what uses it, then reset it", (reset,)),
                source=f"gpus[{gpu.index}].state",
            )


def _xids(gpu: Gpu) -> str:
    """The codes that the kernel logged, in words."""
    if not gpu.health.xids:
        return ""
    from gpucheck.catalog.xids import in_words

    return in_words(gpu.health.xids)


def past_errors(machine: Machine) -> Iterator[Finding]:
    """Errors that the driver has logged of a card that is well now, with NVIDIA's first advice for the gravest."""
    for gpu in machine.gpus:
        if not gpu.health.xids or gpu.state != "ok" or gpu.kind == "mig":
            continue
        from gpucheck.catalog.xids import heaviest, in_words, is_news

        codes = [code for code in gpu.health.xids if is_news(code)]
        if not codes:
            continue
        weight = heaviest(codes)
        reset = as_admin(machine, f"nvidia-smi --gpu-reset -i {smi_target(gpu)}")
        yield Finding(
            code="GC506",
            severity="warning" if weight in {"hardware", "reset"} else "info",
            title=f"GPU {gpu.index} works, but its driver has logged errors since the machine was started",
            found=in_words(codes),
            required="no such errors",
            remedy=Remedy(_PAST[weight], (driver_log(machine), *((reset,) if weight == "reset" else ()))),
            source=f"gpus[{gpu.index}].health.xids",
        )


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
                ()
                if is_windows(machine)  # there the host runs it
                else ("sudo systemctl enable --now nvidia-fabricmanager", "systemctl status nvidia-fabricmanager"),
            ),
            source=f"gpus[{waiting[0].index}].health.fabric_state",
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


_PAST = {
    "hardware": "have its cables, slot and power looked at, and the board checked if it goes on",
    "reset": "stop what uses it and reset it, unless that has been done since; have it checked if it goes on",
    "program": "start the program that met it again; if it goes on, look for the fault in that program first",
    "none": "nothing at once; have the board checked if it goes on",
}
_SLOWDOWNS = frozenset({"hw_slowdown", "hw_thermal_slowdown", "sw_thermal_slowdown", "hw_power_brake_slowdown"})
