"""Which build of PyTorch suits a machine: by its system, its driver and every GPU that a process can use now.

Only PyTorch's own wheels are judged, by the table in `catalog.torch_builds`; what is not in it is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from gpucheck.assess.torch_answer import TorchBuild
from gpucheck.assess.torch_cuda import cuda_build
from gpucheck.assess.torch_cuda_box import CudaBox, dropped
from gpucheck.assess.torch_mac import mac_build
from gpucheck.assess.torch_make import refuse, take, unknown
from gpucheck.assess.torch_python import (
    conda_note,
    lacks,
    no_release,
    others_for,
    python_of,
    release_for,
    why_lacking,
)
from gpucheck.assess.torch_rocm import rocm_build
from gpucheck.assess.torch_system import on_system
from gpucheck.catalog.drivers import highest_cuda, newest_branch, version_key
from gpucheck.catalog.torch_builds import is_release
from gpucheck.catalog.torch_wheels import pythons_of, short_python
from gpucheck.errors import UsageError
from gpucheck.machine.types import Gpu, Machine

# PyTorch's documentation of XPU, from memory: Arc, the Max series and the GPUs of Core Ultra
_XPU = frozenset({"Xe-HPG", "Xe-HPC", "Xe-LPG", "Xe-LPG+", "Xe2-HPG", "Xe2-LPG"})


def choose_build(  # noqa: PLR0913 (what decides)
    machine: Machine,
    version: str | None = None,
    python_version: str | None = None,
    driver: str | None = None,
    *,
    system: str | None = None,
    arch: str | None = None,
) -> TorchBuild:
    """The build for every usable GPU of a machine at once, or why there is none or nobody knows.

    `driver` names an NVIDIA driver in place of the machine's; `system` and `arch` are as in `on_system`.

    Raises:
        UsageError: a version of torch, Python or the driver is none, or a system or an architecture has another name.
    """
    _check(version, python_version, driver)
    machine = on_system(machine, system, arch)
    platform = machine.platform
    if platform.os is None or platform.arch is None:
        return unknown("the operating system or the CPU's architecture is not known")
    python, said = python_of(machine, python_version)
    refused = no_release(python, platform)
    if refused is None and version is not None and lacks(python, version, platform.os, platform.arch):
        refused = _other_python(machine, version, python or "", driver)
    if refused is not None:
        return replace(refused, assumptions=tuple(said))
    gpus, left_out = _deciding(machine)
    if platform.os == "darwin":
        answer = mac_build(machine, version, python)
    else:
        answer = _by_maker(machine, gpus, version, python, driver)
    if answer.answer == "yes":
        answer = replace(answer, reasons=(*answer.reasons, *conda_note(machine)))
    return replace(answer, assumptions=(*left_out, *said, *answer.assumptions))


def _check(version: str | None, python: str | None, driver: str | None) -> None:
    if version is not None and not is_release(version):
        raise UsageError(f"torch {version[:40]!r}: give a release such as 2.9 or 2.9.1")
    if python is not None and short_python(python) is None:
        raise UsageError(f"Python {python[:40]!r}: give a version such as 3.12, or 3.14t")
    if driver is not None and version_key(driver) is None:
        raise UsageError(f"driver {driver[:40]!r}: give a version such as 535.86")


def _other_python(machine: Machine, version: str, python: str, driver: str | None) -> TorchBuild:
    """The refusal of a release for its Python, and what would do for the same machine and Python."""
    where = (machine.platform.os, machine.platform.arch)
    other = choose_build(machine, None, python, driver)
    instead = (f"use torch {other.version or 'newest'} from {other.index}",) if other.answer == "yes" else ()
    return refuse(why_lacking(python, version, *where), others_for(python, *where), *instead)


def _deciding(machine: Machine) -> tuple[list[Gpu], list[str]]:
    """The GPUs that decide: all that are usable, but integrated ones only where there is no card."""
    usable = list(machine.usable_gpus)
    cards = [gpu for gpu in usable if gpu.kind != "integrated"]
    if not cards:
        return usable, []
    beside = [gpu for gpu in usable if gpu.kind == "integrated"]
    return cards, [f"{gpu.name or 'the integrated GPU'} is left out: it is integrated, beside a card" for gpu in beside]


def _by_maker(
    machine: Machine, gpus: Sequence[Gpu], version: str | None, python: str | None, driver: str | None
) -> TorchBuild:
    makers = sorted({gpu.vendor for gpu in gpus})
    if not gpus:
        return _cpu(machine, version, python)
    if len(makers) > 1:
        alone = [
            (maker, _by_maker(machine, [gpu for gpu in gpus if gpu.vendor == maker], version, python, driver))
            for maker in makers
        ]
        return refuse(
            f"one build serves one maker's GPUs, and here are {' and '.join(makers)}",
            *(f"for {maker} alone: {build.index or build.answer}" for maker, build in alone),
        )
    if makers == ["NVIDIA"]:
        return _nvidia(machine, gpus, version, python, driver)
    if makers == ["AMD"]:
        return _amd(machine, gpus, version, python)
    if makers == ["Intel"]:
        return _intel(machine, gpus, version)
    if makers == ["Apple"]:
        return refuse(f"Metal is macOS's alone: no build of PyTorch for {machine.platform.os} runs on Apple's GPUs")
    return unknown(f"which build is for GPUs of {makers[0]} is not in the table of builds")


def _nvidia(
    machine: Machine, gpus: Sequence[Gpu], version: str | None, python: str | None, named: str | None
) -> TorchBuild:
    platform, own = machine.platform, machine.drivers.nvidia
    silent = [_called(gpu) for gpu in gpus if gpu.compute_capability is None]
    if silent:
        return unknown(f"the compute capability of {', '.join(silent)} is not known")
    codes = tuple(gpu.compute_capability for gpu in gpus if gpu.compute_capability is not None)
    basis, driver, cuda, maybe = "named", named, None, ""
    if named is None and machine.source == "simulated" and own is None:
        basis, driver = "assumed", str(newest_branch(codes))
        maybe = f"driver branch {driver} is assumed, the newest known that drives every card here: --driver names one"
    elif named is None:
        basis, driver = "reported", own.version if own else None
        driver, cuda = (driver if version_key(driver) else None), own.cuda_version if own else None
    if driver is None and cuda is None:
        return unknown("the version of the NVIDIA driver is not known: --driver names one")
    box = CudaBox(
        codes, platform.os or "", platform.arch or "", platform.os == "windows" or platform.wsl, driver,
        cuda or highest_cuda(driver or ""), basis == "assumed",
    )  # fmt: skip
    if maybe and dropped(box) is not None:  # no branch drives them all
        return cuda_build(box, version, python)
    answer = cuda_build(box, version, python)
    return replace(answer, driver=driver, driver_basis=basis, assumptions=(maybe,) if maybe else ())


def _amd(machine: Machine, gpus: Sequence[Gpu], version: str | None, python: str | None) -> TorchBuild:
    silent = [_called(gpu) for gpu in gpus if gpu.gfx_target is None]
    if silent:
        return unknown(f"the gfx target of {', '.join(silent)} is not known")
    targets = sorted({gpu.gfx_target for gpu in gpus if gpu.gfx_target is not None})
    return rocm_build(machine.platform, targets, version, python)


def _intel(machine: Machine, gpus: Sequence[Gpu], version: str | None) -> TorchBuild:
    platform = machine.platform
    others = [_called(gpu) for gpu in gpus if gpu.architecture not in _XPU]
    if any(gpu.architecture == "Gaudi" for gpu in gpus):
        return refuse("Gaudi needs Intel's own build of PyTorch: none of PyTorch's own wheels is for it")
    if others:
        return unknown(f"whether the XPU build runs on {', '.join(others)} is not known")
    if platform.arch != "x86_64":
        return unknown(f"no XPU build for {platform.os} on {platform.arch} is known")
    if version is not None:
        return unknown(f"whether torch {version} has an XPU build is not in the table of builds")
    return take(
        "xpu", "the XPU build is for Intel's Arc, Data Center Max and Core Ultra GPUs (PyTorch's documentation)"
    )


def _cpu(machine: Machine, version: str | None, python: str | None) -> TorchBuild:
    """The CPU build; the GPUs that cannot be used now are named."""
    platform = machine.platform
    idle = ", ".join(f"{_called(gpu)} ({_hindrance(gpu)})" for gpu in machine.gpus)
    reason = f"no GPU can be used now: {idle}; gpucheck doctor says why" if idle else "no GPU is here"
    release = version or release_for(python, platform)
    pythons = pythons_of(release, platform.os, platform.arch) if release else None
    return take("cpu", reason, version=release, pythons=pythons)


def _called(gpu: Gpu) -> str:
    return gpu.name or f"gpus[{gpu.index}]"


def _hindrance(gpu: Gpu) -> str:
    """Why a GPU cannot be used: "hidden", its state, or its mode."""
    if not gpu.visible:
        return "hidden"
    return gpu.state.replace("_", " ") if gpu.state != "ok" else "driven, but closed to processes"
