"""What every form of the gate's answer says: the verdict in a sentence, and the machine's facts by name."""

from __future__ import annotations

from collections import Counter

from gpucheck.assess.requirements.outcome import Met, Outcome, Requirements, in_words
from gpucheck.assess.requirements.usable import counted, unseen, usability
from gpucheck.machine.types import Gpu, Machine

FACTS = ("answer", "gpu_count", "gpu_name", "vram_bytes", "compute_capability", "category", "torch_index")
ANSWERS: dict[Met, str] = {"met": "met", "not_met": "not met", "unknown": "unknown"}


def one_line(text: str) -> str:
    """The text on one line: any white space is one space, any other character that does not print a "?"."""
    text = " ".join(text.split())
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


def line_of(outcome: Outcome) -> str:
    """One outcome with its remedy on one line."""
    words = one_line(in_words(outcome))
    remedy = one_line(outcome.remedy or "")
    return f"{words}. {remedy}" if remedy and outcome.answer != "met" else words


def of_answer(requirements: Requirements, answer: Met) -> tuple[Outcome, ...]:
    """The outcomes with that answer, in the order of the requirements."""
    return tuple(outcome for outcome in requirements.outcomes if outcome.answer == answer)


def verdict(requirements: Requirements) -> str:
    """Such as "1 of 3 requirements not met, 1 could not be determined" or "all 3 requirements met"."""
    number = len(requirements.outcomes)
    counts = Counter(outcome.answer for outcome in requirements.outcomes)
    if not number:
        return "no requirements"
    if counts["met"] == number:
        return "the requirement is met" if number == 1 else f"all {number} requirements met"
    of = f"of {number} requirement{'s' if number != 1 else ''} "
    words = ((counts["not_met"], "not met"), (counts["unknown"], "could not be determined"))
    return ", ".join(
        f"{count} {of if position == 0 else ''}{word}"
        for position, (count, word) in enumerate((count, word) for count, word in words if count)
    )


def facts(requirements: Requirements, machine: Machine) -> dict[str, str]:
    """Those of `FACTS` that are known, as text, each on one line.

    `answer` is met, not_met or unknown. `gpu_count` is the number of GPUs as requirements count them: those that a
    process started now could use, graphics of the processor only where there is no card. What follows is of those:
    `gpu_name` each name once ("A + B"), `vram_bytes` the memory of the smallest as its driver reports it, and
    `compute_capability` the lowest ("8.9"); none of these where it is not known of every GPU. `torch_index` is the last
    part of the address of the index whose build of PyTorch suits the machine ("cu128", "cpu"), or "pypi". Where there
    may be more GPUs than are usable for sure, only `answer` and `category` are known.
    """
    known = {
        "answer": requirements.answer,
        "category": machine.category.name if machine.category else None,
        **_devices(machine),
    }
    return {name: one_line(value) for name in FACTS if (value := known.get(name)) is not None}


def usable_for_sure(machine: Machine) -> tuple[tuple[Gpu, ...], bool]:
    """The GPUs that requirements count and that a process can use for sure, and whether there may be others."""
    gpus = counted(machine)
    sure = tuple(gpu for gpu in gpus if usability(machine, gpu).answer == "met")
    return sure, len(sure) < len(gpus) or unseen(machine) is not None


def _devices(machine: Machine) -> dict[str, str | None]:
    gpus, others = usable_for_sure(machine)
    if others:
        return {}
    names = [gpu.name for gpu in gpus]
    sizes = [gpu.memory.total_bytes for gpu in gpus]
    capabilities = [gpu.compute_capability for gpu in gpus]
    return {
        "gpu_count": str(len(gpus)),
        "gpu_name": " + ".join(dict.fromkeys(map(str, names))) if gpus and None not in names else None,
        "vram_bytes": str(min(size for size in sizes if size is not None)) if gpus and None not in sizes else None,
        "compute_capability": lowest(capabilities),
        "torch_index": _torch_index(machine),
    }


def lowest(capabilities: list[str | None]) -> str | None:
    """The lowest of compute capabilities such as "12.0"; None where there is none or one is not known."""
    known = [capability for capability in capabilities if capability is not None]
    if not known or len(known) < len(capabilities):
        return None
    return min(known, key=lambda capability: [int(part) for part in capability.split(".")])


def _torch_index(machine: Machine) -> str | None:
    from gpucheck.assess.torch_build import choose_build

    return choose_build(machine).index
