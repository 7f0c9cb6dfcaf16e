"""Which devices a process may see: CUDA's and ROCm's visibility variables applied as those runtimes do.

A list is cut at its first invalid entry; an empty value, "-1" or "NoDevFiles" hides everything (pytorch #92315,
vllm #6582). Entries are numbers in the runtime's own order, UUIDs or unambiguous beginnings of them. CUDA reads a
number as C does ("1gpu" is 1) and takes a device listed twice for none at all. It numbers the cards that it is given:
those of another job, or without a driver, are not counted. ROCm's rules are in visible_rocm.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec.structs import replace

from gpucheck.machine.types import Gpu
from gpucheck.machine.visible_rocm import hidden_by_rocm
from gpucheck.probes.collect import Issues

_CUDA = "CUDA_VISIBLE_DEVICES"
_NOT_COUNTED = frozenset({"no_driver", "wrong_driver", "unreachable"})
_NUMBER = re.compile(r"\+?([0-9]{1,5})(?![0-9])")


def apply_visibility(gpus: tuple[Gpu, ...], variables: Mapping[str, str], issues: Issues) -> tuple[Gpu, ...]:
    """The same devices with `visible` and `hidden_by` set: hidden is not absent."""
    hidden: dict[int, str] = {}
    nvidia = _counted(gpus)
    if _CUDA in variables:
        ordered = _cuda_order([gpu for gpu in nvidia if gpu.kind != "mig"], variables, issues)
        slices = [gpu for gpu in nvidia if gpu.kind == "mig"]
        _hide(nvidia, _cuda_chosen(variables[_CUDA], ordered, slices), _CUDA, variables, hidden)
    hidden |= hidden_by_rocm(gpus, variables, issues)
    return tuple(replace(gpu, visible=gpu.index not in hidden, hidden_by=hidden.get(gpu.index)) for gpu in gpus)


def cuda_numbers(gpus: tuple[Gpu, ...]) -> dict[int, int]:
    """The number that each card has for CUDA under CUDA_DEVICE_ORDER=PCI_BUS_ID, by `Gpu.index`."""
    return {gpu.index: number for number, gpu in enumerate(gpu for gpu in _counted(gpus) if gpu.kind != "mig")}


def _counted(gpus: tuple[Gpu, ...]) -> list[Gpu]:
    """NVIDIA's devices that CUDA numbers: those that it is given, or all where it is given none."""
    nvidia = [gpu for gpu in gpus if gpu.vendor == "NVIDIA"]
    return [gpu for gpu in nvidia if gpu.state not in _NOT_COUNTED] or nvidia


def _hide(gpus: list[Gpu], chosen: list[Gpu], name: str, variables: Mapping[str, str], hidden: dict[int, str]) -> None:
    kept = {gpu.index for gpu in chosen}
    kept |= {gpu.mig.parent for gpu in chosen if gpu.mig.parent is not None}
    whole = {gpu.index for gpu in chosen if gpu.kind != "mig"}
    for gpu in gpus:
        if gpu.index not in kept and gpu.mig.parent not in whole:
            hidden.setdefault(gpu.index, f"{name}={variables[name]}")


def _cuda_chosen(value: str, ordered: list[Gpu], slices: list[Gpu]) -> list[Gpu]:
    """The devices that a value lists, up to its first entry that names none; none if it lists one twice."""
    chosen: list[Gpu] = []
    for entry in value.split(","):
        number = _NUMBER.match(entry.strip())
        gpu = _entry(number[1] if number else entry.strip(), ordered, slices)
        if gpu is None:
            break
        if gpu in chosen:
            return []
        chosen.append(gpu)
    return chosen


def _entry(entry: str, ordered: list[Gpu], slices: list[Gpu]) -> Gpu | None:
    """The device of one entry, None for one that names nothing, several, or what is not there."""
    if entry.isascii() and entry.isdecimal():
        return ordered[int(entry)] if len(entry) < 6 and int(entry) < len(ordered) else None
    if not entry.upper().startswith(("GPU-", "MIG-")):
        return None
    candidates = slices if entry.upper().startswith("MIG-") else ordered
    found = [gpu for gpu in candidates if gpu.uuid is not None and gpu.uuid.lower().startswith(entry.lower())]
    return found[0] if len(found) == 1 else None


def _cuda_order(cards: list[Gpu], variables: Mapping[str, str], issues: Issues) -> list[Gpu]:
    """Cards as CUDA numbers them: fastest first unless told otherwise, which matters only for unlike cards."""
    alike = len({gpu.name for gpu in cards}) <= 1
    if alike or variables.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID":
        return cards
    if any(_NUMBER.match(part.strip()) for part in variables[_CUDA].split(",")):
        issues.add(
            "cuda_order_assumed",
            _CUDA,
            "the numbers count CUDA's order, fastest card first; taken as highest FP32 rate first."
            " CUDA_DEVICE_ORDER=PCI_BUS_ID makes them the numbers shown here",
        )
    fastest = max(cards, key=lambda gpu: gpu.flops.fp32 or 0)
    return [fastest, *(gpu for gpu in cards if gpu is not fastest)]
