"""Checks of all GPUs together: how many there are, and the memory of those that meet the requirements about a GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from gpucheck.assess.requirements.checks_gpus import free_bytes
from gpucheck.assess.requirements.clauses import Clause, Version, all_hold
from gpucheck.assess.requirements.joint import Standings, no_gpu
from gpucheck.assess.requirements.told import Told, judged, missing_of_gpu, unknown
from gpucheck.assess.words import nominal_gib
from gpucheck.machine.types import Gpu, Machine
from gpucheck.units import GIB, format_bytes

_SOURCE = "gpus[].state"
NumberCheck = Callable[[Machine, Standings, Any], Told]


def min_gpus(machine: Machine, standings: Standings, value: int) -> Told:
    """At least so many that can be used; whether they meet the rest is said there."""
    return _number(machine, standings, lambda number: number >= value, above=True)


def max_gpus(machine: Machine, standings: Standings, value: int) -> Told:
    """At most so many."""
    return _number(machine, standings, lambda number: number <= value, above=False)


def gpus(machine: Machine, standings: Standings, value: tuple[Clause, ...]) -> Told:
    """A number, or a range."""
    return _number(machine, standings, lambda number: all_hold(value, Version((number,))), above=None)


def _number(machine: Machine, standings: Standings, holds: Callable[[int], bool], *, above: bool | None) -> Told:
    """The answer by the GPUs that can be used for sure, and those that perhaps can.

    `above`: more GPUs than are known of could only help (True) or harm (False).
    """
    sure = sum(one.usable.answer == "met" for one in standings.all)
    most = len(standings.all)
    answers = {holds(number) for number in range(sure, most + 1)}
    helped = above is not None and holds(sure) is above
    open_end = standings.unseen is not None and not helped
    if len(answers) == 1 and not open_end:
        holding = answers.pop()
        if not most and not holding:
            return no_gpu(machine, None)
        return judged(holding, f"{sure} usable" if sure else "none usable", _SOURCE)
    doubt = next((one.usable.reason for one in standings.all if one.usable.answer == "unknown"), standings.unseen)
    return unknown(doubt or "how many can be used is not known", _SOURCE, f"{sure} usable for sure" if sure else None)


def min_total_vram(machine: Machine, standings: Standings, value: int) -> Told:
    """Memory as sold, over the GPUs that meet the requirements about a GPU."""
    return _total(machine, standings, value, _NOMINAL)


def min_total_free_vram(machine: Machine, standings: Standings, value: int) -> Told:
    """Memory that a process can get now, over the same GPUs."""
    return _total(machine, standings, value, _FREE)


class _Sum(Struct, frozen=True):
    """What is added up: the bytes of one GPU, the field that they are in, and a word for them."""

    of: Callable[[Gpu], int | None]
    field: str
    word: str


def _nominal_bytes(gpu: Gpu) -> int | None:
    total = gpu.memory.total_bytes
    return None if total is None else round(nominal_gib(total) * GIB)


_NOMINAL = _Sum(_nominal_bytes, "memory.total_bytes", "nominal")
_FREE = _Sum(free_bytes, "memory.usable_bytes", "free")


def _total(machine: Machine, standings: Standings, value: int, what: _Sum) -> Told:
    standing = [one for one in standings.all if one.joint != "not_met"]
    if not standing and standings.all and standings.unseen is None:
        return judged(False, "no GPU that meets the other requirements", _SOURCE)
    if not standing:
        return no_gpu(machine, standings.unseen)
    source = f"gpus[].{what.field}"
    number = f" on {len(standing)} GPUs" if len(standing) > 1 else ""
    sure = sum(what.of(one.gpu) or 0 for one in standing if one.joint == "met")
    if sure >= value:
        return judged(True, f"{format_bytes(sure)} {what.word}{number}", source)
    sizes = [what.of(one.gpu) for one in standing]
    # what is not known is at most all the memory that the card has
    bounds = [
        size if size is not None else one.gpu.memory.total_bytes for one, size in zip(standing, sizes, strict=True)
    ]
    if standings.unseen is None and None not in bounds:
        most = sum(bound or 0 for bound in bounds)
        if most < value:
            return judged(False, f"{format_bytes(most)} {what.word if None not in sizes else 'in all'}{number}", source)
    return unknown(_doubt(machine, standings, what), source)


def _doubt(machine: Machine, standings: Standings, what: _Sum) -> str:
    """Why a sum is not known: a size that is missing, a GPU that perhaps cannot be used, or perhaps does not suit."""
    standing = [one for one in standings.all if one.joint != "not_met"]
    for one in standing:
        if what.of(one.gpu) is None:
            return missing_of_gpu(machine, one.gpu, what.field)
    reasons = [told.reason for one in standing for told in (one.usable, *one.told) if told.answer == "unknown"]
    return next((reason for reason in (*reasons, standings.unseen) if reason), "whether they suit is not known")


NUMBER_CHECKS: Mapping[str, NumberCheck] = {
    "min_gpus": min_gpus, "max_gpus": max_gpus, "gpus": gpus, "min_total_vram": min_total_vram,
    "min_total_free_vram": min_total_free_vram,
}  # fmt: skip
