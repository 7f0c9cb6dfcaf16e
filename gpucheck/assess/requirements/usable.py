"""Which GPUs requirements are about, and what could hide others: present is not usable, and silent is not absent."""

from __future__ import annotations

from gpucheck.assess.requirements.told import Told, in_words
from gpucheck.machine.types import Gpu, Machine

_BUS = ("/sys/bus/pci/devices", "lspci", "system_profiler", "probe ")
_HOST_PROBES = frozenset({
    "probe platform", "probe cpu", "probe memory", "probe numa", "probe storage", "probe limits", "probe toolkits",
    "probe frameworks", "probe visibility", "probe bare metal",
})  # fmt: skip
_SURELY_NONE = frozenset({"nvml_driver_not_loaded", "library_missing"})


def usability(machine: Machine, gpu: Gpu) -> Told:
    """Whether a process started now could use the GPU; unknown where its driver's interface does not answer.

    NVML that does not start proves nothing about CUDA, whose library is another one (and may be cuda-compat's). A
    card that was not given to a container or job, or that has no driver, is of no use for sure.
    """
    source = f"gpus[{gpu.index}].state"
    if gpu.usable:
        return Told("met", source=source)
    why = hindrance(gpu)
    if gpu.visible and _may_work(machine, gpu):
        return Told("unknown", source=source, reason=f"whether a process can use it is not known: {why}")
    return Told("not_met", source=source, reason=why)


def hindrance(gpu: Gpu) -> str:
    """Why a GPU cannot be used, in words."""
    if not gpu.visible:
        return f"hidden by {gpu.hidden_by}" if gpu.hidden_by else "hidden"
    if gpu.state != "ok":
        return gpu.detail or gpu.state.replace("_", " ")
    if gpu.compute_mode == "prohibited":
        return "its compute mode is prohibited"
    if gpu.kind != "mig" and gpu.mig.mode == "enabled":
        return "it is divided into MIG devices"
    return f"its NVLink fabric is {(gpu.health.fabric_state or 'not ready').replace('_', ' ')}"


def _may_work(machine: Machine, gpu: Gpu) -> bool:
    if gpu.state in {"unknown", "driver_mismatch"}:
        return True
    silent = gpu.state == "unreachable" and gpu.vendor == "NVIDIA"
    answered = any(other.vendor == "NVIDIA" and other.state == "ok" for other in machine.gpus)
    return silent and not answered and nvml_failure(machine) is not None


def nvml_failure(machine: Machine) -> str | None:
    """What NVML said when it did not start, None where it did or is not there."""
    return next(
        (
            in_words(issue)
            for issue in machine.issues
            if issue.source == "nvml" and issue.code not in _SURELY_NONE and "does not start" in issue.detail
        ),
        None,
    )


def counted(machine: Machine) -> tuple[Gpu, ...]:
    """The GPUs that are, or may be, of use: cards, or the graphics that frameworks compute on where there is none."""
    possible = [gpu for gpu in machine.gpus if usability(machine, gpu).answer != "not_met"]
    cards = tuple(gpu for gpu in possible if gpu.kind != "integrated")
    return cards or tuple(gpu for gpu in possible if gpu.catalogue_id is not None)


def unseen(machine: Machine) -> str | None:
    """Why there may be GPUs that the machine does not list; None where all are listed for sure."""
    for issue in machine.issues:
        if issue.source.startswith(_BUS) and issue.source not in _HOST_PROBES:
            return in_words(issue)
    if machine.gpus:
        return None
    if machine.platform.wsl:  # its cards are on no bus
        return next((in_words(issue) for issue in machine.issues if issue.source == "nvml"), None)
    return nvml_failure(machine)
