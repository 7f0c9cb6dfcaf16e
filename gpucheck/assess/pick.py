"""Which GPUs a program should take now.

Only devices that a process can use and that are known to be as demanded are taken; unknown free memory is not enough of
it. The order is: most free memory, then category, then bandwidth, then the lower number (with `prefer="strong"`
category and bandwidth come first). Several are always of one maker, and a MIG device goes alone, because a process can
use no second one. Alike cards go before unlike ones, and cards that reach each other over NVLink or XGMI before others,
as long as the fullest of them has nine tenths of the room that the fullest of the freest has.

Nothing is reserved: two programs that ask at once are told the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from gpucheck.assess.pick_environment import hand_over
from gpucheck.assess.pick_set import choose, is_alike, is_linked
from gpucheck.assess.pick_wish import Prefer, Refusal, Wish, free_bytes, refusal
from gpucheck.machine.types import Gpu, Machine
from gpucheck.units import format_bytes

_PROBES = {"NVIDIA": "probe nvidia", "AMD": "probe amd", "Intel": "probe intel", "Apple": "probe apple"}
_ORDERS: dict[Prefer, str] = {
    "free": "most free memory first, then category, bandwidth and number",
    "strong": "highest category first, then bandwidth, free memory and number",
}


class Picked(Struct, frozen=True, kw_only=True):
    """The GPUs to take, the first choice first, and how to keep a program to them.

    `devices` are numbers of `machine.gpus`. `environment` holds the variables that the program's process needs before
    it starts; they replace those that are set now. `torch_devices` are the names that PyTorch then has for the devices;
    a card that ROCm sees as several has several.
    """

    devices: tuple[int, ...]
    environment: Mapping[str, str]
    torch_devices: tuple[str, ...]
    reasons: tuple[str, ...]


class TooFew(Struct, frozen=True, kw_only=True):
    """There are not that many, or (unknown) nobody can tell: what was demanded, and what is there."""

    answer: Literal["not_met", "unknown"]
    needed: str
    reasons: tuple[str, ...]

    @property
    def message(self) -> str:
        """All of it in one line."""
        return f"needs {self.needed}: {'; '.join(self.reasons)}"


def pick(machine: Machine, wish: Wish) -> Picked | TooFew:
    """The GPUs of the machine to take for this wish, or why there are not enough."""
    refused = {gpu.index: found for gpu in machine.gpus if (found := refusal(machine, gpu, wish))}
    suitable = [gpu for gpu in machine.gpus if gpu.index not in refused]
    chosen = choose(suitable, wish)
    if chosen is None:
        return _too_few(machine, wish, suitable, refused)
    handed = hand_over(machine, chosen)
    return Picked(
        devices=tuple(gpu.index for gpu in chosen),
        environment=handed.variables,
        torch_devices=handed.torch_devices,
        reasons=(*_reasons(chosen, suitable, wish), *_in_words(refused), *handed.notes),
    )


def needed(wish: Wish) -> str:
    """The wish in words: "2 NVIDIA GPUs with 20.0 GiB free"."""
    number = 1 if wish.count is None else wish.count
    maker = f"{wish.vendor} " if wish.vendor else ""
    demands = []
    if wish.min_free_bytes is not None:
        demands.append(f"{format_bytes(wish.min_free_bytes)} free")
    if wish.min_vram_bytes is not None:
        demands.append(f"{format_bytes(wish.min_vram_bytes)} of memory")
    if wish.min_compute_capability is not None:
        demands.append("compute capability {}.{}".format(*wish.min_compute_capability))
    noun = f"{number} {maker}GPU{'s' if number != 1 else ''}"
    return f"{noun} with {' and '.join(demands)}" if demands else noun


def _too_few(machine: Machine, wish: Wish, suitable: Sequence[Gpu], refused: Mapping[int, Refusal]) -> TooFew:
    open_ = [gpu for gpu in machine.gpus if gpu.index in refused and refused[gpu.index].open_]
    probes = {"probe pci", *([_PROBES[wish.vendor]] if wish.vendor else _PROBES.values())}
    silent = sorted({issue.source for issue in machine.issues if issue.source in probes})
    unknown = bool(silent) or (bool(open_) and choose([*suitable, *open_], wish) is not None)
    found = [f"found {_numbers([gpu.index for gpu in suitable])}" if suitable else "found none"]
    if suitable and all(gpu.kind == "mig" for gpu in suitable):
        found.append("a process can use one MIG device, not several")
    elif len(suitable) >= (wish.count or 1):
        found.append("a process can use GPUs of one maker together")
    found += _in_words(refused)
    found += [f"{source} failed, and may have missed some" for source in silent]
    return TooFew(
        answer="unknown" if unknown else "not_met",
        needed=needed(wish),
        reasons=tuple(found if machine.gpus or silent else ["there is no GPU here"]),
    )


def _reasons(chosen: Sequence[Gpu], suitable: Sequence[Gpu], wish: Wish) -> list[str]:
    """What speaks for each of the chosen, and for them together."""
    words = [f"GPU {gpu.index}, {gpu.name or f'{gpu.vendor} GPU without a name'}: {_free(gpu)}" for gpu in chosen]
    if len(suitable) > len(chosen):
        words.append(_ORDERS[wish.prefer])
    if is_linked(chosen):
        words.append("they reach each other over NVLink or XGMI")
    if len(chosen) > 1 and not is_alike(chosen):
        words.append("they are unlike: alike ones are too few or much less free")
    return words


def _free(gpu: Gpu) -> str:
    free = free_bytes(gpu)
    if free is None:
        return "how much of its memory is free is not known"
    assumed = ", assumed idle" if gpu.sources.get("memory.free_bytes") == "assumed" else ""
    return f"{format_bytes(free)} free{assumed}"


def _in_words(refused: Mapping[int, Refusal]) -> list[str]:
    """The refused devices, those with one reason together."""
    groups: dict[str, list[int]] = {}
    for index, found in refused.items():
        groups.setdefault(found.words, []).append(index)
    return [f"{_numbers(indexes)}: {words}" for words, indexes in groups.items()]


def _numbers(indexes: Sequence[int]) -> str:
    return f"GPU {', '.join(map(str, indexes))}"
