"""What is wrong, in one sentence each, with the commands that mend it. gpucheck prints them and runs none.

Codes are stable: GC1xx hardware, GC2xx driver, GC3xx toolkit and framework, GC4xx container and limits,
GC5xx health.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from gpucheck.machine.types import Gpu, Machine

Severity = Literal["error", "warning", "info"]


class Remedy(Struct, frozen=True):
    """What to do: words, and the exact commands for this system where there are any."""

    text: str
    commands: tuple[str, ...] = ()


class Finding(Struct, frozen=True):
    """One thing that stands in the way."""

    code: str
    severity: Severity
    title: str
    found: str
    required: str
    remedy: Remedy
    source: str


def find_problems(machine: Machine) -> tuple[Finding, ...]:
    """Every finding, the worst first."""
    found = [finding for rule in _RULES for finding in rule(machine)]
    order = {"error": 0, "warning": 1, "info": 2}
    return tuple(sorted(found, key=lambda finding: (order[finding.severity], finding.code)))


def _no_instances(machine: Machine) -> Iterator[Finding]:
    for gpu in machine.gpus:
        if gpu.mig.mode == "enabled" and gpu.mig.instances == 0 and gpu.state == "ok":
            yield Finding(
                code="GC101",
                severity="error",
                title=f"GPU {gpu.index} is in MIG mode and has no instances, so nothing can run on it",
                found="MIG enabled, 0 instances",
                required="at least one MIG instance, or MIG off",
                remedy=Remedy(
                    "create instances, or switch MIG off",
                    (f"sudo nvidia-smi mig -i {_smi(gpu)} -lgip", f"sudo nvidia-smi -i {_smi(gpu)} -mig 0"),
                ),
                source=f"gpus[{gpu.index}].mig",
            )


def _narrow_link(machine: Machine) -> Iterator[Finding]:
    """Only the width: the generation falls to 1 whenever a card idles (nvtop #6)."""
    for gpu in machine.gpus:
        width, widest = gpu.pcie.width, gpu.pcie.max_width
        if gpu.kind == "discrete" and width and widest and width < widest:
            yield Finding(
                code="GC102",
                severity="info",
                title=f"GPU {gpu.index} has {width} of its {widest} PCIe lanes: loading models is slower",
                found=f"x{width}",
                required=f"x{widest}",
                remedy=Remedy("another slot, a reseated card or riser, or a firmware setting may give it all lanes"),
                source=f"gpus[{gpu.index}].pcie.width",
            )


def _prohibited(machine: Machine) -> Iterator[Finding]:
    for gpu in machine.gpus:
        if gpu.compute_mode == "prohibited" and gpu.kind != "mig":
            yield Finding(
                code="GC103",
                severity="error",
                title=f"GPU {gpu.index} is set to refuse compute work: CUDA will say that it is busy or unavailable",
                found="compute mode Prohibited",
                required="compute mode Default",
                remedy=Remedy("set the compute mode back", (f"sudo nvidia-smi -i {_smi(gpu)} -c DEFAULT",)),
                source=f"gpus[{gpu.index}].compute_mode",
            )


def _driver(machine: Machine) -> Iterator[Finding]:
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
        title=f"{_named(gpus)} {_is(gpus)} there, but no {vendor} driver is loaded",
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
        title=f"{_named(gpus)} {_is(gpus)} held by another driver",
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
        title=f"This user may not open {_named(gpus)}",
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
        title=f"{_named(gpus)} {_is(gpus)} there and driven, but {where} has no access to {them}",
        found=gpus[0].detail or "no driver library",
        required="the driver's library and device files",
        remedy=remedy,
        source="nvml" if nvidia else "driver",
    )


def _hidden(machine: Machine) -> Iterator[Finding]:
    hidden: dict[str, list[Gpu]] = {}
    for gpu in machine.gpus:
        if gpu.hidden_by is not None and gpu.kind != "mig":
            hidden.setdefault(gpu.hidden_by, []).append(gpu)
    for variable, gpus in hidden.items():
        name = variable.partition("=")[0]
        every = len(gpus) == sum(gpu.kind != "mig" for gpu in machine.gpus)
        yield Finding(
            code="GC402",
            severity="warning" if every else "info",
            title=f"{name} hides {'every GPU' if every else _named(gpus)} from this process",
            found=variable,
            required=f"{name} unset, or naming the GPUs to use",
            remedy=Remedy("let the process see them", (f"unset {name}",)),
            source=name,
        )


def _lost(machine: Machine) -> Iterator[Finding]:
    for gpu in machine.gpus:
        if gpu.kind != "mig" and gpu.state in {"lost", "needs_reset"}:
            lost = gpu.state == "lost"
            reset = f"sudo nvidia-smi --gpu-reset -i {_smi(gpu)}"
            yield Finding(
                code="GC501" if lost else "GC502",
                severity="error",
                title=f"GPU {gpu.index} is lost: it has fallen off the bus"
                if lost
                else f"GPU {gpu.index} needs a reset",
                found=gpu.detail or gpu.state,
                required="a GPU that answers",
                remedy=Remedy(
                    "look for Xid errors, then restart the machine",
                    ("sudo dmesg | grep -i xid", "sudo reboot"),
                )
                if lost
                else Remedy("stop what uses it, then reset it", (reset,)),
                source=f"gpus[{gpu.index}].state",
            )


def _throttled(machine: Machine) -> Iterator[Finding]:
    for gpu in machine.gpus:
        slow = [reason for reason in gpu.throttle_reasons if reason in _SLOWDOWNS]
        if slow:
            yield Finding(
                code="GC503",
                severity="warning",
                title=f"GPU {gpu.index} is slowed down at the moment: {', '.join(slow).replace('_', ' ')}",
                found=", ".join(slow),
                required="no slowdown",
                remedy=Remedy("check cooling and power supply", ("nvidia-smi -q -d PERFORMANCE,TEMPERATURE,POWER",)),
                source=f"gpus[{gpu.index}].throttle_reasons",
            )


def _named(gpus: list[Gpu]) -> str:
    """Such as "NVIDIA GeForce RTX 4090", or "2 NVIDIA GPUs"."""
    return (
        gpus[0].name or f"{_article(gpus[0].vendor)} {gpus[0].vendor} GPU"
        if len(gpus) == 1
        else f"{len(gpus)} {gpus[0].vendor} GPUs"
    )


def _article(word: str) -> str:
    return "an" if word[:1] in "AIN" else "a"  # an NVIDIA, AMD, Intel or Apple GPU


def _smi(gpu: Gpu) -> str:
    """The card as `nvidia-smi -i` takes it; the report's numbers also count slices and other makers' cards."""
    return gpu.pci_address or str(gpu.index)


def _is(gpus: list[Gpu]) -> str:
    return "is" if len(gpus) == 1 else "are"


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


_SLOWDOWNS = frozenset({"hw_slowdown", "hw_thermal_slowdown", "sw_thermal_slowdown", "hw_power_brake_slowdown"})
_DRIVER_STATES: dict[str, Callable[[Machine, list[Gpu]], Finding]] = {
    "no_driver": _no_driver,
    "driver_mismatch": _mismatch,
    "wrong_driver": _wrong_driver,
    "no_permission": _no_permission,
    "unreachable": _unreachable,
}
_RULES: tuple[Callable[[Machine], Iterator[Finding]], ...] = (
    _no_instances, _narrow_link, _prohibited, _driver, _hidden, _lost, _throttled,
)  # fmt: skip
