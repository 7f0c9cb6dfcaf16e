"""How a process is kept to some GPUs: the variables of each maker's runtime, and what a framework then calls them.

The values are absolute: they replace a variable that is in force, and are not counted from what it leaves. UUIDs are
taken where they are the boards' own, because a number means another card under another order. Those of a recording may
be masked, so there a card goes by its number.

CUDA: CUDA_VISIBLE_DEVICES; numbers are those of CUDA_DEVICE_ORDER=PCI_BUS_ID, and a MIG device has a UUID alone (CUDA
programming guide, MIG user guide). ROCm: ROCR_VISIBLE_DEVICES, and HIP_VISIBLE_DEVICES, which counts what that leaves
(visible_rocm.py). Level Zero: ZE_AFFINITY_MASK, whose numbers are in PCI order with ZE_ENABLE_PCI_ID_DEVICE_ORDER=1 and
count cards, not their tiles, with ZE_FLAT_DEVICE_HIERARCHY=COMPOSITE (Level Zero specification).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from gpucheck.machine.types import Gpu, Machine
from gpucheck.machine.visible import cuda_numbers
from gpucheck.machine.visible_rocm import rocm_numbers

_CUDA, _CUDA_ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"
_ROCR, _HIP, _ORDINAL = "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"
_MASK, _ORDER, _HIERARCHY = "ZE_AFFINITY_MASK", "ZE_ENABLE_PCI_ID_DEVICE_ORDER", "ZE_FLAT_DEVICE_HIERARCHY"
_SELECTOR = "ONEAPI_DEVICE_SELECTOR"
_OF_TILES = "Xe-HPC"  # the architecture whose cards may be two devices to Level Zero
_NO_DEVICE = frozenset({"no_driver", "wrong_driver", "no_permission", "unsupported"})


class HandOver(Struct, frozen=True):
    """Variables for the process, and the names that PyTorch has for the devices in a process that has them set."""

    variables: Mapping[str, str]
    torch_devices: tuple[str, ...]
    notes: tuple[str, ...] = ()


def hand_over(machine: Machine, gpus: Sequence[Gpu]) -> HandOver:
    """How to keep a process to these GPUs, which are of one maker; the first becomes the framework's first."""
    vendor = gpus[0].vendor
    if vendor == "NVIDIA":
        return _cuda(machine, gpus)
    if vendor == "AMD":
        return _rocm(machine, gpus)
    return _level_zero(machine, gpus) if vendor == "Intel" else HandOver({}, ("mps",))


def no_name(machine: Machine, gpu: Gpu) -> str | None:
    """Why no variable can name the device, None where one can."""
    if gpu.kind == "mig" and gpu.uuid is None:
        return "a MIG device without a UUID, and CUDA knows those by nothing else"
    if _is_gaudi(gpu):
        return "a Gaudi accelerator, for which gpucheck knows no variable"
    if gpu.vendor == "AMD" and gpu.index not in rocm_numbers(machine.gpus):
        return "not among the devices that ROCm numbers"
    return None


def hidden_in_part(machine: Machine, gpu: Gpu) -> str | None:
    """The variable in force that may leave out the device, or a part of it; None where none does."""
    if gpu.vendor == "Intel":
        return next((name for name in (_MASK, _SELECTOR) if machine.visibility.get(name)), None)
    if any(issue.code == "partitions_hidden" and issue.source == f"gpus[{gpu.index}]" for issue in machine.issues):
        return next((name for name in (_ROCR, _HIP, _ORDINAL, _CUDA) if machine.visibility.get(name)), None)
    return None


def _cuda(machine: Machine, gpus: Sequence[Gpu]) -> HandOver:
    names = tuple(f"cuda:{place}" for place in range(len(gpus)))
    uuids = [gpu.uuid for gpu in gpus if gpu.uuid is not None and gpu.pci_address is not None]
    if len(uuids) == len(gpus) and (machine.source == "live" or gpus[0].kind == "mig"):
        masked = machine.source == "recording"
        notes = ("the UUID is the recording's, where it may be masked: the board's own is another",) if masked else ()
        return HandOver({_CUDA: ",".join(uuids)}, names, notes)
    numbers = cuda_numbers(machine.gpus)
    chosen = ",".join(str(numbers[gpu.index]) for gpu in gpus)
    note = f"the numbers are those of {_CUDA_ORDER}=PCI_BUS_ID, which has to be set with them"
    return HandOver({_CUDA: chosen, _CUDA_ORDER: "PCI_BUS_ID"}, names, (note,))


def _rocm(machine: Machine, gpus: Sequence[Gpu]) -> HandOver:
    numbers = rocm_numbers(machine.gpus)
    chosen = [number for gpu in gpus for number in numbers[gpu.index]]
    count = len(chosen)
    names = tuple(f"cuda:{place}" for place in range(count))
    notes = ("each partition of a card is a device of its own to ROCm",) if count > len(gpus) else ()
    in_numbers = ",".join(map(str, chosen))
    if machine.platform.os == "windows":
        return HandOver({_HIP: in_numbers}, names, notes)
    uuids = [gpu.uuid for gpu in gpus if gpu.uuid is not None]
    own = machine.source == "live" and count == len(gpus) == len(uuids)
    variables = {_ROCR: ",".join(uuids) if own else in_numbers}
    left = ",".join(map(str, range(count)))
    if any(machine.visibility.get(name) for name in (_HIP, _CUDA)):
        variables[_HIP] = left
    if machine.visibility.get(_ORDINAL):
        variables[_ORDINAL] = left
    return HandOver(variables, names, notes)


def _level_zero(machine: Machine, gpus: Sequence[Gpu]) -> HandOver:
    listed = [gpu for gpu in machine.gpus if gpu.vendor == "Intel" and gpu.state not in _NO_DEVICE]
    numbers = {gpu.index: number for number, gpu in enumerate(gpu for gpu in listed if not _is_gaudi(gpu))}
    variables = {_MASK: ",".join(str(numbers[gpu.index]) for gpu in gpus), _ORDER: "1"}
    notes: tuple[str, ...] = ()
    if any(gpu.architecture == _OF_TILES for gpu in listed):
        variables[_HIERARCHY] = "COMPOSITE"
        notes = (f"with {_HIERARCHY}=COMPOSITE a card of two tiles is one device, and the mask counts cards",)
    return HandOver(variables, tuple(f"xpu:{place}" for place in range(len(gpus))), notes)


def _is_gaudi(gpu: Gpu) -> bool:
    return gpu.vendor == "Intel" and (gpu.pci_id or "").startswith("1da3:")
