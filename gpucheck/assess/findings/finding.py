"""What a finding is, and the words that all of them use."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from gpucheck.machine.types import Gpu, Machine

Severity = Literal["error", "warning", "info"]


class Remedy(Struct, frozen=True):
    """What to do: words, and the exact commands for this system where there are any."""

    text: str
    commands: tuple[str, ...] = ()


class Finding(Struct, frozen=True):
    """One thing that stands in the way."""

    code: str
    severity: Severity
    title: str
    found: str
    required: str
    remedy: Remedy
    source: str


def named(gpus: list[Gpu]) -> str:
    """Such as "NVIDIA GeForce RTX 4090", or "2 NVIDIA GPUs"."""
    return (
        gpus[0].name or f"{article(gpus[0].vendor)} {gpus[0].vendor} GPU"
        if len(gpus) == 1
        else f"{len(gpus)} {gpus[0].vendor} GPUs"
    )


def article(word: str) -> str:
    """The article of a maker: an NVIDIA, AMD, Intel or Apple GPU, a Habana one."""
    return "an" if word[:1] in "AIN" else "a"


def smi_target(gpu: Gpu) -> str:
    """The card as `nvidia-smi -i` takes it; the report's numbers also count slices and other makers' cards."""
    return gpu.pci_address or str(gpu.index)


def is_or_are(gpus: list[Gpu]) -> str:
    """The verb for one or several."""
    return "is" if len(gpus) == 1 else "are"


def largest_card(machine: Machine) -> Gpu | None:
    """The usable device with the most memory of its own; None where none has any, or tells how much."""
    return max(
        (gpu for gpu in machine.usable_gpus if gpu.memory.kind == "dedicated" and gpu.memory.total_bytes),
        key=lambda gpu: gpu.memory.total_bytes or 0,
        default=None,
    )


def was_given_others(machine: Machine, gpu: Gpu) -> bool:
    """Whether a container or a job has other cards of this maker, so that this one is not missing but not its own."""
    confined = machine.platform.container is not None or scheduler(machine) is not None
    return confined and any(other.vendor == gpu.vendor and other.state == "ok" for other in machine.gpus)


def scheduler(machine: Machine) -> str | None:
    """The scheduler whose job this process is, by the variables in which it says what it gave."""
    names = {"Slurm": "SLURM_", "PBS": "PBS_"}
    return next((name for name, start in names.items() for key in machine.visibility if key.startswith(start)), None)
