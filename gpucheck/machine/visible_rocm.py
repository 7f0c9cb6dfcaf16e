"""ROCm's visibility variables, applied in the order of its layers and in the numbers of its own.

ROCm numbers devices as KFD lists them, which is not PCI order, and each partition of a card is one.
ROCR_VISIBLE_DEVICES comes first: numbers as C writes them and UUIDs or their beginnings; the list ends at the
first entry that names nothing, several or a device again, and an empty one hides all (RvdFilter of the ROCR
runtime). GPU_DEVICE_ORDINAL and then HIP_VISIBLE_DEVICES, or where that is empty CUDA_VISIBLE_DEVICES, count what
is left: plain numbers without spaces and, of late, UUIDs; repetitions pass, an empty value says nothing
(Device::init of ROCclr).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise

from msgspec import Struct

from gpucheck.machine.types import Gpu
from gpucheck.probes.collect import Issues

_ROCR, _ORDINAL, _HIP, _CUDA = (
    "ROCR_VISIBLE_DEVICES",
    "GPU_DEVICE_ORDINAL",
    "HIP_VISIBLE_DEVICES",
    "CUDA_VISIBLE_DEVICES",
)
_OVERRIDE = "HSA_OVERRIDE_GFX_VERSION"
_C_NUMBER = re.compile(r"\+?(?:0x([0-9a-f]{1,5})|(0[0-7]{0,6})|([1-9][0-9]{0,4}))")
_UUID_LENGTHS = range(5, 21)  # "GPU-" and one to sixteen digits


class Slot(Struct, frozen=True):
    """A device of ROCm's: a card, or one partition of it."""

    card: int  # `Gpu.index`
    uuid: str


def hidden_by_rocm(gpus: Iterable[Gpu], variables: Mapping[str, str], issues: Issues) -> dict[int, str]:
    """Which AMD cards are hidden, by their index, and by which variable; the first that leaves a card out."""
    cards = [gpu for gpu in gpus if gpu.vendor == "AMD"]
    if not cards:
        return {}
    _note_doubts(cards, variables, issues)
    _note_unnumbered(cards, variables, issues)
    slots = _slots(cards)
    hidden: dict[int, str] = {}
    for name in (_ROCR, _ORDINAL, _HIP if variables.get(_HIP) else _CUDA):
        value = variables.get(name)
        if value is None or (not value and name != _ROCR):
            continue
        chosen = _rocr_chosen(value, slots) if name == _ROCR else _hip_chosen(value, slots)
        left = {slot.card for slot in chosen}
        for card in {slot.card for slot in slots} - left:
            hidden.setdefault(card, f"{name}={value}")
        for card in sorted(left):
            some, every = sum(slot.card == card for slot in chosen), sum(slot.card == card for slot in slots)
            if some < every:
                issues.add("partitions_hidden", f"gpus[{card}]", f"{name} leaves {some} of {every} partitions")
        slots = chosen
    return hidden


def rocm_numbers(gpus: Iterable[Gpu]) -> dict[int, tuple[int, ...]]:
    """The numbers that each AMD card has for ROCm, one for each of its partitions, by `Gpu.index`."""
    slots = _slots([gpu for gpu in gpus if gpu.vendor == "AMD"])
    return {
        card: tuple(number for number, slot in enumerate(slots) if slot.card == card)
        for card in {slot.card for slot in slots}
    }


def _slots(cards: list[Gpu]) -> list[Slot]:
    """ROCm's devices in its order; cards that KFD does not list are none of them, if it lists any.

    Where it could not be read whole, those without a number come last, and a card whose partitions are not
    counted has those up to the next card's number.
    """
    numbered = sorted((gpu.driver_index, gpu.index) for gpu in cards if gpu.driver_index is not None)
    rest = [gpu.index for gpu in cards if gpu.driver_index is None and _in_kfd(gpu)]
    order = [*(index for _, index in numbered), *rest] or [gpu.index for gpu in cards]
    by_index = {gpu.index: gpu for gpu in cards}
    up_to_next = {card: after - number for (number, card), (after, _) in pairwise(numbered)}
    return [
        Slot(index, (by_index[index].uuid or "").upper())
        for index in order
        for _ in range(by_index[index].partition.count or up_to_next.get(index, 1))
    ]


def _in_kfd(gpu: Gpu) -> bool:
    """Whether KFD lists the card: nothing else reports its target."""
    return gpu.sources.get("gfx_target") == "reported"


def _rocr_chosen(value: str, slots: list[Slot]) -> list[Slot]:
    chosen: list[int] = []
    for entry in value.upper().split(",")[: len(slots)]:
        token = entry.strip()
        number = _by_uuid(token, slots) if token.startswith("G") else _c_number(token)
        if number is None or number >= len(slots) or number in chosen:
            break
        chosen.append(number)
    return [slots[number] for number in chosen]


def _hip_chosen(value: str, slots: list[Slot]) -> list[Slot]:
    chosen: list[int] = []
    for entry in value.split(","):
        plain = entry.isascii() and entry.isdecimal() and len(entry) < 6 and entry == str(int(entry))
        number = int(entry) if plain else _by_uuid(entry.upper(), slots)
        if number is None or number >= len(slots):
            break
        if number not in chosen:
            chosen.append(number)
    return [slots[number] for number in chosen]


def _by_uuid(token: str, slots: list[Slot]) -> int | None:
    """The place of the one device whose UUID begins so."""
    if not token.startswith("GPU-") or len(token) not in _UUID_LENGTHS:
        return None
    found = [place for place, slot in enumerate(slots) if slot.uuid.startswith(token)]
    return found[0] if len(found) == 1 else None


def _c_number(token: str) -> int | None:
    """A number as `strtol` reads it in base 0."""
    found = _C_NUMBER.fullmatch(token.lower())
    if found is None:
        return None
    return int(found[1], 16) if found[1] else int(found[2], 8) if found[2] else int(found[3])


def _note_unnumbered(cards: list[Gpu], variables: Mapping[str, str], issues: Issues) -> None:
    """An issue where variables are set and KFD's list, which their numbers count, could not be read whole."""
    names = ", ".join(name for name in (_ROCR, _ORDINAL, _HIP, _CUDA) if variables.get(name))
    listed = [card for card in cards if _in_kfd(card)]
    if names and any(card.driver_index is None or card.partition.count is None for card in listed):
        detail = f"KFD's nodes could not all be read: which devices the numbers in {names} mean is assumed"
        issues.add("assumed", "gpus.visible", detail)


def _note_doubts(cards: list[Gpu], variables: Mapping[str, str], issues: Issues) -> None:
    """Issues for variables that make devices other than they are, or that AMD's documents and code disagree on."""
    if override := variables.get(_OVERRIDE):
        parts = override.split(".")
        plain = len(parts) == 3 and all(part.isascii() and part.isdecimal() and len(part) < 4 for part in parts)
        taken = f"gfx{int(parts[0])}{int(parts[1]):x}{int(parts[2]):x}" if plain else "what no target is called"
        targets = ", ".join(sorted({gpu.gfx_target for gpu in cards if gpu.gfx_target} - {taken}))
        if targets:
            detail = (
                f"{_OVERRIDE}={override} makes ROCm take {targets} for {taken}: AMD does not support it, and code"
                " for another target may crash or compute wrongly (legacy-rocm-build #2353)"
            )
            issues.add("gfx_override", _OVERRIDE, detail)
    if variables.get(_ORDINAL):
        detail = "AMD's documents say that it hides devices from OpenCL and HIP; the runtime's code reads it for OpenCL"
        issues.add("assumed", _ORDINAL, detail)
