"""GC101 to GC104: how a card is set up and plugged in."""

from __future__ import annotations

from collections.abc import Iterator

from gpucheck.assess.findings.commands import as_admin
from gpucheck.assess.findings.finding import Finding, Remedy, smi_target
from gpucheck.machine.types import Gpu, Machine


def no_instances(machine: Machine) -> Iterator[Finding]:
    """MIG is on and nothing was cut from the card: no usable device is left of it."""
    for gpu in machine.gpus:
        if gpu.mig.mode == "enabled" and gpu.mig.instances == 0 and gpu.state == "ok":
            yield Finding(
                code="GC101",
                severity="error",
                title=f"GPU {gpu.index} is in MIG mode and has no instances, so nothing can run on it",
                found="MIG enabled, 0 instances",
                required="at least one MIG instance, or MIG off",
                remedy=Remedy(
                    "create instances, or switch MIG off",
                    (
                        as_admin(machine, f"nvidia-smi mig -i {smi_target(gpu)} -lgip"),
                        as_admin(machine, f"nvidia-smi -i {smi_target(gpu)} -mig 0"),
                    ),
                ),
                source=f"gpus[{gpu.index}].mig",
            )


def narrow_link(machine: Machine) -> Iterator[Finding]:
    """Only the width: the generation falls to 1 whenever a card idles (nvtop #6).

    Not of a laptop, whose card has the lanes that its maker has laid.
    """
    for gpu in machine.gpus:
        width, widest = gpu.pcie.width, gpu.pcie.max_width
        if gpu.kind == "discrete" and gpu.segment != "laptop" and width and widest and width < widest:
            yield Finding(
                code="GC102",
                severity="info",
                title=f"GPU {gpu.index} has {width} of its {widest} PCIe lanes: loading models is slower",
                found=f"x{width}",
                required=f"x{widest}",
                remedy=Remedy("another slot, a reseated card or riser, or a firmware setting may give it all lanes"),
                source=f"gpus[{gpu.index}].pcie.width",
            )


def prohibited(machine: Machine) -> Iterator[Finding]:
    """The compute mode refuses every process; NVML looks healthy and CUDA says error 46."""
    for gpu in machine.gpus:
        if gpu.compute_mode == "prohibited" and gpu.kind != "mig":
            yield Finding(
                code="GC103",
                severity="error",
                title=f"GPU {gpu.index} is set to refuse compute work: CUDA will say that it is busy or unavailable",
                found="compute mode Prohibited",
                required="compute mode Default",
                remedy=Remedy("set the compute mode back", (_default_mode(machine, gpu),)),
                source=f"gpus[{gpu.index}].compute_mode",
            )


def exclusive(machine: Machine) -> Iterator[Finding]:
    """The compute mode admits one process: the second one is told that the device is busy, CUDA's error 46."""
    for gpu in machine.gpus:
        if gpu.compute_mode in {"exclusive_process", "exclusive_thread"} and gpu.kind != "mig":
            yield Finding(
                code="GC104",
                severity="info",
                title=f"GPU {gpu.index} takes one process at a time: to a second one CUDA says that it is busy",
                found=f"compute mode {gpu.compute_mode.title()}",
                required="compute mode Default, for several processes",
                remedy=Remedy(
                    "set the compute mode back, unless one process at a time is wanted", (_default_mode(machine, gpu),)
                ),
                source=f"gpus[{gpu.index}].compute_mode",
            )


def _default_mode(machine: Machine, gpu: Gpu) -> str:
    return as_admin(machine, f"nvidia-smi -i {smi_target(gpu)} -c DEFAULT")
