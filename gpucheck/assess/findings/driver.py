"""GC2xx: what stands between a card and its driver; and GC401, a container that was not given it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from gpucheck.assess.findings.finding import Finding, Remedy, is_or_are, named
from gpucheck.catalog.drivers import last_branch
from gpucheck.machine.types import Gpu, Machine


def undriven(machine: Machine) -> Iterator[Finding]:
    """One finding for each way in which a maker's cards are not driven, whatever their number."""
    for state, make in _DRIVER_STATES.items():
        makers: dict[str, list[Gpu]] = {}
        for gpu in machine.gpus:
            if gpu.state == state and gpu.kind != "mig":
                makers.setdefault(gpu.vendor, []).append(gpu)
        for gpus in makers.values():
            finding = make(machine, gpus)
            yield replace(finding, title=finding.title[:1].upper() + finding.title[1:])


def _no_driver(machine: Machine, gpus: list[Gpu]) -> Finding:
    vendor = gpus[0].vendor
    return Finding(
        code="GC201",
        severity="error",
        title=f"{named(gpus)} {is_or_are(gpus)} there, but no {vendor} driver is loaded",
        found=gpus[0].detail or "no kernel driver bound",
        required=f"the {vendor} kernel driver",
        remedy=Remedy(f"install the {vendor} driver, then restart", _install_commands(machine, vendor)),
        source="probe pci",
    )


def _mismatch(machine: Machine, gpus: list[Gpu]) -> Finding:
    driver = machine.drivers.nvidia
    versions = f"kernel module {driver.version}, library {driver.library_version}" if driver else "two versions"
    return Finding(
        code="GC202",
        severity="error",
        title="The NVIDIA library and the loaded kernel module are of different versions, as after an upgrade",
        found=gpus[0].detail or versions,
        required="one version",
        remedy=Remedy("restart, so that the new kernel module is loaded", ("sudo reboot",)),
        source="nvml",
    )


def _wrong_driver(machine: Machine, gpus: list[Gpu]) -> Finding:
    return Finding(
        code="GC203",
        severity="error",
        title=f"{named(gpus)} {is_or_are(gpus)} held by another driver",
        found=gpus[0].detail or "another kernel driver",
        required=f"the {gpus[0].vendor} kernel driver",
        remedy=Remedy(
            f"install the {gpus[0].vendor} driver, or give the card back from virtual machines (vfio-pci)",
            _install_commands(machine, gpus[0].vendor),
        ),
        source="probe pci",
    )


def _no_permission(_machine: Machine, gpus: list[Gpu]) -> Finding:
    amd = gpus[0].vendor == "AMD"
    return Finding(
        code="GC204",
        severity="error",
        title=f"This user may not open {named(gpus)}",
        found=gpus[0].detail or "permission denied",
        required="read and write access to " + ("/dev/kfd and /dev/dri/renderD*" if amd else "/dev/nvidia*"),
        remedy=Remedy(
            "join the groups that own the devices, then log in again",
            ("sudo usermod -aG render,video $USER",) if amd else ("ls -l /dev/nvidia*",),
        ),
        source="driver",
    )


def _unreachable(machine: Machine, gpus: list[Gpu]) -> Finding:
    container = machine.platform.container
    nvidia = gpus[0].vendor == "NVIDIA"
    given = "docker run --gpus all …" if nvidia else "docker run --device=/dev/kfd --device=/dev/dri …"
    part = "the driver's user-space part (libnvidia-ml, nvidia-smi) of the same version"
    remedy = (
        Remedy("start the container with its GPUs", (given,) if gpus[0].vendor in {"NVIDIA", "AMD"} else ())
        if container
        else Remedy(f"install {part if nvidia else f'the {gpus[0].vendor} driver'}")
    )
    where = f"this container ({container})" if container else "this system"
    them = "it" if len(gpus) == 1 else "them"
    return Finding(
        code="GC401" if container else "GC205",
        severity="error",
        title=f"{named(gpus)} {is_or_are(gpus)} there and driven, but {where} has no access to {them}",
        found=gpus[0].detail or "no driver library",
        required="the driver's library and device files",
        remedy=remedy,
        source="nvml" if nvidia else "driver",
    )


def dropped(machine: Machine) -> Iterator[Finding]:
    """Cards that the installed driver is too new for: NVML does not even list them."""
    driver = machine.drivers.nvidia
    branch = (driver.version or "").partition(".")[0] if driver else ""
    if not branch.isdecimal():
        return
    for gpu in machine.gpus:
        last = last_branch(gpu.compute_capability)
        if gpu.vendor == "NVIDIA" and gpu.state != "ok" and last is not None and int(branch) > last:
            yield Finding(
                code="GC206",
                severity="error",
                title=f"{gpu.name or 'A card'} needs driver branch {last}: branch {branch} no longer drives it",
                found=f"driver {driver.version if driver else ''}",
                required=f"a driver of branch {last}",
                remedy=Remedy(f"install the {last} legacy driver instead", _legacy_commands(machine, last)),
                source=f"gpus[{gpu.index}].state",
            )


def _legacy_commands(machine: Machine, branch: int) -> tuple[str, ...]:
    """How Ubuntu installs one branch; nothing for systems that we do not know."""
    ubuntu = "ubuntu" in (machine.platform.distribution or "").lower().split()
    return (f"sudo apt install nvidia-driver-{branch}", "sudo reboot") if ubuntu else ()


def _install_commands(machine: Machine, vendor: str) -> tuple[str, ...]:
    """How this distribution installs the driver; nothing where we do not know."""
    distribution = (machine.platform.distribution or "").lower().split()
    if vendor != "NVIDIA":
        return ("sudo modprobe amdgpu",) if vendor == "AMD" else ()
    if "ubuntu" in distribution:
        return ("sudo ubuntu-drivers install", "sudo reboot")
    if "debian" in distribution:
        return ("sudo apt install nvidia-driver firmware-misc-nonfree", "sudo reboot")
    if "fedora" in distribution:
        return ("sudo dnf install akmod-nvidia xorg-x11-drv-nvidia-cuda", "sudo reboot")
    return ()


_DRIVER_STATES: dict[str, Callable[[Machine, list[Gpu]], Finding]] = {
    "no_driver": _no_driver,
    "driver_mismatch": _mismatch,
    "wrong_driver": _wrong_driver,
    "no_permission": _no_permission,
    "unreachable": _unreachable,
}


def shadowed(machine: Machine) -> Iterator[Finding]:
    """WSL2's own NVML hidden by a distribution's package: the GPU is there and nothing can name it."""
    for issue in machine.issues:
        if issue.code == "wsl_shadowed_library":
            yield Finding(
                code="GC207",
                severity="error",
                title="A package of the distribution hides WSL's own NVIDIA library, so no GPU is found",
                found="Driver Not Loaded from the distribution's libnvidia-ml.so.1",
                required=f"the library at {issue.source}",
                remedy=Remedy(
                    "remove the distribution's libnvidia packages, or put WSL's folder first",
                    ("sudo apt purge 'libnvidia-*'", "export LD_LIBRARY_PATH=/usr/lib/wsl/lib:$LD_LIBRARY_PATH"),
                ),
                source="nvml",
            )
