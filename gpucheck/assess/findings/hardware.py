"""GC1xx: how a card is set up and plugged in."""

from __future__ import annotations

from collections.abc import Iterator

from gpucheck.assess.findings.finding import Finding, Remedy, smi_target
from gpucheck.machine.types import Machine


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
                    (f"sudo nvidia-smi mig -i {smi_target(gpu)} -lgip", f"sudo nvidia-smi -i {smi_target(gpu)} -mig 0"),
                ),
                source=f"gpus[{gpu.index}].mig",
            )


def narrow_link(machine: Machine) -> Iterator[Finding]:
    """Only the width: the generation falls to 1 whenever a card idles (nvtop #6)."""
    for gpu in machine.gpus:
        width, widest = gpu.pcie.width, gpu.pcie.max_width
        if gpu.kind == "discrete" and width and widest and width < widest:
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
                remedy=Remedy("set the compute mode back", (f"sudo nvidia-smi -i {smi_target(gpu)} -c DEFAULT",)),
                source=f"gpus[{gpu.index}].compute_mode",
            )
