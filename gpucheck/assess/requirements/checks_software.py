"""Checks of drivers, toolkits and frameworks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gpucheck.assess.requirements.clauses import Clause, all_hold, version_of
from gpucheck.assess.requirements.packages import Package, normal
from gpucheck.assess.requirements.told import WORSE, Told, in_words, judged, missing, unknown
from gpucheck.assess.requirements.usable import nvml_failure, unseen
from gpucheck.machine.types import Machine
from gpucheck.probes.facts import Framework

Check = Callable[[Machine, Any], Told]

_DRIVER, _CUDA = "drivers.nvidia.version", "drivers.nvidia.cuda_version"
_BUILD_OF = {"cu": "cuda", "rocm": "rocm", "xpu": "xpu", "cpu": "cpu", "cuda": "cuda"}


def min_driver(machine: Machine, value: tuple[int, ...]) -> Told:
    """At least this NVIDIA driver."""
    return driver(machine, (Clause(">=", value),))


def driver(machine: Machine, value: tuple[Clause, ...]) -> Told:
    """The version of the NVIDIA driver, the kernel module's where known."""
    own = machine.drivers.nvidia
    return _nvidia(machine, own.version if own else None, _DRIVER, value)


def min_cuda(machine: Machine, value: tuple[int, ...]) -> Told:
    """The highest CUDA that the driver supports."""
    own = machine.drivers.nvidia
    return _nvidia(machine, own.cuda_version if own else None, _CUDA, (Clause(">=", value),))


def _nvidia(machine: Machine, text: str | None, path: str, clauses: tuple[Clause, ...]) -> Told:
    """A version of the NVIDIA driver; none is not met where there is surely no driver."""
    found = version_of(text)
    if text is not None and found is not None:
        own = machine.drivers.nvidia
        basis = f", {own.source}" if own and own.source else ""
        return judged(all_hold(clauses, found), text, f"{path}{basis}")
    doubt = nvml_failure(machine) or unseen(machine)
    if machine.source == "simulated" or machine.drivers.nvidia is not None or doubt is not None:
        return unknown(doubt or missing(machine, path, "nvml", "probe nvidia", "drivers.nvidia"), path)
    return judged(False, "no NVIDIA driver", path)


def min_cuda_toolkit(machine: Machine, value: tuple[int, ...]) -> Told:
    """The CUDA toolkit that programs would be built with."""
    return _toolkit(machine, machine.toolkits.cuda, "toolkits.cuda", value)


def min_rocm(machine: Machine, value: tuple[int, ...]) -> Told:
    """ROCm, as it is installed."""
    return _toolkit(machine, machine.toolkits.rocm, "toolkits.rocm", value)


def _toolkit(machine: Machine, text: str | None, path: str, value: tuple[int, ...]) -> Told:
    found = version_of(text)
    if text is not None and found is not None:
        return judged(all_hold((Clause(">=", value),), found), text, path)
    doubted = any(issue.source in {path, "probe toolkits"} for issue in machine.issues)
    if text is not None or doubted or machine.source == "simulated":
        return unknown(missing(machine, path, "probe toolkits"), path)
    return judged(False, "not found in the usual places", path)


def mps(machine: Machine, _value: bool) -> Told:
    """Metal, on a Mac with Apple's own GPU."""
    path = "toolkits.mps"
    if machine.toolkits.mps is not None:
        usable = any(gpu.vendor == "Apple" for gpu in machine.usable_gpus)
        return judged(usable, machine.toolkits.mps if usable else f"{machine.toolkits.mps}, but no usable GPU", path)
    if machine.platform.os == "darwin" or machine.platform.os is None:
        return unknown(missing(machine, path, "system_profiler", "probe toolkits"), path)
    return judged(False, f"none: this is {machine.platform.os}", "platform.os")


def framework(machine: Machine, value: Package) -> Told:
    """A framework: there, of this version and build, and usable on a GPU where that is asked for."""
    own = next((one for one in machine.frameworks if normal(one.name) == value.name), None)
    if own is None:
        return _absent(machine, value.name)
    answers = (_version(own, value), _build(own, value), _usable(own, value))
    told = max(answers, key=lambda one: WORSE.index(one.answer))
    return Told(told.answer, told.found or _called(own), "frameworks[]", told.reason)


def _absent(machine: Machine, name: str) -> Told:
    """Not installed, if the environment was looked at and is one whose packages gpucheck knows."""
    from gpucheck.host.pythons import FRAMEWORKS

    if name not in {normal(known) for known in FRAMEWORKS}:
        return unknown(f"gpucheck does not look for a framework called {name}", "frameworks[]")
    own = machine.environment
    if own is None or own.path is None:
        return unknown(missing(machine, "frameworks", "probe frameworks"), "frameworks[]")
    places = ("probe frameworks", own.path, *((own.interpreter,) if own.interpreter else ()))
    doubt = next((issue for issue in machine.issues if issue.source.startswith(places)), None)
    if doubt is not None:
        return unknown(in_words(doubt), "frameworks[]")
    return judged(False, "not installed", "frameworks[]")


def _called(own: Framework) -> str:
    version = own.version or "of unknown version"
    tag = f"+{own.build}" if own.build and own.build not in version else ""
    return f"{own.name} {version}{tag}"


def _version(own: Framework, value: Package) -> Told:
    if not value.clauses:
        return judged(True, _called(own))
    found = version_of(own.version)
    if found is None:
        return unknown("its version is not known")
    return judged(all_hold(value.clauses, found), _called(own))


def _build(own: Framework, value: Package) -> Told:
    if value.build is None:
        return judged(True, _called(own))
    if own.build is None:
        return unknown("which build it is is not known", found=_called(own))
    kind = next((kind for start, kind in _BUILD_OF.items() if own.build.startswith(start)), own.build)
    return judged(value.build in {own.build, kind}, _called(own))


def _usable(own: Framework, value: Package) -> Told:
    if not value.usable:
        return judged(True, _called(own))
    if own.usable is None:
        return unknown(own.reason or "whether it can compute on a GPU here is not known", found=_called(own))
    why = f": {own.reason}" if own.reason and not own.usable else ""
    return judged(own.usable, f"{_called(own)}{why}")


SOFTWARE_CHECKS: Mapping[str, Check] = {
    "min_driver": min_driver, "driver": driver, "min_cuda": min_cuda, "min_cuda_toolkit": min_cuda_toolkit,
    "min_rocm": min_rocm, "mps": mps, "framework": framework,
}  # fmt: skip
