"""GC307: CUDA toolkits that do not go together."""

from __future__ import annotations

from collections.abc import Iterator

from gpucheck.assess.findings.commands import is_windows
from gpucheck.assess.findings.finding import Finding, Remedy
from gpucheck.machine.types import Machine
from gpucheck.probes.cuda_toolkits import VARIABLES
from gpucheck.probes.facts import InstalledToolkit


def two_toolkits(machine: Machine) -> Iterator[Finding]:
    """GC307: the compiler that PATH gives is of one CUDA, the toolkit that a variable names of another."""
    compiler = _chosen_by(machine, "PATH")
    variable = next((name for name in VARIABLES if _chosen_by(machine, name) is not None), None)
    named = _chosen_by(machine, variable) if variable is not None else None
    if compiler is None or named is None or variable is None or _release(compiler) == _release(named):
        return
    yield Finding(
        code="GC307",
        severity="info",
        title=f"nvcc on PATH is of CUDA {compiler.version}, but {variable} names CUDA {named.version}",
        found=f"CUDA {compiler.version} in {compiler.folder} (PATH), {named.version} in {named.folder} ({variable})",
        required="one toolkit for both",
        remedy=Remedy(
            f"put the compiler of the toolkit that {variable} names before the others, or name the other one in"
            f" {variable}",
            (_first_on_path(machine, variable),),
        ),
        source="toolkits.cuda_installed",
    )


def _chosen_by(machine: Machine, chooser: str) -> InstalledToolkit | None:
    return next((one for one in machine.toolkits.cuda_installed if chooser in one.chosen_by), None)


def _release(toolkit: InstalledToolkit) -> list[str]:
    """Its release, 12.4; a header does not tell the part after it."""
    return toolkit.version.split(".")[:2]


def _first_on_path(machine: Machine, variable: str) -> str:
    if is_windows(machine):
        return f'$env:Path = "$env:{variable}\\bin;$env:Path"'
    return f'export PATH="${variable}/bin:$PATH"'
