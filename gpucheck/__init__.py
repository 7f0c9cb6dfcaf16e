"""gpucheck: what this machine is, which AI models it can hold, and what stands in the way.

    import gpucheck

    machine = gpucheck.inspect()                              # this machine
    machine = gpucheck.load("box.json")                       # a recording
    machine = gpucheck.simulate("2x RTX 4090", ram="64GiB")   # from the catalogue
    machine.category.name, machine.gpus[0].memory.free_bytes
    gpucheck.fit(machine, "70b@q4").fits                      # yes, tight, partial, no or unknown
    gpucheck.estimate("qwen3-8b", "Q4_K_M").memory.total_bytes

Importing does no I/O and loads none of the machinery: a name is fetched when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from gpucheck.api import (
        estimate,
        fit,
        fits,
        inspect,
        largest,
        load,
        model,
        pick_devices,
        problems,
        record,
        replay,
        require,
        simulate,
        torch_build,
    )
    from gpucheck.assess.findings import Finding, Remedy
    from gpucheck.assess.fit import FitAnswer
    from gpucheck.assess.need import Need
    from gpucheck.assess.pick import Picked
    from gpucheck.assess.requirements.outcome import Outcome, Requirements
    from gpucheck.assess.torch_answer import TorchBuild
    from gpucheck.errors import (
        AmbiguousNameError,
        GpucheckError,
        RecordingError,
        RequirementsFileError,
        RequirementsNotMetError,
        UnknownNameError,
        UsageError,
    )
    from gpucheck.host.recording import Recording
    from gpucheck.machine.types import Category, Gpu, Machine, MachineCategory
    from gpucheck.models.reference import ModelReference
    from gpucheck.probes.facts import Cpu, Memory, Platform, ProbeIssue

__all__ = [
    "AmbiguousNameError",
    "Category",
    "Cpu",
    "Finding",
    "FitAnswer",
    "Gpu",
    "GpucheckError",
    "Machine",
    "MachineCategory",
    "Memory",
    "ModelReference",
    "Need",
    "Outcome",
    "Picked",
    "Platform",
    "ProbeIssue",
    "Recording",
    "RecordingError",
    "Remedy",
    "Requirements",
    "RequirementsFileError",
    "RequirementsNotMetError",
    "TorchBuild",
    "UnknownNameError",
    "UsageError",
    "__version__",
    "estimate",
    "fit",
    "fits",
    "inspect",
    "largest",
    "load",
    "model",
    "pick_devices",
    "problems",
    "record",
    "replay",
    "require",
    "simulate",
    "torch_build",
]

_HOMES = {
    "gpucheck.api": (
        "estimate",
        "fit",
        "fits",
        "inspect",
        "largest",
        "load",
        "model",
        "pick_devices",
        "problems",
        "record",
        "replay",
        "require",
        "simulate",
        "torch_build",
    ),
    "gpucheck.assess.findings": ("Finding", "Remedy"),
    "gpucheck.assess.fit": ("FitAnswer",),
    "gpucheck.assess.need": ("Need",),
    "gpucheck.assess.pick": ("Picked",),
    "gpucheck.assess.requirements.outcome": ("Outcome", "Requirements"),
    "gpucheck.assess.torch_answer": ("TorchBuild",),
    "gpucheck.errors": (
        "AmbiguousNameError",
        "GpucheckError",
        "RecordingError",
        "RequirementsFileError",
        "RequirementsNotMetError",
        "UnknownNameError",
        "UsageError",
    ),
    "gpucheck.host.recording": ("Recording",),
    "gpucheck.machine.types": ("Category", "Gpu", "Machine", "MachineCategory"),
    "gpucheck.models.reference": ("ModelReference",),
    "gpucheck.probes.facts": ("Cpu", "Memory", "Platform", "ProbeIssue"),
}


def __getattr__(name: str) -> Any:
    """Fetch a public name from its module at its first use (PEP 562)."""
    from importlib import import_module

    for module, names in _HOMES.items():
        if name in names:
            value = getattr(import_module(module), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'gpucheck' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
