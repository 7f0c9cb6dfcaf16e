"""The answer to each requirement, and to all of them."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from gpucheck.errors import RequirementsNotMetError
from gpucheck.shown import Shown

Met = Literal["met", "not_met", "unknown"]


class Place(Struct, frozen=True):
    """Where a requirement was written: a file as it was named, and the line, counted from 1."""

    file: str
    line: int


class Outcome(Struct, frozen=True, kw_only=True):
    """One requirement: what was demanded, what was found, and what to do about the difference.

    `key` is the name in the vocabulary ("min_vram"), `required` and `found` are words for people ("24 GiB"). `source`
    says where the fact came from: the path in the machine's JSON and its basis ("gpus[0].memory.total_bytes,
    reported"). `found` is None where nothing is known, and then `reason` says why.
    """

    key: str
    required: str
    answer: Met
    found: str | None = None
    source: str | None = None
    reason: str | None = None
    remedy: str | None = None
    place: Place | None = None


class Requirements(Shown, Struct, frozen=True, kw_only=True):
    """All outcomes, in the order of the requirements. `answer` is not_met if one is, else unknown if one is."""

    outcomes: tuple[Outcome, ...]
    answer: Met
    profile: str | None = None
    file: str | None = None

    @property
    def met(self) -> bool:
        """Whether every requirement is met for sure."""
        return self.answer == "met"

    def raise_for_unmet(self, *, unknown_ok: bool = False) -> None:
        """Nothing where all are met.

        Raises:
            RequirementsNotMetError: one is not met, or could not be determined and that is not `unknown_ok`.
        """
        ok = {"met", "unknown"} if unknown_ok else {"met"}
        bad = [outcome for outcome in self.outcomes if outcome.answer not in ok]
        if bad:
            raise RequirementsNotMetError("; ".join(map(in_words, bad)))


def in_words(outcome: Outcome) -> str:
    """One outcome in one line: "min_vram: needs 24 GiB, found 16 GB nominal"."""
    found = outcome.found or f"unknown ({outcome.reason})"
    return f"{outcome.key}: needs {outcome.required}, found {found}"


def answer_of(outcomes: tuple[Outcome, ...]) -> Met:
    """Not met if one is not; unknown if one is unknown; met otherwise, and where nothing is demanded."""
    answers = {outcome.answer for outcome in outcomes}
    return "not_met" if "not_met" in answers else "unknown" if "unknown" in answers else "met"
