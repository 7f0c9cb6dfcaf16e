"""What to do about a requirement that is not met: the remedy of the finding that explains it, a build, or words."""

from __future__ import annotations

from typing import Any

from gpucheck.assess.requirements.packages import Package
from gpucheck.assess.requirements.told import Told
from gpucheck.assess.requirements.usable import counted
from gpucheck.assess.requirements.vocabulary import VOCABULARY
from gpucheck.assess.requirements.wanted import Wanted
from gpucheck.machine.types import Machine

_OF_GPUS = ("GC2", "GC401", "GC402", "GC403", "GC1", "GC5")
_OF_DRIVER = ("GC201", "GC202", "GC203", "GC302", "GC303")
_OF_FRAMEWORK = ("GC30", "GC31")


def remedy_for(machine: Machine, wanted: Wanted, told: Told) -> str | None:
    """What to do in one line; None where nothing is known to help but other hardware."""
    key = VOCABULARY.get(wanted.key)
    if told.answer == "met" or key is None:
        return None
    if key.subject == "findings":
        return _of_findings(machine, wanted.value)
    if key.subject in {"gpu", "number", "total", "model"}:
        return _of_gpus(machine) or _of_model(machine, wanted)
    if wanted.key in {"min_driver", "driver", "min_cuda"}:
        return _from_findings(machine, _OF_DRIVER) or _of_driver(wanted)
    if wanted.key == "framework":
        return _of_framework(machine, wanted.value)
    return _WORDS.get(wanted.key)


_WORDS = {
    "min_cuda_toolkit": "install a newer CUDA toolkit, or set CUDA_HOME to the one that is meant",
    "min_rocm": "install a newer ROCm, or set ROCM_PATH to the one that is meant",
    "python_version": "name another interpreter: --python PATH",
    "min_shm": "give a container more shared memory: docker run --shm-size=…, or --ipc=host",
    "min_ram": "raise the container's or job's memory limit, where that is what limits it",
    "min_free_ram": "end what holds the memory, or raise the limit",
    "min_disk": "free space, or set HF_HOME to a larger disk",
    "min_cpu_cores": "raise the CPU quota or the affinity, where that is what limits it",
}


def _from_findings(machine: Machine, starts: tuple[str, ...]) -> str | None:
    """The remedy of the worst finding whose code begins with one of `starts`."""
    from gpucheck.assess.findings import find_problems

    for finding in find_problems(machine):
        if finding.code.startswith(starts) and finding.severity != "info":
            return _in_line(finding.code, finding.remedy.text, finding.remedy.commands)
    return None


def _of_findings(machine: Machine, value: tuple[str, tuple[str, ...]]) -> str | None:
    from gpucheck.assess.findings import find_problems

    for finding in find_problems(machine):
        if finding.code not in value[1]:
            return _in_line(finding.code, finding.remedy.text, finding.remedy.commands)
    return None


def _in_line(code: str, text: str, commands: tuple[str, ...]) -> str:
    told = f"{text}: {' && '.join(commands)}" if commands else text
    return f"{told} ({code})"


def _of_gpus(machine: Machine) -> str | None:
    """What makes a GPU usable that is not; a machine whose GPUs all work needs other ones."""
    working = {gpu.index for gpu in counted(machine) if gpu.usable}
    if all(gpu.index in working for gpu in machine.gpus):
        return None
    return _from_findings(machine, _OF_GPUS)


def _of_model(machine: Machine, wanted: Wanted) -> str | None:
    if wanted.key != "model":
        return None
    return f"gpucheck fit {wanted.value.model} says what would make it fit" if machine.source == "live" else None


def _of_driver(wanted: Wanted) -> str:
    what = {"min_cuda": f"one that supports CUDA {wanted.text}"}.get(wanted.key, wanted.text)
    return f"install the NVIDIA driver that is asked for: {what}"


def _of_framework(machine: Machine, value: Package) -> str | None:
    """The finding about the framework, or the command for the build of torch that suits the machine."""
    found = _from_findings(machine, _OF_FRAMEWORK)
    if found is not None or value.name != "torch":
        return found or f"install {value.text} in the inspected Python"
    from gpucheck.assess.torch_build import choose_build

    build: Any = choose_build(machine)
    return build.pip or "gpucheck torch says which build suits this machine"
