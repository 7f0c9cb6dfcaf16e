"""GC2xx: what stands between a card and its driver; and GC401, a container that was not given it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from gpucheck.assess.findings.finding import Finding, Remedy, is_or_are, named, was_given_others
from gpucheck.catalog.drivers import last_branch
from gpucheck.machine.types import Gpu, Machine


def undriven(machine: Machine) -> Iterator[Finding]:
    """One finding for each way in which a maker's cards are not driven, whatever their number."""
    for state, make in _DRIVER_STATES.items():
        makers: dict[tuple[str, bool], list[Gpu]] = {}
        for gpu in machine.gpus:
            if gpu.state == state and gpu.kind != "mig" and not _explained(machine, gpu):
                makers.setdefault((gpu.vendor, _is_reserved(gpu)), []).append(gpu)
        for gpus in makers.values():
            finding = make(machine, gpus)
            yield replace(finding, title=finding.title[:1].upper() + finding.title[1:])


def _explained(machine: Machine, gpu: Gpu) -> bool:
    """Whether another rule says better what stands between this card and its driver."""
    return _dropped_after(machine, gpu) is not None or (gpu.state == "unreachable" and was_given_others(machine, gpu))


def _no_driver(machine: Machine, gpus: list[Gpu]) -> Finding:
    vendor = gpus[0].vendor
    codes = {issue.code for issue in machine.issues}
    secured = vendor == "NVIDIA" and "secure_boot" in codes
    remedy = Remedy(f"install the {vendor} driver, then restart", _install_commands(machine, vendor))
    if secured and "nvml_driver_not_loaded" in codes:  # installed, and the kernel does not take it
        remedy = Remedy(
            "enrol the key that signs the driver's module, then restart and confirm it in the firmware's dialogue;"
            " or switch Secure Boot off",
            _enrol_commands(machine),
        )
    found = gpus[0].detail or "no kernel driver bound"
    return Finding(
        code="GC201",
        severity="error",
        title=f"{named(gpus)} {is_or_are(gpus)} there, but no {vendor} driver is loaded",
        found=f"{found}; Secure Boot is on" if secured else found,
        required=f"the {vendor} kernel driver" + (", signed with an enrolled key" if secured else ""),
        remedy=remedy,
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


def _is_reserved(gpu: Gpu) -> bool:
    """Whether somebody has set the card aside for virtual machines."""
    return gpu.state == "wrong_driver" and "vfio-pci" in (gpu.detail or "")


def _wrong_driver(machine: Machine, gpus: list[Gpu]) -> Finding:
    vendor = gpus[0].vendor
    if _is_reserved(gpus[0]):
        return Finding(
            code="GC203",
            severity="info",
            title=f"{named(gpus)} {is_or_are(gpus)} kept for virtual machines",
            found=gpus[0].detail or "vfio-pci",
            required=f"the {vendor} kernel driver, to use {'it' if len(gpus) == 1 else 'them'} here",
            remedy=Remedy("take it from vfio-pci's ids and restart, if this system is to use it"),
            source="probe pci",
        )
    return Finding(
        code="GC203",
        severity="error",
        title=f"{named(gpus)} {is_or_are(gpus)} held by another driver",
        found=gpus[0].detail or "another kernel driver",
        required=f"the {vendor} kernel driver",
        remedy=Remedy(f"install the {vendor} driver, then restart", _install_commands(machine, vendor)),
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
    part = "the driver's user-space part (libnvidia-ml, nvidia-smi) of the same version"
    # NVML's error 999: the container had its GPUs until systemd was reloaded (nvidia-container-toolkit #48)
    taken = nvidia and any(issue.code == "nvml_unknown" and issue.source == "nvml" for issue in machine.issues)
    if container is None:
        remedy = Remedy(f"install {part if nvidia else f'the {gpus[0].vendor} driver'}")
    elif taken:
        remedy = Remedy(
            "restart the container: a reload of systemd on the host takes GPUs away from running containers",
            (f"{container} restart …",) if container in {"docker", "podman"} else (),
        )
    else:
        remedy = _start_with_gpus(container, gpus[0].vendor)
    where = f"this container ({container})" if container else "this system"
    them = "it" if len(gpus) == 1 else "them"
    return Finding(
        code="GC401" if container else "GC205",
        severity="error",
        title=f"{named(gpus)} {is_or_are(gpus)} there and driven, but {where} has"
        f" {'lost its' if container and taken else 'no'} access to {them}",
        found=gpus[0].detail or "no driver library",
        required="the driver's library and device files",
        remedy=remedy,
        source="nvml" if nvidia else "driver",
    )


def _start_with_gpus(container: str, vendor: str) -> Remedy:
    """How an engine gives its containers GPUs."""
    if container == "kubernetes":
        resource = {"NVIDIA": "nvidia.com/gpu", "AMD": "amd.com/gpu", "Intel": "gpu.intel.com/xe"}.get(vendor)
        return Remedy("ask for GPUs in the pod's limits" + (f", such as {resource}: 1" if resource else ""))
    options = {"NVIDIA": "--gpus all", "AMD": "--device=/dev/kfd --device=/dev/dri"}
    if container == "podman":
        options["NVIDIA"] = "--device nvidia.com/gpu=all"
    engine = container if container in {"docker", "podman"} else "docker"
    command = (f"{engine} run {options[vendor]} …",) if vendor in options else ()
    return Remedy("start the container with its GPUs", command if container in {"docker", "podman"} else ())


def dropped(machine: Machine) -> Iterator[Finding]:
    """Cards that the installed driver is too new for: NVML does not even list them."""
    for gpu in machine.gpus:
        last = _dropped_after(machine, gpu)
        if last is not None:
            version = machine.drivers.nvidia.version if machine.drivers.nvidia else None
            yield Finding(
                code="GC206",
                severity="error",
                title=f"{gpu.name or 'A card'} needs driver branch {last}:"
                f" branch {_branch(machine)} no longer drives it",
                found=f"driver {version}",
                required=f"a driver of branch {last}",
                remedy=Remedy(f"install the {last} legacy driver instead", _legacy_commands(machine, last)),
                source=f"gpus[{gpu.index}].state",
            )


def _branch(machine: Machine) -> int | None:
    driver = machine.drivers.nvidia
    branch = (driver.version or "").partition(".")[0] if driver else ""
    return int(branch) if branch.isdecimal() and len(branch) < 6 else None


def _dropped_after(machine: Machine, gpu: Gpu) -> int | None:
    """The last branch that drives a card which the installed one does not; None of any other card."""
    branch, last = _branch(machine), last_branch(gpu.compute_capability)
    missing = gpu.vendor == "NVIDIA" and gpu.state in {"no_driver", "unreachable", "lost"}
    return last if missing and branch is not None and last is not None and branch > last else None


def _legacy_commands(machine: Machine, branch: int) -> tuple[str, ...]:
    """How Ubuntu installs one branch; nothing for systems that we do not know."""
    ubuntu = "ubuntu" in (machine.platform.distribution or "").lower().split()
    return (f"sudo apt install nvidia-driver-{branch}", "sudo reboot") if ubuntu else ()


def _enrol_commands(machine: Machine) -> tuple[str, ...]:
    """How this distribution enrols the key that its packages sign modules with."""
    distribution = (machine.platform.distribution or "").lower().split()
    if "ubuntu" in distribution:
        return ("sudo update-secureboot-policy --enroll-key", "sudo reboot")
    if "debian" in distribution:
        return ("sudo mokutil --import /var/lib/dkms/mok.pub", "sudo reboot")
    if "fedora" in distribution:
        return ("sudo mokutil --import /etc/pki/akmods/certs/public_key.der", "sudo reboot")
    return ()


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
