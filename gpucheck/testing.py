"""Recorded and synthetic machines for tests of programs that use gpucheck, and whether a machine suits a test.

    from gpucheck.testing import fake_machine

    def test_the_launcher_takes_two_gpus() -> None:
        assert launcher.choose(fake_machine("h100x8")) == (0, 1)

The pytest plugin (`gpucheck.pytest_plugin`) is these functions as fixtures and a marker. Nothing here imports pytest.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from gpucheck import api
from gpucheck.errors import UsageError
from gpucheck.machine.types import Machine

if TYPE_CHECKING:
    from gpucheck.assess.requirements.wanted import Wanted

NO_GPU = "no-gpu"
CARDS: Mapping[str, str] = {
    "a100": "A100 SXM4 80GB", "a6000": "RTX A6000", "gaudi2": "Gaudi 2", "gaudi3": "Gaudi 3", "gh200": "GH200 96GB",
    "h100": "H100 SXM5 80GB", "p100": "Tesla P100 SXM2 16GB", "v100": "V100 SXM3 32GB",
}  # fmt: skip
"""Short names of cards that are several in the catalogue, or have another name there: which one is meant in tests."""

_SHORTHAND = re.compile(r"([a-z0-9][a-z0-9-]+?)-?x(\d{1,2})", re.IGNORECASE)
_RECORDING = ".json"


class FakeMachine(Protocol):
    """The type of `fake_machine`, which the fixture `gpucheck_fake_machine` gives to a test."""

    def __call__(
        self, spec: str | os.PathLike[str], ram: str | int | None = None, cpu_cores: int | None = None
    ) -> Machine:
        """See `fake_machine`."""
        ...


def fake_machine(spec: str | os.PathLike[str], ram: str | int | None = None, cpu_cores: int | None = None) -> Machine:
    """A machine that is not this one: "h100x8", "2x RTX 4090", "no-gpu", or the path of a recording.

    "h100x8" is eight cards of a name of `CARDS` or of the catalogue; "no-gpu" has none; a text that ends with .json,
    and any path object, is a recording; everything else is what `gpucheck.simulate` takes. Of a machine that is not
    a recording nothing is known but its cards and what is given here: `ram` is an amount with a unit ("64GiB") or a
    number of bytes.

    Raises:
        AmbiguousNameError, UnknownNameError: a name is not that of exactly one card; see its `candidates`.
        RecordingError: the file cannot be read or is not a recording.
        UsageError: an amount or a number makes no sense, or is given for a recording, which has its own.
    """
    if not isinstance(spec, str) or spec.lower().endswith(_RECORDING):
        if ram is not None or cpu_cores is not None:
            raise UsageError("a recording has its own memory and processor: give neither ram nor cpu_cores")
        return api.load(spec)
    if spec.strip().lower() == NO_GPU:
        return _without_gpus(ram, cpu_cores)
    return api.simulate(in_full(spec), ram, cpu_cores)


def in_full(spec: str) -> str:
    """A shorthand as `gpucheck.simulate` takes it ("h100x8" is "8x H100 SXM5 80GB"); other texts as they are."""
    found = _SHORTHAND.fullmatch(spec.strip())
    name, count = (found[1], int(found[2])) if found else (spec.strip(), None)
    card = CARDS.get(name.lower(), name)
    return card if count is None else f"{count}x {card}"


def _without_gpus(ram: str | int | None, cpu_cores: int | None) -> Machine:
    from msgspec.structs import replace

    from gpucheck.assess.category import categorise

    machine = api.simulate("T4", ram, cpu_cores)  # any card: it is taken out again
    issues = tuple(issue for issue in machine.issues if not issue.source.startswith("gpus["))
    return categorise(replace(machine, gpus=(), issues=issues))


def demanded(count: int | str | None = None, **requirements: Any) -> tuple[Wanted, ...]:
    """What a test demands, by the names of the vocabulary of `gpucheck.require`; `count` is its `min_gpus`.

    At least one GPU is always demanded, unless `gpus` or `min_gpus` says how many.

    Raises:
        UsageError: a name is not of the vocabulary, which the message then names the nearest of, or a value is wrong.
    """
    from gpucheck.assess.requirements.vocabulary import VOCABULARY
    from gpucheck.assess.requirements.wanted import from_arguments

    _refuse_typo_of_count(requirements)
    if count is not None and requirements.get("min_gpus") is not None:
        raise UsageError("count and min_gpus are one requirement: give one of them")
    given = {**requirements, **({} if count is None else {"min_gpus": count})}
    wanted = from_arguments(given)
    keys = [VOCABULARY[one.key] for one in wanted if one.key in VOCABULARY]
    if any(key.subject == "gpu" or key.name in {"min_gpus", "gpus"} for key in keys):
        return wanted
    return (*wanted, *from_arguments({"min_gpus": 1}))


def _refuse_typo_of_count(requirements: Mapping[str, Any]) -> None:
    """`count` is no word of the vocabulary, which would name the nearest of its own."""
    from difflib import get_close_matches

    from gpucheck.assess.requirements.vocabulary import VOCABULARY

    for name in requirements:
        if name not in VOCABULARY and get_close_matches(name, [*VOCABULARY, "any", "count"], n=1) == ["count"]:
            raise UsageError(f"{name}: expected a key of the vocabulary, not {name!r}: did you mean count?")


def unsuited(machine: Machine, wanted: Sequence[Wanted]) -> str | None:
    """Why the machine does not suit, found against required, in one line; None where it does.

    What could not be determined does not suit, and the line says so.
    """
    from gpucheck.assess.requirements.evaluate import evaluate
    from gpucheck.assess.requirements.outcome import in_words

    outcomes = evaluate(machine, wanted)
    unmet = [in_words(outcome) for outcome in outcomes if outcome.answer == "not_met"]
    open_ = [in_words(outcome) for outcome in outcomes if outcome.answer == "unknown"]
    parts = [*unmet, *([f"could not be determined: {'; '.join(open_)}"] if open_ else [])]
    return "; ".join(parts) or None


def in_one_line(machine: Machine) -> str:
    """The machine's GPUs and its category: "8 × NVIDIA H100 SXM5 80GB, 640 GB, High-end (simulated)"."""
    from gpucheck.report.headline import cards_in_words

    cards = [gpu for gpu in machine.gpus if gpu.kind != "mig"]
    usable = {gpu.mig.parent if gpu.kind == "mig" else gpu.index for gpu in machine.usable_gpus}
    words = cards_in_words(cards) if cards else _none_found(machine)
    if len(usable) < len(cards):
        words += f", {len(usable)} of {len(cards)} usable" if len(cards) > 1 else ", not usable"
    category = f", {machine.category.name}" if machine.category and usable else ""
    return f"{words}{category}{'' if machine.source == 'live' else f' ({machine.source})'}"


