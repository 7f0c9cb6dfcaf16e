"""What an installed torch can do with this machine's GPUs, by the code in its build; torch itself is never asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec.structs import replace

from gpucheck.catalog.drivers import oldest_driver, version_key
from gpucheck.catalog.torch_builds import find_build, maker_of, runs_on
from gpucheck.host.host import Host
from gpucheck.machine.types import Gpu, Machine
from gpucheck.probes.compat import SOURCE as COMPAT
from gpucheck.probes.facts import Framework, Platform

OVERRIDE = "HSA_OVERRIDE_GFX_VERSION"
CPU = "cpu"


def with_torch(machine: Machine) -> Machine:
    """The machine with `arch_list`, `usable` and `reason` of its torch; other frameworks stay as they are."""
    frameworks = tuple(_judged(one, machine) if one.name == "torch" else one for one in machine.frameworks)
    return replace(machine, frameworks=frameworks)


def with_environment(machine: Machine, host: Host, interpreter: str) -> Machine:
    """A simulated machine with the frameworks of a real environment, as its cards would find them.

    Its system is the environment's own: under Windows there are other builds.
    """
    from gpucheck.probes.environment import probe_environment
    from gpucheck.probes.frameworks import probe_frameworks
    from gpucheck.probes.systems import is_windows

    found, environment = probe_frameworks(host, interpreter), probe_environment(host, interpreter)
    platform = replace(machine.platform, os="windows") if is_windows(host) else machine.platform
    issues = tuple(sorted({*machine.issues, *found.issues, *environment.issues}))
    with_it = replace(machine, platform=platform, frameworks=found.facts, environment=environment.facts, issues=issues)
    return with_torch(with_it)


def device_code(gpu: Gpu) -> str | None:
    """What a build's targets are held against: compute capability or gfx target."""
    return gpu.gfx_target if gpu.vendor == "AMD" else gpu.compute_capability


def cards_for(machine: Machine, maker: str | None) -> list[Gpu]:
    """The usable devices of a maker, slices too, as they compute with their card's code."""
    return [gpu for gpu in machine.usable_gpus if gpu.vendor == maker]


def without_code(framework: Framework, gpus: Sequence[Gpu]) -> list[Gpu]:
    """Those of these GPUs that the build has no code for; none where its targets or the GPU's are not known."""
    if not framework.arch_list:
        return []
    codes = ((gpu, device_code(gpu)) for gpu in gpus)
    return [gpu for gpu, code in codes if code is not None and not runs_on(framework.arch_list, code)]


def compat_error(machine: Machine) -> Literal[803, 804] | None:
    """The error that a libcuda of cuda-compat gives CUDA here; None where there is none of it, or it may help.

    NVIDIA supports it on data-centre GPUs with an older kernel module. Elsewhere CUDA fails with 804 where it is newer
    than the module, and with 803 where it is older. Of workstation cards only some are supported: no word on those.
    """
    compat, own = machine.toolkits.cuda_compat, machine.drivers.nvidia
    given, kernel = (version_key(one.version if one is not None else None) for one in (compat, own))
    if compat is None or given is None or kernel is None or given == kernel:
        return None
    if given < kernel:
        return 803 if compat.found_by is not None and cards_for(machine, "NVIDIA") else None
    # NVIDIA's container runtime puts a newer one first without asking what the card is (nvidia-docker #1515)
    in_use = compat.found_by is not None or machine.platform.container is not None
    return 804 if in_use and any(map(_is_geforce, cards_for(machine, "NVIDIA"))) else None


def driver_too_old(framework: Framework, machine: Machine) -> str | None:
    """The oldest driver for an NVIDIA build, where the one in use is older still; None where it will do, or may."""
    if _compat_unknown(machine):
        return None
    driver, compat = machine.drivers.nvidia, machine.toolkits.cuda_compat
    # under WSL2 the driver is that of Windows
    oldest = oldest_driver(framework.build, windows=_is_windows(machine.platform))
    versions = [version_key(driver.version if driver else None)]
    if compat is not None and compat.found_by is not None and compat_error(machine) is None:
        versions.append(version_key(compat.version))
    known = [version for version in versions if version is not None]
    needed = version_key(oldest)
    return oldest if known and needed is not None and max(known) < needed else None


def _is_windows(platform: Platform) -> bool:
    return platform.os == "windows" or platform.wsl


def _is_geforce(gpu: Gpu) -> bool:
    return gpu.segment in {"consumer", "laptop"} if gpu.segment else "GeForce" in (gpu.name or "").split()


def _judged(torch: Framework, machine: Machine) -> Framework:
    platform = machine.platform
    row = find_build(torch.version, torch.build, platform.os, platform.arch) if torch.tagged else None
    torch = replace(torch, arch_list=row.targets if row is not None else ())
    if torch.broken is not None:
        return torch
    usable, reason = _verdict(torch, machine)
    return replace(torch, usable=usable, reason=reason)


def _verdict(torch: Framework, machine: Machine) -> tuple[bool | None, str | None]:
    """Whether it can use a GPU here, and why."""
    maker = maker_of(torch.build)
    if torch.build == CPU and (cards_for(machine, "NVIDIA") or cards_for(machine, "AMD")):
        return False, "built without CUDA and ROCm"
    if maker is None:
        return torch.usable, torch.reason
    gpus = cards_for(machine, maker)
    if not gpus:
        return False, f"built for {maker}, of which no GPU is usable here"
    if maker == "NVIDIA":
        error = compat_error(machine)
        if error is not None:
            return False, f"CUDA error {error} by the library of cuda-compat"
        oldest = driver_too_old(torch, machine)
        if oldest is not None:
            return False, f"its CUDA needs driver {oldest} or newer"
    usable, reason = _by_code(torch, gpus, machine)
    if usable and maker == "NVIDIA" and _compat_unknown(machine):
        return None, "which libcuda CUDA loads is not known"
    return usable, reason


def _compat_unknown(machine: Machine) -> bool:
    """Whether a libcuda of cuda-compat may stand before the driver's own, and nobody can tell."""
    return any(issue.source == COMPAT for issue in machine.issues)


def _by_code(torch: Framework, gpus: list[Gpu], machine: Machine) -> tuple[bool | None, str | None]:
    if not torch.arch_list:
        return None, "which GPUs this build has code for is not known"
    if maker_of(torch.build) == "AMD" and OVERRIDE in machine.visibility:
        return None, f"{OVERRIDE} decides whose code runs"
    lacking = {gpu.index for gpu in without_code(torch, gpus)}
    if len(lacking) == len(gpus):
        return False, "its build has no code for " + ", ".join(sorted({device_code(gpu) or "" for gpu in gpus}))
    known = [gpu for gpu in gpus if device_code(gpu) is not None and gpu.index not in lacking]
    if not known:
        return None, "what code the GPU runs is not known"
    rest = f", none for gpus {', '.join(map(str, sorted(lacking)))}" if lacking else ""
    return (
        True,
        f"its build has code for {', '.join(sorted({device_code(gpu) or '' for gpu in known}))}{rest}; not tried",
    )
