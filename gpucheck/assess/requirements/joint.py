"""Requirements about GPUs, judged together: as many GPUs as are demanded must each meet all of them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from gpucheck.assess.requirements.checks_gpus import GPU_CHECKS
from gpucheck.assess.requirements.clauses import Clause, Version, all_hold
from gpucheck.assess.requirements.outcome import Met
from gpucheck.assess.requirements.told import WORSE, Told
from gpucheck.assess.requirements.usable import counted, hindrance, unseen, usability
from gpucheck.assess.requirements.wanted import Wanted
from gpucheck.machine.types import Gpu, Machine

_MOST_GPUS = 4096


class Standing(Struct, frozen=True):
    """One GPU: whether it can be used, and what was found for each requirement, in their order."""

    gpu: Gpu
    usable: Told
    told: tuple[Told, ...]

    @property
    def joint(self) -> Met:
        """Whether it can be used and meets every requirement."""
        return worst((self.usable.answer, *(one.answer for one in self.told)))

    @property
    def rank(self) -> tuple[int, int, int, int]:
        """The order of choice: the nearest to meeting all first."""
        answers = [one.answer for one in self.told]
        return WORSE.index(self.joint), answers.count("not_met"), answers.count("unknown"), self.gpu.index


class Standings(Struct, frozen=True):
    """All GPUs that count, the best first, held against `wanted`; `needed` of them must meet it all.

    `unseen` says why there may be more of them.
    """

    machine: Machine
    wanted: tuple[Wanted, ...]
    needed: int
    all: tuple[Standing, ...]
    unseen: str | None

    @property
    def answer(self) -> Met:
        """Whether enough GPUs meet all of it."""
        joints = [one.joint for one in self.all]
        if joints.count("met") >= self.needed:
            return "met"
        may = self.unseen is not None or len(joints) - joints.count("not_met") >= self.needed
        return "unknown" if may else "not_met"

    def told(self, index: int) -> Told:
        """What to say of the requirement at `index`: the worst of the GPUs that come nearest to meeting all."""
        if not self.all:
            return no_gpu(self.machine, self.unseen)
        chosen = self.all[: self.needed]
        answers = [(one, _with_use(one.told[index], one.usable)) for one in chosen]
        which, told = max(answers, key=lambda pair: WORSE.index(pair[1].answer))
        if told.answer == "not_met" and self.unseen is not None:
            told = Told("unknown", told.found, told.source, f"there may be other GPUs: {self.unseen}")
        return _named(told, which.gpu, len(chosen))


def worst(answers: Sequence[Met]) -> Met:
    """Not met if one is not; unknown if one is unknown."""
    return max(answers, key=WORSE.index, default="met")


def standings(machine: Machine, wanted: Sequence[Wanted], needed: int) -> Standings:
    """Every GPU that counts, held against the requirements about a GPU."""
    found = [
        Standing(gpu, usability(machine, gpu), tuple(GPU_CHECKS[one.key](machine, gpu, one.value) for one in wanted))
        for gpu in counted(machine)
    ]
    ordered = tuple(sorted(found, key=lambda one: one.rank))
    return Standings(machine, tuple(wanted), needed, ordered, unseen(machine))


def needed_of(wanted: Sequence[Wanted]) -> int:
    """How many GPUs must meet the requirements about a GPU: `min_gpus`, or the least number that `gpus` allows."""
    numbers = [1]
    for one in wanted:
        if one.key == "min_gpus":
            numbers.append(one.value)
        elif one.key == "gpus":
            numbers.append(_least(one.value))
    return max(numbers)


def _least(clauses: tuple[Clause, ...]) -> int:
    return next((number for number in range(1, _MOST_GPUS) if all_hold(clauses, Version((number,)))), 1)


def no_gpu(machine: Machine, doubt: str | None) -> Told:
    """What to say where no GPU counts: those that are there and of no use are named."""
    if doubt is not None:
        return Told("unknown", reason=f"whether there is a GPU is not known: {doubt}")
    if not machine.gpus:
        return Told("not_met", "no GPU", "gpus")
    gpu = machine.gpus[0]
    more = f" and {len(machine.gpus) - 1} more" if len(machine.gpus) > 1 else ""
    why = hindrance(gpu) if not gpu.usable else "graphics that frameworks do not compute on"
    return Told("not_met", f"no usable GPU: {gpu.name or gpu.vendor}{more}: {why}", f"gpus[{gpu.index}].state", why)


def _with_use(told: Told, usable: Told) -> Told:
    """The answer for a GPU that perhaps nobody can use."""
    if usable.answer == "unknown" and told.answer != "not_met":
        return Told("unknown", told.found, usable.source, usable.reason)
    return told


def _named(told: Told, gpu: Gpu, number: int) -> Told:
    """The finding with the GPU that it is about."""
    if told.found is None:
        name = gpu.name or f"GPU {gpu.index}"
        return Told(told.answer, None, told.source, f"{name}: {told.reason}")
    if told.found == gpu.name:
        return told
    which = f"{gpu.name or 'unnamed'}" if number == 1 else f"GPU {gpu.index}, {gpu.name or 'unnamed'}"
    return Told(told.answer, f"{told.found} ({which})", told.source, told.reason)