def _none_found(machine: Machine) -> str:
    from gpucheck.assess.requirements.usable import unseen

    doubt = unseen(machine)
    return f"no GPU found, but there may be one: {doubt}" if doubt else "no GPU found"


def share_for(machine: Machine, place: int) -> tuple[Machine, Mapping[str, str]]:
    """The machine as the worker of this place, from 0, is to see it, and the variables that keep it to its one GPU.

    The GPUs that a process can use are dealt out in their order; where there are more workers than GPUs the next round
    begins, so that workers share. Without such a GPU the machine comes back as it is, without variables.
    """
    from msgspec.structs import replace

    from gpucheck.assess.category import categorise
    from gpucheck.assess.pick_environment import hand_over
    from gpucheck.assess.pick_wish import Wish, refusal

    free = [gpu for gpu in machine.gpus if refusal(machine, gpu, Wish()) is None]
    if not free:
        return machine, {}
    own = free[place % len(free)]
    gpus = tuple(
        gpu if gpu.index in {own.index, own.mig.parent} else replace(gpu, visible=False, hidden_by=ONE_EACH)
        for gpu in machine.gpus
    )
    return categorise(replace(machine, gpus=gpus)), hand_over(machine, [own]).variables


ONE_EACH = "--gpucheck-gpu-per-worker"
