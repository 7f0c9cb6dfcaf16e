"""Which build of PyTorch suits a machine: by its system, its driver and every GPU that a process can use now.

Only PyTorch's own wheels are judged, by the table in `catalog.torch_builds`; what is not in it is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import replace

from gpucheck.assess.torch_answer import PYPI, TorchBuild
from gpucheck.assess.torch_cuda import CudaBox, cuda_build
from gpucheck.assess.torch_make import is_older, refuse, take, unknown
from gpucheck.catalog.drivers import highest_cuda, newest_branch, version_key
from gpucheck.catalog.torch_builds import (
    all_builds,
    is_release,
    maker_of,
    oldest_python,
    release_key,
    rocm_builds,
    rocm_release,
    runs_on,
)
from gpucheck.errors import UsageError
from gpucheck.machine.types import Gpu, Machine

# PyTorch's documentation of XPU, from memory: Arc, the Max series and the GPUs of Core Ultra
_XPU = frozenset({"Xe-HPG", "Xe-HPC", "Xe-LPG", "Xe-LPG+", "Xe2-HPG", "Xe2-LPG"})
_LAST_INTEL_MAC = (2, 2)  # torch 2.2 was the last for x86_64 macOS (pytorch #114602)
_PYTHON = re.compile(r"\d{1,2}\.\d{1,3}(?:\.\d{1,3})?")


def choose_build(
    machine: Machine, version: str | None = None, python_version: str | None = None, driver: str | None = None
) -> TorchBuild:
    """The build for every usable GPU of a machine at once, or why there is none or nobody knows.

    `driver` names an NVIDIA driver in place of the machine's. The newest Python that an old release has wheels for is
    not in the table and not checked.

    Raises:
        UsageError: a version of torch, Python or the driver is none.
    """
    if version is not None and not is_release(version):
        raise UsageError(f"torch {version[:40]!r}: give a release such as 2.9 or 2.9.1")
    if python_version is not None and not _PYTHON.fullmatch(python_version):
        raise UsageError(f"Python {python_version[:40]!r}: give a version such as 3.12")
    if driver is not None and version_key(driver) is None:
        raise UsageError(f"driver {driver[:40]!r}: give a version such as 535.86")
    needed = oldest_python(version) if version else None
    if is_older(python_version, needed):
        return refuse(f"torch {version} needs Python {needed} or newer, and this is {python_version}")
    platform = machine.platform
    if platform.os is None or platform.arch is None:
        return unknown("the operating system or the CPU's architecture is not known")
    if platform.os == "darwin":
        return _mac(machine, version)
    gpus, left_out = _deciding(machine)
    answer = _by_maker(machine, gpus, version, python_version, driver)
    return replace(answer, assumptions=(*left_out, *answer.assumptions))


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
        return _cpu(machine, version)
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
        cuda or highest_cuda(driver or ""),
    )  # fmt: skip
    answer = cuda_build(box, version, python)
    return replace(answer, driver=driver, driver_basis=basis, assumptions=(maybe,) if maybe else ())


def _amd(machine: Machine, gpus: Sequence[Gpu], version: str | None, python: str | None) -> TorchBuild:
    platform = machine.platform
    silent = [_called(gpu) for gpu in gpus if gpu.gfx_target is None]
    if silent:
        return unknown(f"the gfx target of {', '.join(silent)} is not known")
    targets = sorted({gpu.gfx_target for gpu in gpus if gpu.gfx_target is not None})
    rows = [
        row for row in all_builds()
        if (row.os, row.arch) == (platform.os, platform.arch) and maker_of(row.build) == "AMD"
    ]  # fmt: skip
    if not rows:
        return unknown(f"no ROCm build for {platform.os} on {platform.arch} is in the table of builds")
    builds = rocm_builds(version) if version is not None else None
    if version is not None and builds is None:
        return unknown(f"which ROCm builds torch {version} has is not in the table of builds")
    coded = [row for row in rows if all(runs_on(row.targets, one) for one in targets)]
    asked = [row for row in coded if builds is None or row.build in builds]
    if not asked:
        of = f"of torch {version} " if version is not None else ""
        other = (f"use {coded[0].build}, which has it",) if coded else ()
        return refuse(f"none of PyTorch's ROCm builds {of}that are known has code for {' and '.join(targets)}", *other)
    row = max(asked, key=lambda one: release_key(one.build))
    release = version or rocm_release(row.build)
    needed = oldest_python(release) if release else None
    if is_older(python, needed):
        return refuse(f"torch {release} needs Python {needed} or newer, and this is {python}")
    reason = f"{row.build} has code for {', '.join(targets)} ({row.source}), and no newer ROCm build is in the table"
    return take(row.build, reason, version=release, requires_python=needed)


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


def _cpu(machine: Machine, version: str | None) -> TorchBuild:
    """The CPU build; the GPUs that cannot be used now are named."""
    idle = ", ".join(f"{_called(gpu)} ({_hindrance(gpu)})" for gpu in machine.gpus)
    reason = f"no GPU can be used now: {idle}; gpucheck doctor says why" if idle else "no GPU is here"
    return take("cpu", reason, version=version, requires_python=oldest_python(version) if version else None)


def _called(gpu: Gpu) -> str:
    return gpu.name or f"gpus[{gpu.index}]"


def _hindrance(gpu: Gpu) -> str:
    """Why a GPU cannot be used: "hidden", its state, or its mode."""
    if not gpu.visible:
        return "hidden"
    return gpu.state.replace("_", " ") if gpu.state != "ok" else "driven, but closed to processes"


def _mac(machine: Machine, version: str | None) -> TorchBuild:
    """PyPI's wheel: with Metal (MPS) on Apple silicon, for the CPU on Intel."""
    needed = oldest_python(version) if version else None
    if machine.platform.arch == "arm64":
        metal = any(gpu.vendor == "Apple" for gpu in machine.usable_gpus)
        reason = "the default wheel for Apple silicon has Metal (MPS) built in"
        return take(
            PYPI, reason + ("" if metal else ", though no GPU can be used now"), version=version, requires_python=needed
        )
    last = ".".join(map(str, _LAST_INTEL_MAC))
    if version is not None and release_key(version)[:2] > _LAST_INTEL_MAC:
        return refuse(f"torch {last} was the last with wheels for Intel Macs (pytorch #114602): use torch {last}")
    release = version or last
    reason = f"torch {last} was the last with wheels for Intel Macs (pytorch #114602); they use the CPU"
    return take(PYPI, reason, version=release, requires_python=oldest_python(release))
