"""GC4xx: what hides devices from this process."""

from __future__ import annotations

from collections.abc import Iterator

from gpucheck.assess.findings.finding import Finding, Remedy, named
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
