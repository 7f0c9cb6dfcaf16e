"""GC4xx: what hides devices from this process."""

from __future__ import annotations

from collections.abc import Iterator

from gpucheck.assess.findings.finding import Finding, Remedy, named, scheduler, was_given_others
from gpucheck.machine.types import Gpu, Machine


def hidden(machine: Machine) -> Iterator[Finding]:
    """Variables that hide GPUs from this process; one finding for each value."""
    hidden_by: dict[str, list[Gpu]] = {}
    for gpu in machine.gpus:
        if gpu.hidden_by is not None and gpu.kind != "mig":
            hidden_by.setdefault(gpu.hidden_by, []).append(gpu)
    for variable, gpus in hidden_by.items():
        name = variable.partition("=")[0]
        every = len(gpus) == sum(gpu.kind != "mig" for gpu in machine.gpus)
        yield Finding(
            code="GC402",
            severity="warning" if every else "info",
            title=f"{name} hides {'every GPU' if every else named(gpus)} from this process",
            found=variable if variable.partition("=")[2] else f"{variable} (set to nothing)",
            required=f"{name} unset, or naming the GPUs to use",
            remedy=Remedy("let the process see them", (f"unset {name}",)),
            source=name,
        )


def not_given(machine: Machine) -> Iterator[Finding]:
    """Cards of the machine that others have: a remark with what was given, one for each maker."""
    others: dict[str, list[Gpu]] = {}
    for gpu in machine.gpus:
        if gpu.state == "unreachable" and gpu.kind != "mig" and was_given_others(machine, gpu):
            others.setdefault(gpu.vendor, []).append(gpu)
    container, job = machine.platform.container, scheduler(machine)
    for vendor, gpus in others.items():
        every = sum(gpu.vendor == vendor and gpu.kind != "mig" for gpu in machine.gpus)
        yield Finding(
            code="GC403",
            severity="info",
            title=f"This {f'{job} job' if job else f'container ({container})'} has {every - len(gpus)} of the machine's"
            f" {every} {vendor} GPUs",
            found=gpus[0].detail or "others are out of reach",
            required="the GPUs that the work needs",
            remedy=Remedy(
                f"{_MORE.get(job or container or '', 'start the container with more')}, if the work needs them"
            ),
            source="platform.container" if not job else "visibility",
        )


_MORE = {
    "Slurm": "ask for more (sbatch --gpus=…)",
    "PBS": "ask the scheduler for more",
    "kubernetes": "ask for more in the pod's limits",
}
